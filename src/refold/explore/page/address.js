// The state of the page in its address, after the #: the view, the colors and the sequence.

const parseNumbers = (text) => text.split(",").map(Number);
const areNumbers = (list, length) => list.length === length && list.every(Number.isFinite);

// Returns what an address says, without values that are not valid.
export function readAddress(info) {
  const params = new URLSearchParams(location.hash.slice(1));
  const address = {};
  const view = parseNumbers(params.get("view") ?? "");
  if (areNumbers(view, 3) && view[2] > 0) address.view = { x: view[0], y: view[1], zoom: view[2] };
  if (params.get("map") === "umap" && info.maps?.includes("umap")) address.map = "umap";
  if (params.get("look") === "density") address.look = "density";
  if (params.has("color")) address.color = params.get("color");
  const clusters = Number(params.get("clusters") ?? NaN);
  if (Number.isInteger(clusters)) address.clusters = clusters;
  if (params.has("hide")) address.hidden = parseNumbers(params.get("hide")).filter(Number.isInteger);
  const shares = parseNumbers(params.get("range") ?? "");
  if (areNumbers(shares, 2)) address.shares = shares.map((share) => Math.max(0, Math.min(100, share)));
  const ends = ["a", "b"].map((end) => Number(params.get(end) || NaN));
  address.ends = ends.map((row) => (Number.isInteger(row) && row >= 0 && row < info.count ? row : null));
  const row = Number(params.get("row") ?? NaN);
  if (Number.isInteger(row) && row >= 0 && row < info.count) address.row = row;
  const place = parseNumbers(params.get("at") ?? "");
  if (areNumbers(place, 2)) address.at = place;
  const code = parseNumbers(params.get("code") ?? "");
  if (areNumbers(code, info.dimensions.mean.length)) address.code = code;
  return address;
}

let timer = 0;
// The part after the # that the page has read or written last.
let lastHash = location.hash;

// Writes the state to the address, at most once in 150 milliseconds, as browsers limit changes.
export function writeAddress(state) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (location.hash !== lastHash) return; // the user has just edited it, and a hashchange event follows
    const params = new URLSearchParams();
    const { x, y, zoom } = state.map.view;
    const toText = (value) => String(Number(value.toPrecision(5)));
    if (x || y || zoom !== 1) params.set("view", [x, y, zoom].map(toText).join(","));
    if (state.mapName !== "pca") params.set("map", state.mapName);
    if (state.map.look !== "points") params.set("look", state.map.look);
    params.set("color", state.field?.name ?? "");
    if (state.field?.clusters?.number != null) params.set("clusters", state.field.clusters.number);
    if (state.hidden.size) params.set("hide", [...state.hidden].join(","));
    const { shares } = state.field ?? {};
    if (shares && (shares[0] > 0 || shares[1] < 100)) params.set("range", shares.join(","));
    state.ends.forEach((end, i) => end?.row >= 0 && params.set("ab"[i], end.row));
    if (state.kind === "row") params.set("row", state.row);
    if (state.kind === "at") params.set("at", state.at.map(toText).join(","));
    if (state.kind === "code") params.set("code", [...state.code].map(toText).join(","));
    history.replaceState(null, "", `#${params}`);
    lastHash = location.hash;
  }, 150);
}

// Calls onChange() when the user edits the address or goes back.
export function watchAddress(onChange) {
  addEventListener("hashchange", () => {
    if (location.hash === lastHash) return;
    lastHash = location.hash;
    onChange();
  });
}
