// The page: its state, the colors of the map, and what the pointer and the keys do.

import { UserError } from "./api.js";
import { watchAddress, readAddress, writeAddress } from "./address.js";
import { pointColors, colorRange, rgb } from "./colors.js";
import { ClusterChoice } from "./clusters.js";
import { $, cssColor, RadioGroup, showText } from "./dom.js";
import { Finder } from "./finder.js";
import { MapSwitch } from "./mapswitch.js";
import { drawLegend } from "./legend.js";
import { PointMap } from "./map.js";
import { clusterCenters, drawMarks } from "./marks.js";
import { Panel } from "./panel.js";
import { fieldText } from "./numbers.js";
import { resetColors } from "./plot.js";
import { Pointer } from "./pointer.js";
import { Selection } from "./selection.js";

// A click this near to a point, in pixels, shows its sequence. Any other click decodes a place.
const CLICK_PIXELS = 14;
// The state that the modules share. `kind` is what the panel shows: "row" (a sequence), "at" (a place),
// "code" or "added". `ends` are the ends A and B of the path, and `centers` those of clusters.
const state = {
  source: null,
  info: null,
  map: null,
  mode: "decode",
  field: null,
  values: null,
  hidden: new Set(),
  kind: "",
  row: -1,
  at: null,
  code: null,
  ends: [null, null],
  lasso: null,
  mapName: "pca", // of the map that is shown
  centers: null,
  placeMark,
};

function showError(error) {
  const isForUser = error instanceof UserError;
  if (!isForUser) console.error(error);
  const message = isForUser ? error.message : "The page failed. Reload it; the console says why.";
  $("error").querySelector("p").textContent = message;
  $("error").hidden = false;
}

// Moves the mark of the current place, an SVG element, so that a drag need not draw the map again.
function placeMark() {
  const mark = $("mark");
  mark.classList.toggle("away", !state.at || Boolean(state.map.share));
  if (!state.at) return;
  const [x, y] = state.map.toPixels(...state.at);
  mark.classList.toggle("row", state.kind === "row");
  mark.style.transform = `translate(${x}px, ${y}px)`;
}

function updateColors() {
  const colors = pointColors(state.field, state.values, state.info.count, rgb(cssColor("--point")), state.hidden);
  selection.dim(colors);
  state.map.setColors(colors);
  writeAddress(state);
}

function selectVisible() {
  const rows = [];
  for (let i = 0; i < state.info.count; i++) if (state.map.isShown(i)) rows.push(i);
  selection.set(rows);
}

async function colorBy(name, hidden = [], shares = null) {
  let field = state.info.fields.find((candidate) => candidate.name === name) ?? null;
  state.field = field;
  state.hidden = new Set(hidden);
  if (field) field.shares = shares; // percentiles of the numbers that are visible
  clusters.show();
  state.values = state.centers = null;
  $("color").value = $("color").title = field?.name ?? "";
  if (field) {
    const isCurrent = () => state.field === field;
    const showProgress = () => showText($("busy"), `Computing ${field.name}…`);
    try {
      const values = await state.source.field(field.name, showProgress, isCurrent);
      if (!isCurrent()) return;
      if (field.type === "category" && !field.categories) {
        // categories and notes of clusters are known only after the clusters are computed
        state.info.fields = await state.source.fields();
        field = state.field = state.info.fields.find((candidate) => candidate.name === name);
        clusters.show();
      }
      state.values = values;
      updateCenters();
      if (field.type === "number") field.domain = colorRange(values, field.log);
    } catch (error) {
      if (isCurrent()) state.field = null;
      $("color").value = "";
      clusters.show();
      showError(error);
    }
    $("busy").hidden = true;
  }
  drawLegend($("legend"), state.field, state.values, state.hidden, updateColors, selectVisible);
  updateColors();
}

// Replaces the field with the same name, and colors the map by it.
function replaceField(field) {
  const { fields } = state.info;
  fields[fields.findIndex((candidate) => candidate.name === field.name)] = field;
  return colorBy(field.name);
}

function updateCenters() {
  const { field, values, map } = state;
  state.centers = field?.clusters && values ? clusterCenters(field, values, map.places) : null;
}

function setMode(mode) {
  state.mode = mode;
  modes.mark(mode);
  $("overlay").dataset.mode = mode;
}

function setLook(look) {
  looks.mark(look);
  state.map.setLook(look);
  describeAxes();
  writeAddress(state);
}

// Is called when the points have moved to another map.
async function onMapChange() {
  updateCenters();
  describeAxes();
  await Promise.all([panel.relocate(), adding.relocate()]);
  state.map.redraw();
  writeAddress(state);
}

function fillColorOptions() {
  const options = state.info.fields.map((field) => new Option(field.name, field.name));
  $("color").replaceChildren(new Option("nothing", ""), ...options);
}

// Names the sequence near a position of the pointer, in pixels; null is outside of the map.
function hover(position) {
  const tip = $("tip");
  const row = position && state.info ? state.map.nearest(...position, 10) : -1;
  tip.hidden = row < 0;
  $("overlay").classList.toggle("over", row >= 0);
  if (row < 0) return;
  const value = state.values?.[row];
  const id = state.info.ids ? `id ${state.info.ids[row]}` : `sequence ${row}`;
  tip.textContent = state.values ? `${id} · ${state.field.name} ${fieldText(state.field, value)}` : id;
  // left of the pointer if there is no room on the right
  const [x, y] = position;
  const fits = x + 16 + tip.offsetWidth <= state.map.width;
  const left = fits ? x + 16 : Math.max(4, x - 16 - tip.offsetWidth);
  tip.style.transform = `translate(${left}px, ${y + 12}px)`;
}

// Shows the sequence near a pixel, or decodes the place there.
function click(x, y) {
  const row = state.map.nearest(x, y, CLICK_PIXELS);
  if (row >= 0) panel.showRow(row);
  else panel.probe(state.map.toPlace(x, y));
}

// Shows a lasso, an array of coordinates; at its end, selects the points inside.
function lasso(path, done) {
  state.lasso = done ? null : path;
  if (done && path && path.length >= 6) {
    selection.set(state.map.grid.findInPolygon(path, (i) => state.map.isShown(i)));
  }
  state.map.redraw();
}

function onKey(event) {
  const tag = event.target.tagName;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (["INPUT", "SELECT", "TEXTAREA", "SUMMARY"].includes(tag)) return;
  $("overlay").classList.remove("by-pointer");
  const onMap = event.target === $("overlay") || event.target === document.body;
  const step = (event.shiftKey ? 40 : 8) / state.map.unit;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const keys = {
    "+": () => zoom(1.4),
    "=": () => zoom(1.4),
    "-": () => zoom(1 / 1.4),
    0: fit,
    "[": () => panel.step(-1),
    "]": () => panel.step(1),
    a: () => panel.setEnd(0),
    b: () => panel.setEnd(1),
    d: () => setMode("decode"),
    p: () => setMode("pan"),
    l: () => setMode("lasso"),
    u: () => !$("maps").hidden && mapSwitch.choose(mapSwitch.chosen === "pca" ? "umap" : "pca"),
    v: () => setLook(state.map.look === "points" ? "density" : "points"),
    "/": () => finder.focus(),
    "?": () => $("help").showModal(),
    Escape: () => selection.set([]),
  };
  if (onMap && moves[event.key]) {
    const [x, y] = state.at ?? [state.map.view.x, state.map.view.y];
    panel.probe([x + step * moves[event.key][0], y + step * moves[event.key][1]]);
  } else if (onMap && event.key === "Enter" && state.at) {
    const row = state.map.nearest(...state.map.toPixels(...state.at), 1e5);
    if (row >= 0) panel.showRow(row);
  } else if (onMap && event.key === " ") {
    panel.play();
  } else if (keys[event.key]) {
    keys[event.key]();
  } else return;
  event.preventDefault();
}

function zoom(factor) {
  state.map.zoomAt(state.map.width / 2, state.map.height / 2, factor);
  writeAddress(state);
}

function fit() {
  state.map.setView({ x: 0, y: 0, zoom: 1 });
  writeAddress(state);
}

// Shows what the address says, or the defaults.
async function restore() {
  const address = readAddress(state.info);
  const mapName = address.map ?? "pca";
  const firstCategory = state.info.fields.find((candidate) => candidate.type === "category" && candidate.categories);
  const name = address.color ?? firstCategory?.name ?? "";
  setLook(address.look ?? "points");
  panel.setEnds(address.ends);
  await clusters.restore(name, address.clusters);
  const tasks = [colorBy(name, address.hidden, address.shares)];
  // the view and the place are restored when their map is shown, which may have to be computed
  const restorePlace = () => {
    if (address.view) state.map.setView(address.view);
    return address.at && panel.probe(address.at);
  };
  if (mapName === state.mapName) restorePlace();
  else mapSwitch.choose(mapName).then((isShown) => isShown && restorePlace());
  if (address.row !== undefined) tasks.push(panel.showRow(address.row));
  else if (address.code) panel.showCode(address.code);
  else if (!address.at || mapName !== state.mapName) panel.begin();
  await Promise.all(tasks);
}

const percent = (share) => `${Math.round(100 * share)} %`;

function describeAxes() {
  const { explained } = state.info;
  const densityNote = state.map.look === "density" ? " · stronger color: more sequences" : "";
  const pcaAxes = `PC 1: ${percent(explained[0])} · PC 2: ${percent(explained[1])}`;
  const axes = state.mapName === "umap" ? "UMAP: near is similar, far says little" : pcaAxes;
  $("axes").textContent = axes + densityNote;
}

function describeMap({ explained, count, noun, model }) {
  $("title").textContent = $("title").title = `${model} · ${count.toLocaleString("en")} ${noun}`;
  document.title = `${model} – Refold explorer`;
  describeAxes();
  $("about-map").textContent =
    "PCA shows the first two principal components of the codes. Each latent dimension counts " +
    `by how much it changes the decoded sequence. The map shows ${percent(explained[0] + explained[1])} ` +
    "of the variance; a place decodes with all other components at their mean. " +
    "UMAP keeps similar sequences together; a place between points decodes to a mean of their codes.";
  showText($("about-page"), state.source.about ?? "");
}

function addListeners() {
  new Pointer(state.map, {
    mode: () => state.mode,
    probe: (x, y) => panel.probe(state.map.toPlace(x, y)),
    moved: () => writeAddress(state),
    click,
    hover,
    lasso,
  });
  $("color").onchange = () => colorBy($("color").value);
  $("zoom-in").onclick = () => zoom(1.4);
  $("zoom-out").onclick = () => zoom(1 / 1.4);
  $("fit").onclick = fit;
  $("help-button").onclick = () => $("help").showModal();
  $("error").querySelector("button").onclick = () => ($("error").hidden = true);
  addEventListener("keydown", onKey);
  watchAddress(() => restore().catch(showError));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    resetColors();
    updateColors();
    panel.redraw();
  });
}

let panel, selection, adding, mapSwitch, modes, looks, clusters, finder;

async function start(SequenceAdder) {
  const marks = (context, map) =>
    state.info &&
    drawMarks(context, map, { state, neighbors: panel?.neighborRows ?? [], added: adding?.addedSequences ?? [] });
  state.map = new PointMap($("points"), $("overlay"), marks);
  state.map.moved = placeMark;
  const { info, places } = await state.source.start();
  state.info = info;
  fillColorOptions();
  describeMap(info);
  state.map.setPoints(places);
  panel = new Panel(state, showError);
  selection = new Selection(state, updateColors, showError);
  adding = new SequenceAdder(state, panel, showError);
  mapSwitch = new MapSwitch(state, places, showError, onMapChange);
  modes = new RadioGroup(document, "mode", setMode);
  looks = new RadioGroup(document, "look", setLook);
  clusters = new ClusterChoice(state, replaceField, showError);
  finder = new Finder(state, (row) => panel.showRow(row), showError);
  addListeners();
  setMode("decode");
  $("busy").hidden = true;
  await restore();
  document.documentElement.dataset.ready = "true";
}

// Starts the page with a source of data, a server or the page itself, and the class of the Add button.
export async function begin(source, SequenceAdder) {
  state.source = source;
  try {
    await start(SequenceAdder);
  } catch (error) {
    $("busy").hidden = true;
    showError(error);
  }
}
