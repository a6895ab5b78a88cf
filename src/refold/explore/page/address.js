// The view in the address of the page, after the #.

const numbers = (text) => text.split(",").map(Number);
const valid = (list, size) => list.length === size && list.every(Number.isFinite);

export function readAddress(info) {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = {};
  const view = numbers(given.get("view") ?? "");
  if (valid(view, 3) && view[2] > 0) found.view = { x: view[0], y: view[1], zoom: view[2] };
  if (given.get("map") === "umap" && info.maps?.includes("umap")) found.map = "umap";
  if (given.get("look") === "density") found.look = "density";
  if (given.has("color")) found.color = given.get("color");
  const clusters = Number(given.get("clusters") ?? NaN);
  if (Number.isInteger(clusters)) found.clusters = clusters;
  if (given.has("hide")) found.hidden = numbers(given.get("hide")).filter(Number.isInteger);
  const shares = numbers(given.get("range") ?? "");
  if (valid(shares, 2)) found.shares = shares.map((one) => Math.max(0, Math.min(100, one)));
  found.ends = ["a", "b"].map((end) => Number(given.get(end) || NaN)).map((one) => (Number.isInteger(one) && one >= 0 && one < info.count ? one : null));
  const row = Number(given.get("row") ?? NaN);
  if (Number.isInteger(row) && row >= 0 && row < info.count) found.row = row;
  const at = numbers(given.get("at") ?? "");
  if (valid(at, 2)) found.at = at;
  const code = numbers(given.get("code") ?? "");
  if (valid(code, info.dimensions.mean.length)) found.code = code;
  return found;
}

let timer = 0;
// The hash that the page has read or written last.
let known = location.hash;

export function writeAddress(state) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (location.hash !== known) return; // the reader has just edited it, and `changed` is on its way
    const said = new URLSearchParams();
    const { x, y, zoom } = state.map.view;
    const short = (value) => String(Number(value.toPrecision(5)));
    if (x || y || zoom !== 1) said.set("view", [x, y, zoom].map(short).join(","));
    if (state.layout !== "pca") said.set("map", state.layout);
    if (state.map.look !== "points") said.set("look", state.map.look);
    if (state.field) said.set("color", state.field.name);
    else said.set("color", "");
    if (state.field?.clusters?.number != null) said.set("clusters", state.field.clusters.number);
    if (state.hidden.size) said.set("hide", [...state.hidden].join(","));
    const { shares } = state.field ?? {};
    if (shares && (shares[0] > 0 || shares[1] < 100)) said.set("range", shares.join(","));
    state.ends.forEach((end, i) => end?.row >= 0 && said.set("ab"[i], end.row));
    if (state.kind === "row") said.set("row", state.row);
    if (state.kind === "at") said.set("at", state.at.map(short).join(","));
    if (state.kind === "code") said.set("code", [...state.code].map(short).join(","));
    history.replaceState(null, "", `#${said}`);
    known = location.hash;
  }, 150);
}

// Calls changed() when the reader edits the address or goes back.
export function onAddress(changed) {
  addEventListener("hashchange", () => {
    if (location.hash === known) return;
    known = location.hash;
    changed();
  });
}
