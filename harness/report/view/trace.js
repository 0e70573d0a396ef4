// The shown trajectory in Chrome's Trace Event Format, as harness/trace writes it for a whole cell: a process per arm, a
// thread per lane and row.

function traceOf(arms) {
  const events = [];
  arms.forEach(({ run, trajectory }, index) => {
    const pid = index + 1;
    const threads = new Map();
    const thread = (name) => {
      if (!threads.has(name)) {
        threads.set(name, threads.size + 1);
        events.push({ name: "thread_name", ph: "M", ts: 0, pid, tid: threads.size, args: { name } });
      }
      return threads.get(name);
    };
    events.push({ name: "process_name", ph: "M", ts: 0, pid, tid: 0, args: { name: `${run}/${trajectory.task}` } });
    for (const span of trajectory.spans) {
      const [from, to] = [span.from, span.to].map((seconds) => Math.round(seconds * 1e6));
      const name = span.about.tool ? `${span.about.tool} (${span.state})` : span.lane;
      const lane = span.row ? `${span.lane} ${span.row + 1}` : span.lane;
      events.push({ name, cat: span.lane, ph: "X", pid, tid: thread(lane), ts: from, dur: to - from, args: { turn: span.turn, ...span.about } });
    }
    for (const { at, what, turn, about } of trajectory.marks) {
      const name = about.tool ? `${what.replace("_", " ")}: ${about.tool}` : what;
      events.push({ name, cat: "calls", ph: "i", s: "t", pid, tid: thread(what === "posted" ? "posts" : "calls"), ts: Math.round(at * 1e6), args: { turn, ...about } });
    }
  });
  events.sort((one, other) => (other.ph === "M") - (one.ph === "M") || one.ts - other.ts);
  return { traceEvents: events, displayTimeUnit: "ms" };
}

function downloadTrace(cell, arms) {
  const name = `${cell.cell}-${arms[0].trajectory.task}.trace.json`.replace(/[^A-Za-z0-9._-]/g, "_");
  const href = URL.createObjectURL(new Blob([JSON.stringify(traceOf(arms))], { type: "application/json" }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}
