// Shows the verdicts that were asked for: by outcome (one or more), claimant, record and text.

const VERDICT_FILTERS = ["outcome", "of", "records", "find"];

function showVerdicts() {
  const wanted = Object.fromEntries(VERDICT_FILTERS.map((name) => [name, state.get(name) ?? ""]));
  const outcomes = wanted.outcome ? wanted.outcome.split(",") : [];
  const words = wanted.find.toLowerCase();
  const rows = [...document.querySelectorAll("#verdict-table tbody tr")];
  for (const row of rows) {
    const { outcome, of, records } = row.dataset;
    row.hidden =
      (outcomes.length > 0 && !outcomes.includes(outcome)) ||
      (wanted.of !== "" && wanted.of !== of) ||
      (wanted.records !== "" && wanted.records !== records) ||
      (words !== "" && !row.textContent.toLowerCase().includes(words));
  }
  for (const control of document.querySelectorAll("#verdicts [data-filter]")) {
    const name = control.dataset.filter;
    if (name === "outcome") control.setAttribute("aria-pressed", outcomes.includes(control.dataset.value));
    else if (control.value !== wanted[name]) control.value = wanted[name];
  }
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("verdicts-shown").textContent = `${shown} of ${rows.length} claims shown`;
}

function startVerdicts() {
  for (const control of document.querySelectorAll("#verdicts [data-filter]")) {
    const name = control.dataset.filter;
    if (name === "outcome") {
      control.addEventListener("click", () => {
        const outcomes = new Set((state.get("outcome") ?? "").split(",").filter(Boolean));
        if (!outcomes.delete(control.dataset.value)) outcomes.add(control.dataset.value);
        remember("outcome", [...outcomes].join(","));
        showVerdicts();
      });
    } else {
      control.addEventListener("input", () => {
        remember(name, control.value);
        showVerdicts();
      });
    }
  }
  showVerdicts();
}
