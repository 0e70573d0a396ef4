// Makes elements. Text of records becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function element(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function link([text, href]) {
  return href ? element("a", { href }, text) : text;
}

// "3", "0.250" or "-": what is not measured is not 0.
function numberText(value, digits) {
  return value === null || value === undefined ? "-" : value.toFixed(digits).replace(/^-(0(\.0*)?)$/, "$1");
}
