// What a timeline says in words: of the bar that was pointed at, of each arm, and turn by turn.

const LEGEND = [
  ["prefill", "prefill, with API and queue: to first token"],
  ["decode", "decode"],
  ["draft", "draft"],
  ["tool-confirmed", "tool, run when asked for"],
  ["tool-used", "tool, run ahead and used"],
  ["tool-lost", "tool, run ahead in vain (wasted, cancelled or failed)"],
  ["overhead", "overhead of the client: all else"],
];
const MARK_LEGEND = [
  ["ready_hit", "ready hit"],
  ["pending_hit", "pending hit"],
  ["miss", "miss"],
  ["posted", "observation posted to the engine"],
];
const LEDGER = [
  ["num_turns", "turns"],
  ["num_prompt_tokens", "tokens in"],
  ["num_output_tokens", "tokens out"],
  ["num_confirmed", "confirmed calls"],
  ["num_ready_hits", "ready hits"],
  ["num_pending_hits", "pending hits"],
  ["num_misses", "misses"],
  ["num_launched", "launched"],
  ["num_used", "used"],
  ["num_wasted", "wasted"],
  ["num_cancelled", "cancelled"],
  ["num_failed", "failed"],
  ["num_refused", "refused"],
  ["saved_tool_s", "tool time saved (s)"],
  ["wasted_tool_s", "tool time wasted (s)"],
];

function showLegend(box) {
  const bars = LEGEND.map(([name, text]) => {
    const icon = drawn("svg", { width: 18, height: 12, "aria-hidden": true }, hatching(), drawn("rect", { x: 1, y: 1, width: 16, height: 10, class: `bar ${name}` }));
    return element("span", {}, icon, ` ${text}`);
  });
  const marks = MARK_LEGEND.map(([name, text]) => {
    const path = drawn("path", { d: MARKS[name], transform: "translate(9,8)", class: `mark ${name}` });
    return element("span", {}, drawn("svg", { width: 18, height: 16, "aria-hidden": true }, path), ` ${text}`);
  });
  box.replaceChildren(...bars, ...marks);
}

function showAbout(box, folder, cell, arms) {
  const [base, spec] = ["base", "spec"].map((name) => arms.find(({ run }) => run.startsWith(name)));
  const owner = folder.startsWith("published/") ? "published" : "own";
  const said = [element("span", { class: owner }, owner), " "];
  if (cell.status !== "finished") said.push(element("b", {}, `This run ${cell.status}${cell.error ? `: ${cell.error}` : ""}. `));
  if (base && spec) {
    const saved = 100 * (1 - spec.trajectory.duration / base.trajectory.duration);
    said.push(`${saved.toFixed(1)} % of this trajectory's time saved. `);
  }
  const place = `${folder}/${cell.cell}/`.split("/").map(encodeURIComponent).join("/");
  said.push("Raw records: ", link(["run folder", place]));
  for (const file of cell.files) said.push(", ", link([file, place + encodeURIComponent(file)]));
  box.replaceChildren(...said);
}

function showTurns(box, arms) {
  const head = ["arm", "time (s)", ...LEDGER.map(([, text]) => text)];
  const rows = arms.map(({ run, trajectory }) => [
    run,
    trajectory.duration.toFixed(3),
    ...LEDGER.map(([key]) => numberText(trajectory.ledger[key], key.endsWith("_s") ? 3 : 0)),
  ]);
  const tables = [element("h3", {}, "Arms"), plainTable(head, rows)];
  for (const { run, trajectory } of arms) {
    tables.push(element("h3", {}, `Turns of ${run}`));
    const columns = ["turn", "tokens in", "tokens out", "TTFT (s)", "E2EL (s)", "draft (s)", "confirmed calls", "executions"];
    tables.push(plainTable(columns, turnsOf(trajectory).map(turnRow)));
  }
  box.replaceChildren(...tables);
}

function turnsOf({ spans, marks }) {
  const turns = new Map();
  for (const thing of [...spans, ...marks]) {
    if (thing.turn === null) continue;
    if (!turns.has(thing.turn)) turns.set(thing.turn, { turn: thing.turn, calls: [], executions: [], decode: null, draft: null });
    const turn = turns.get(thing.turn);
    if (thing.what) turn.calls.push(thing);
    else if (thing.lane === "tool" && thing.state !== "confirmed") turn.executions.push(thing);
    else if (thing.lane === "decode" || thing.lane === "draft") turn[thing.lane] = thing;
  }
  return [...turns.values()].sort((one, other) => one.turn - other.turn);
}

function turnRow({ turn, decode, draft, calls, executions }) {
  const says = (name, digits) => numberText(decode?.about[name], digits);
  return [
    String(turn),
    says("tokens in", 0),
    says("tokens out", 0),
    says("TTFT (s)", 3),
    says("E2EL (s)", 3),
    draft ? (draft.to - draft.from).toFixed(3) + (draft.state === "cut_off" ? ", cut off" : "") : "-",
    calls.length ? element("div", {}, ...calls.map(({ about }) => callLine(about, about.outcome, "waited (s)", "saved (s)"))) : "none",
    executions.length ? element("div", {}, ...executions.map(({ about }) => callLine(about, about.fate, "tool ran (s)", "wasted (s)"))) : "none",
  ];
}

function callLine(about, word, ...times) {
  const said = times.filter((name) => name in about).map((name) => `${name.replace(" (s)", "")} ${about[name].toFixed(3)} s`);
  const line = element("div", { class: "call" }, element("b", {}, word), ` ${said.join(", ")} `, element("code", {}, `${about.tool}(${about.arguments})`));
  if (about.observation) line.append(element("details", {}, element("summary", {}, "observation"), element("pre", {}, about.observation)));
  return line;
}

function plainTable(head, rows) {
  const line = (name, cells) => element("tr", {}, ...cells.map((cell) => element(name, name === "th" ? { scope: "col" } : {}, cell)));
  const table = element("table", {}, element("thead", {}, line("th", head)), element("tbody", {}, ...rows.map((row) => line("td", row))));
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, table);
}

function showDetails(box, item, isKept) {
  const entries = Object.entries(item.thing.about).map(([name, value]) => {
    const content = Array.isArray(value)
      ? element("ul", {}, ...value.map((each) => element("li", {}, element("code", {}, each))))
      : name === "arguments" || name === "observation" ? element("code", {}, value) : typeof value === "number" && name.endsWith("(s)") ? value.toFixed(3) : String(value);
    return element("div", {}, element("dt", {}, name), element("dd", {}, content));
  });
  box.replaceChildren(element("p", {}, element("b", {}, spokenName(item)), isKept ? " (kept)" : ""), element("dl", { class: "facts" }, ...entries));
}
