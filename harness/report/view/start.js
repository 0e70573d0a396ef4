// Wires the parts of the page together, and reads the data that lie in it.

async function unpacked(script) {
  const bytes = Uint8Array.from(atob(script.textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

function data(name) {
  return unpacked(document.getElementById(`data-${name}`));
}

// The tables behind figures: of cells a part of the table of all cells, else the record's own.
function startFigures() {
  for (const box of document.querySelectorAll("details.behind")) {
    box.addEventListener("toggle", async () => {
      const { kind, name } = box.dataset;
      showTable(box, kind === "cells" ? await cellsOf(name) : (await data("behind-figures"))[name]);
    }, { once: true });
  }
}

async function cellsOf(name) {
  const table = await data("cells");
  const place = table.columns.findIndex(({ key }) => key === "folder");
  const folder = name.replace(/^results\//, "").replace(/\/[^/]*$/, "");
  return { ...table, rows: table.rows.filter((row) => row[place] === folder) };
}

startVerdicts();
startFigures();
const openTimeline = startTimelines();
for (const box of document.querySelectorAll(".data-table")) showTable(box, await data(box.dataset.source), box.dataset.source);
if (state.has("timeline")) document.getElementById("timelines").scrollIntoView();
document.body.dataset.ready = "yes";

addEventListener("hashchange", () => {
  if (!location.hash.includes("=")) return;
  const timeline = readState().get("timeline");
  for (const [key, value] of readState()) state.set(key, value);
  showVerdicts();
  if (!timeline || !openTimeline) return;
  openTimeline(timeline);
  document.getElementById("timelines").scrollIntoView();
});
addEventListener("beforeprint", () => document.querySelectorAll("#verdicts details").forEach((each) => { each.open = true; }));
