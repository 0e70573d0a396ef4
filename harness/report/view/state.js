// State in the address: what is filtered, sorted and shown, so that a link leads to it.
// An address without "=" after the hash is a plain link to a part of the page.

let state = readState();

function readState() {
  return new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
}

function remember(key, value) {
  if (value) state.set(key, value);
  else state.delete(key);
  history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
}
