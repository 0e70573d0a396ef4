// A table that sorts by a click on a column's head and filters by the values of some columns and by text.

const PAGE_ROWS = 50;
const MAX_CHOICES = 40;

// Shows `table` ({columns, rows, note}) in `box`. What the reader chooses is in the address under `name`, if one is given.
function showTable(box, table, name) {
  const kept = (key) => (name ? state.get(`${name}-${key}`) : null) ?? "";
  const keep = (key, value) => name && remember(`${name}-${key}`, value);
  const places = Object.fromEntries(table.columns.map((column, place) => [column.key, place]));
  const choices = table.columns.filter((column) => column.is_choice && choicesOf(table, places[column.key]).length > 1);
  const [sortKey, sortOrder] = kept("sort").split(":");
  const chosen = {
    find: kept("find"),
    all: kept("columns") === "all",
    sort: sortKey in places ? sortKey : null,
    down: sortOrder === "down",
    rows: PAGE_ROWS,
    values: Object.fromEntries(choices.map((column) => [column.key, kept(column.key)])),
  };
  const output = element("output", { "aria-live": "polite" });
  const body = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" });
  const controls = element("div", { class: "filters" });
  for (const column of choices) {
    const select = element("select", { onchange: () => change(column.key, select.value) }, element("option", { value: "" }, "all"));
    for (const value of choicesOf(table, places[column.key])) select.append(element("option", { value }, value));
    select.value = chosen.values[column.key];
    controls.append(element("label", {}, `${column.label} `, select));
  }
  const find = element("input", { type: "search", size: 14, value: chosen.find, oninput: () => change("find", find.value) });
  controls.append(element("label", {}, "find ", find));
  if (table.columns.some((column) => !column.is_main)) {
    const all = element("input", { type: "checkbox", onchange: () => change("columns", all.checked ? "all" : "") });
    all.checked = chosen.all;
    controls.append(element("label", {}, all, " every column"));
  }
  box.append(controls, output, body);
  if (table.note) box.append(element("p", { class: "note" }, table.note));
  draw();

  function change(key, value) {
    keep(key, value);
    if (key === "find") chosen.find = value;
    else if (key === "columns") chosen.all = value === "all";
    else chosen.values[key] = value;
    chosen.rows = PAGE_ROWS;
    draw();
  }

  function sort(column) {
    // Numbers first from the largest on, texts from the first letter on.
    const first = column.kind === "number" || column.kind === "interval";
    chosen.down = chosen.sort === column.key ? !chosen.down : first;
    chosen.sort = column.key;
    keep("sort", `${column.key}:${chosen.down ? "down" : "up"}`);
    draw();
    body.querySelector(`th[data-key="${CSS.escape(column.key)}"] button`)?.focus();
  }

  function draw() {
    const columns = table.columns.filter((column) => column.is_main || chosen.all);
    const rows = wantedRows(table, places, chosen);
    const head = columns.map((column) => {
      const order = chosen.sort === column.key ? (chosen.down ? "descending" : "ascending") : "none";
      const button = element("button", { type: "button", onclick: () => sort(column) }, column.label);
      return element("th", { scope: "col", class: column.kind, "data-key": column.key, "aria-sort": order }, button);
    });
    const lines = rows.slice(0, chosen.rows).map((row) => {
      const cells = columns.map((column) => element("td", { class: column.kind }, cellContent(row[places[column.key]], column)));
      return element("tr", {}, ...cells);
    });
    body.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines)));
    const left = rows.length - lines.length;
    if (left > 0) {
      const more = () => { chosen.rows += 10 * PAGE_ROWS; draw(); };
      body.append(element("button", { type: "button", onclick: more }, `show ${Math.min(left, 10 * PAGE_ROWS)} more`));
    }
    output.textContent = `${lines.length} of ${table.rows.length} rows shown`;
  }
}

function choicesOf(table, place) {
  const values = [...new Set(table.rows.map((row) => row[place]))].filter((value) => typeof value === "string");
  return values.length <= MAX_CHOICES ? values.sort() : [];
}

function wantedRows(table, places, chosen) {
  const words = chosen.find.toLowerCase();
  const rows = table.rows.filter(
    (row) =>
      Object.entries(chosen.values).every(([key, value]) => value === "" || row[places[key]] === value) &&
      (words === "" || row.some((value) => plainText(value).toLowerCase().includes(words))),
  );
  if (chosen.sort === null) return rows;
  const place = places[chosen.sort];
  return rows.sort((one, other) => compared(sortValue(one[place]), sortValue(other[place]), chosen.down));
}

// What is not there comes last, whichever way is sorted.
function compared(one, other, down) {
  if (one === null || other === null) return (one === null) - (other === null);
  const order = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
  return down ? -order : order;
}

// A link sorts by its text, an interval by its middle.
function sortValue(value) {
  if (!Array.isArray(value)) return value;
  return value.length === 3 ? value[1] : value[0];
}

function plainText(value) {
  return Array.isArray(value) ? String(value[0]) : value === null ? "" : String(value);
}

function cellContent(value, { kind, digits }) {
  if (value === null || value === undefined) return "-";
  if (kind === "link") return link(value);
  if (kind === "interval") {
    const [low, mid, high] = value.map((limit) => numberText(limit, digits));
    return value[0] === null ? mid : `${mid} [${low}, ${high}]`;
  }
  if (kind === "number") return digits === null ? String(Number(value.toPrecision(5))) : numberText(value, digits);
  return String(value);
}
