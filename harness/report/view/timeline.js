// The viewer: the reader chooses experiment, cell, run and trajectory; both arms of a run are shown.

const CHOICES = ["folder", "cell", "run", "task"];

function startTimelines() {
  const controls = document.getElementById("timeline-choice");
  if (!controls) return;
  const parts = Object.fromEntries(["about", "legend", "drawing", "details", "turns"].map((name) => [name, document.getElementById(`timeline-${name}`)]));
  const select = Object.fromEntries([...CHOICES, "zoom"].map((name) => [name, controls.querySelector(`[data-choice=${name}]`)]));
  let cells = [];
  let shown = null;
  let kept = null;
  let width = 0;
  showLegend(parts.legend);
  CHOICES.forEach((name, index) => select[name].addEventListener("change", () => choose(index)));
  select.zoom.addEventListener("input", draw);
  new ResizeObserver(() => parts.drawing.clientWidth !== width && draw()).observe(parts.drawing);
  document.getElementById("trace-download").addEventListener("click", () => shown && downloadTrace(shown.cell, shown.arms));
  open(state.get("timeline") ?? "");
  return open;

  // Shows what an address names: FOLDER/CELL/RUN/TASK, or as much of it as is there.
  async function open(address) {
    const folder = [...select.folder.options].find(({ value }) => address === value || address.startsWith(`${value}/`))?.value;
    if (folder) select.folder.value = folder;
    const [cell, run, ...task] = folder ? address.slice(folder.length + 1).split("/") : [];
    await choose(0, [cell, run, task.join("/")]);
  }

  // Fills what comes after the choice number `index`, and shows it; `wanted` are cell, run and task, where there are such.
  async function choose(index, wanted = []) {
    if (index === 0) {
      const folder = select.folder.value;
      const found = await unpacked(document.querySelector(`.trajectories[data-folder="${CSS.escape(folder)}"]`));
      if (select.folder.value !== folder) return; // another has been chosen meanwhile
      cells = found;
      fill(select.cell, cells.map(({ cell }) => [cell, cell]), wanted[0] ?? mostSaving(cells));
    }
    const cell = cells.find((each) => each.cell === select.cell.value);
    if (index <= 1) fill(select.run, runsOf(cell), wanted[1]);
    const arms = Object.entries(cell.runs).filter(([run]) => numberOf(run) === select.run.value).sort();
    if (index <= 2) fill(select.task, tasksOf(arms), wanted[2] || mostTelling(arms));
    shown = { cell, arms: arms.flatMap(([run, of]) => of.filter(({ task }) => task === select.task.value).map((trajectory) => ({ run, trajectory }))) };
    const address = [select.folder.value, cell.cell, select.run.value, select.task.value].join("/");
    if (index > 0 || wanted[0]) remember("timeline", address);
    showAbout(parts.about, select.folder.value, cell, shown.arms);
    showTurns(parts.turns, shown.arms);
    draw();
  }

  function draw() {
    if (!shown) return;
    kept = null;
    width = parts.drawing.clientWidth;
    const items = drawTimeline(parts.drawing, shown.arms, Number(select.zoom.value), (item, isKept) => {
      if (kept && !isKept) return;
      kept?.shape.classList.remove("kept");
      kept = isKept && kept?.shape !== item.shape ? item : null;
      kept?.shape.classList.add("kept");
      showDetails(parts.details, item, kept !== null);
    });
    const ofTools = items.filter(({ thing }) => thing.about.tool);
    showDetails(parts.details, ofTools.find(({ arm }) => arm.run.startsWith("spec")) ?? ofTools[0] ?? items[0], false);
    parts.drawing.dataset.shown = select.task.value;
  }
}

function fill(select, options, wanted) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  if (options.some(([value]) => value === wanted)) select.value = wanted;
}

// The cell whose executions saved most of the tools' time.
function mostSaving(cells) {
  const saved = ({ runs }) => Object.values(runs).flat().reduce((sum, { ledger }) => sum + (ledger.saved_tool_s ?? 0), 0);
  return cells.reduce((best, cell) => (saved(cell) > saved(best) ? cell : best)).cell;
}

function numberOf(run) {
  return run.slice(run.lastIndexOf("-") + 1);
}

function runsOf({ runs }) {
  const names = Object.keys(runs).sort();
  const numbers = [...new Set(names.map(numberOf))].sort();
  return numbers.map((number) => [number, `${number}: ${names.filter((name) => numberOf(name) === number).join(" and ")}`]);
}

function tasksOf(arms) {
  const tasks = [...new Set(arms.flatMap(([, of]) => of.map(({ task }) => task)))];
  return tasks.map((task) => [task, [task, ...arms.flatMap(([run, of]) => of.filter((each) => each.task === task && run.startsWith("spec")).map(hitsAndWaste))].join(": ")]);
}

function hitsAndWaste({ ledger }) {
  const hits = ledger.num_ready_hits + ledger.num_pending_hits;
  const lost = ledger.num_wasted + ledger.num_cancelled + ledger.num_failed;
  return `hits ${hits}, misses ${ledger.num_misses}, in vain ${lost}`;
}

// The first trajectory with both a hit and an execution in vain, else any.
function mostTelling(arms) {
  const of = arms.find(([run]) => run.startsWith("spec"))?.[1] ?? [];
  return of.find(({ ledger }) => ledger.num_ready_hits + ledger.num_pending_hits > 0 && ledger.num_launched > ledger.num_used)?.task;
}
