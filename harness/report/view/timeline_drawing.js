// Draws a trajectory, an arm above the other on one axis of time: a lane for each thing at work.

const LANES = ["prefill", "decode", "draft", "tool", "calls", "posts", "overhead"];
const LABEL_WIDTH = 150;
const END_WIDTH = 60;
const LANE_HEIGHT = 22;
const ROW_HEIGHT = 11;
const MIN_BAR = 2;
const MARKS = {
  ready_hit: "M0,-7 L2,-2 7,-2 3,1.5 4.5,7 0,3.5 -4.5,7 -3,1.5 -7,-2 -2,-2 Z",
  pending_hit: "M-2,-6 H2 V-2 H6 V2 H2 V6 H-2 V2 H-6 V-2 H-2 Z",
  miss: "M-5,-6 L0,-1.5 5,-6 6,-5 1.5,0 6,5 5,6 0,1.5 -5,6 -6,5 -1.5,0 -6,-5 Z",
  posted: "M0,-6 L6,5 -6,5 Z",
};

// `arms` is [{run, trajectory}]; `choose(item, isKept)` is called with what the reader points at or keeps. Returns the
// items: {arm, lane, thing, shape}.
function drawTimeline(box, arms, zoom, choose) {
  const seconds = Math.max(...arms.map(({ trajectory }) => trajectory.duration), 1e-6);
  const inner = Math.max(300, box.clientWidth - 4 - LABEL_WIDTH - END_WIDTH) * 1.6 ** zoom;
  const x = (time) => LABEL_WIDTH + (inner * time) / seconds;
  const root = drawn("svg", { class: "timeline", width: LABEL_WIDTH + inner + END_WIDTH, role: "group" });
  root.append(hatching());
  const ticks = tickTimes(seconds, inner);
  const items = [];
  let y = 6;
  for (const arm of arms) {
    const top = y;
    root.append(drawn("text", { x: 4, y: y + 13, class: "arm" }, arm.run));
    y += 20;
    for (const lane of LANES) {
      const things = inLane(arm, lane);
      if (things.length === 0) continue;
      const rows = Math.max(...things.map(({ rows }) => rows ?? 1));
      const height = Math.max(LANE_HEIGHT, rows * ROW_HEIGHT + 4);
      root.append(drawn("text", { x: LABEL_WIDTH - 8, y: y + height / 2 + 4, class: "lane" }, lane));
      root.append(drawn("line", { x1: LABEL_WIDTH, x2: LABEL_WIDTH + inner, y1: y + height, y2: y + height, class: "rule" }));
      for (const thing of things) {
        const item = { arm, lane, thing, shape: thing.what ? mark(thing, x, y + height / 2) : bar(thing, x, y + 2, height - 4) };
        items.push(item);
        root.append(item.shape);
      }
      y += height;
    }
    const end = x(arm.trajectory.duration);
    root.append(drawn("line", { x1: end, x2: end, y1: top + 16, y2: y, class: "end" }));
    root.append(drawn("text", { x: end + 4, y: y - 6, class: "end-text" }, `${arm.trajectory.duration.toFixed(2)} s`));
    y += 10;
  }
  for (const time of ticks) {
    root.prepend(drawn("line", { x1: x(time), x2: x(time), y1: 6, y2: y, class: "grid" }));
    root.append(drawn("text", { x: x(time), y: y + 12, class: "tick" }, String(time)));
  }
  root.append(drawn("text", { x: LABEL_WIDTH, y: y + 28, class: "axis-name" }, "time since the trajectory's start (s)"));
  root.setAttribute("height", y + 34);
  box.replaceChildren(root);
  reach(items, choose);
  return items;
}

function inLane({ trajectory }, lane) {
  if (lane === "posts" || lane === "calls") return trajectory.marks.filter(({ what }) => (what === "posted") === (lane === "posts"));
  return trajectory.spans.filter((span) => span.lane === lane);
}

function bar(span, x, y, height) {
  const width = Math.max(MIN_BAR, x(span.to) - x(span.from));
  const [top, tall] = [y + (height * span.row) / span.rows, height / span.rows];
  return drawn("rect", { x: x(span.from), y: top, width, height: Math.max(3, tall - 1), class: `bar ${stateClass(span)}` });
}

function mark(thing, x, y) {
  return drawn("path", { d: MARKS[thing.what], transform: `translate(${x(thing.at)},${y})`, class: `mark ${thing.what}` });
}

function stateClass({ lane, state }) {
  if (lane !== "tool") return lane;
  return state === "confirmed" || state === "used" ? `tool-${state}` : "tool-lost";
}

function hatching() {
  const line = drawn("path", { d: "M0,6 L6,0", class: "hatch" });
  return drawn("defs", {}, drawn("pattern", { id: "lost", width: 6, height: 6, patternUnits: "userSpaceOnUse" }, line));
}

function tickTimes(seconds, width) {
  const wanted = Math.max(2, width / 90);
  const power = 10 ** Math.floor(Math.log10(seconds / wanted));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => seconds / each <= wanted);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => Number((index * step).toFixed(digits)));
}

// One of the bars is in the order of the tab key, the arrow keys lead from one to the next.
function reach(items, choose) {
  items.forEach((item, index) => {
    const { shape } = item;
    const name = spokenName(item);
    shape.setAttribute("tabindex", index === 0 ? 0 : -1);
    shape.setAttribute("role", "button");
    shape.setAttribute("aria-label", name);
    shape.append(drawn("title", {}, name));
    shape.addEventListener("mouseenter", () => choose(item, false));
    shape.addEventListener("focus", () => choose(item, false));
    shape.addEventListener("click", () => choose(item, true));
    shape.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Enter" || event.key === " ") choose(item, true);
      else if (step === undefined) return;
      else move(index, step);
      event.preventDefault();
    });
  });

  function move(index, step) {
    const next = items[Math.min(items.length - 1, Math.max(0, index + step))];
    items.forEach(({ shape }) => shape.setAttribute("tabindex", -1));
    next.shape.setAttribute("tabindex", 0);
    next.shape.focus();
  }
}

function spokenName({ arm, lane, thing }) {
  const turn = thing.turn === null ? "" : `, turn ${thing.turn}`;
  const tool = thing.about.tool ? ` ${thing.about.tool}` : "";
  if (thing.what) return `${arm.run}${turn}: ${thing.what.replace("_", " ")}${tool} at ${thing.at.toFixed(3)} s`;
  const state = thing.state ? ` (${thing.state.replace("_", " ")})` : "";
  return `${arm.run}${turn}: ${lane}${tool}${state}, ${(thing.to - thing.from).toFixed(3)} s from ${thing.from.toFixed(3)} s on`;
}
