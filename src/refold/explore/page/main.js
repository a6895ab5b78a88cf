// The page: the state, the map with its colors and marks, and what keys do.

import { UserError } from "./api.js";
import { watchAddress, readAddress, writeAddress } from "./address.js";
import { pointColors, colorRange } from "./colors.js";
import { RadioGroup } from "./choices.js";
import { ClusterChoice } from "./clusters.js";
import { Finder } from "./finder.js";
import { MapSwitch } from "./layouts.js";
import { drawLegend } from "./legend.js";
import { PointMap } from "./map.js";
import { clusterCenters, cssColor, drawMarks } from "./marks.js";
import { Panel } from "./panel.js";
import { fieldText } from "./numbers.js";
import { resetColors } from "./plot.js";
import { Pointer } from "./pointer.js";
import { Selection } from "./selection.js";

const $ = (id) => document.getElementById(id);
const NEAR = 14; // pixels within which a point is meant
const state = {
  source: null, info: null, map: null, mode: "decode", field: null, values: null, hidden: new Set(),
  kind: "", row: -1, at: null, code: null, ends: [null, null], lasso: null,
  layout: "pca", centers: null, placeMark,
};

export function showError(error) {
  if (!(error instanceof UserError)) console.error(error);
  $("error").querySelector("p").textContent =
    error instanceof UserError ? error.message : "The page failed. Reload it; the console says why.";
  $("error").hidden = false;
}

// Moves the mark of the place at hand, an element of its own: a drag draws nothing else on the map.
function placeMark() {
  const mark = $("mark");
  mark.classList.toggle("away", !state.at || Boolean(state.map.share));
  if (!state.at) return;
  const [x, y] = state.map.toPixels(...state.at);
  mark.classList.toggle("row", state.kind === "row");
  mark.style.transform = `translate(${x}px, ${y}px)`;
}

function recolor() {
  const plain = [1, 3, 5].map((i) => parseInt(cssColor("--point").slice(i, i + 2), 16));
  const colors = pointColors(state.field, state.values, state.info.count, plain, state.hidden);
  selection.dim(colors);
  state.map.setColors(colors);
  writeAddress(state);
}

function selectShown() {
  const rows = [];
  for (let i = 0; i < state.info.count; i++) if (state.map.isShown(i)) rows.push(i);
  selection.set(rows);
}

async function colorBy(name, hidden = [], shares = null) {
  let field = state.info.fields.find((one) => one.name === name) ?? null;
  state.field = field;
  state.hidden = new Set(hidden);
  if (field) field.shares = shares; // of a number, the part that is shown
  clusters.show();
  state.values = state.centers = null;
  $("color").value = $("color").title = field?.name ?? "";
  if (field) {
    const busy = $("busy");
    const current = () => state.field === field;
    const say = () => {
      busy.textContent = `Computing ${field.name}…`;
      busy.hidden = false;
    };
    try {
      const values = await state.source.field(field.name, say, current);
      if (!current()) return;
      if (field.type === "category" && !field.categories) {
        // its categories are known now, and what there is to say about them
        state.info.fields = await state.source.fields();
        field = state.field = state.info.fields.find((one) => one.name === name);
        clusters.show();
      }
      state.values = values;
      findCenters();
      if (field.type === "number") field.domain = colorRange(values, field.log);
    } catch (error) {
      if (current()) state.field = null;
      $("color").value = "";
      clusters.show();
      showError(error);
    }
    busy.hidden = true;
  }
  drawLegend($("legend"), state.field, state.values, state.hidden, recolor, selectShown);
  recolor();
}

// Colors the map by a field that takes the place of the one with its name.
function replaceField(field) {
  const { fields } = state.info;
  fields[fields.findIndex((one) => one.name === field.name)] = field;
  return colorBy(field.name);
}

function findCenters() {
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
  sayAxes();
  writeAddress(state);
}

// After the points have moved to another map.
async function onLayout() {
  findCenters();
  sayAxes();
  await Promise.all([panel.relocate(), adding.relocate()]);
  state.map.redraw();
  writeAddress(state);
}

function fillColors() {
  const { field, info } = state;
  $("color").replaceChildren(new Option("nothing", ""), ...info.fields.map((one) => new Option(one.name, one.name)));
  $("color").value = field?.name ?? "";
}

function hover(place) {
  const tip = $("tip");
  const row = place && state.info ? state.map.nearest(...place, 10) : -1;
  tip.hidden = row < 0;
  $("overlay").classList.toggle("over", row >= 0);
  if (row < 0) return;
  const value = state.values?.[row];
  const id = state.info.ids ? `id ${state.info.ids[row]}` : `sequence ${row}`;
  tip.textContent = state.values ? `${id} · ${state.field.name} ${fieldText(state.field, value)}` : id;
  const fits = place[0] + 16 + tip.offsetWidth <= state.map.width;
  const left = fits ? place[0] + 16 : Math.max(4, place[0] - 16 - tip.offsetWidth);
  tip.style.transform = `translate(${left}px, ${place[1] + 12}px)`;
}

function click(x, y) {
  const row = state.map.nearest(x, y, NEAR);
  if (row >= 0) panel.showRow(row);
  else panel.probe(state.map.toPlace(x, y));
}

function lasso(path, done) {
  state.lasso = done ? null : path;
  if (done && path && path.length >= 6) {
    selection.set(state.map.grid.within(path, (i) => state.map.isShown(i)));
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
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit,
    "[": () => panel.step(-1), "]": () => panel.step(1),
    a: () => panel.setEnd(0), b: () => panel.setEnd(1),
    d: () => setMode("decode"), p: () => setMode("pan"), l: () => setMode("lasso"),
    u: () => !$("maps").hidden && layouts.choose(layouts.wanted === "pca" ? "umap" : "pca"),
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
  } else {
    return;
  }
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

async function restore() {
  const given = readAddress(state.info);
  const there = given.map ?? "pca";
  const first = state.info.fields.find((one) => one.type === "category" && one.categories);
  const name = given.color ?? first?.name ?? "";
  setLook(given.look ?? "points");
  panel.setEnds(given.ends);
  await clusters.restore(name, given.clusters);
  const jobs = [colorBy(name, given.hidden, given.shares)];
  // a view or a place of a map that is still computed has to wait for it
  const arrived = () => {
    if (given.view) state.map.setView(given.view);
    return given.at && panel.probe(given.at);
  };
  if (there === state.layout) arrived();
  else layouts.choose(there).then((shown) => shown && arrived());
  if (given.row !== undefined) jobs.push(panel.showRow(given.row));
  else if (given.code) panel.showCode(given.code);
  else if (!given.at || there !== state.layout) panel.begin();
  await Promise.all(jobs);
}

const percent = (share) => `${Math.round(100 * share)} %`;

function sayAxes() {
  const { explained } = state.info;
  const dense = state.map.look === "density" ? " · stronger color: more sequences" : "";
  const axes = state.layout === "umap" ? "UMAP: near is similar, far says little"
    : `PC 1: ${percent(explained[0])} · PC 2: ${percent(explained[1])}`;
  $("axes").textContent = axes + dense;
}

function describeMap({ explained, count, noun, model }) {
  $("title").textContent = $("title").title = `${model} · ${count.toLocaleString("en")} ${noun}`;
  document.title = `${model} – Refold explorer`;
  sayAxes();
  $("about-map").textContent =
    "PCA shows the first two principal components of the codes. Each latent dimension counts " +
    `by how much it changes the decoded sequence. The map shows ${percent(explained[0] + explained[1])} ` +
    "of the variance; a place decodes with all other components at their mean. " +
    "UMAP keeps similar sequences together; a place between points decodes to a mean of their codes.";
  $("about-page").textContent = state.source.about ?? "";
  $("about-page").hidden = !state.source.about;
}

function connect() {
  new Pointer(state.map, {
    mode: () => state.mode,
    probe: (x, y) => panel.probe(state.map.toPlace(x, y)),
    moved: () => writeAddress(state),
    click, hover, lasso,
  });
  $("color").addEventListener("change", () => colorBy($("color").value));
  $("zoom-in").addEventListener("click", () => zoom(1.4));
  $("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
  $("fit").addEventListener("click", fit);
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("error").querySelector("button").addEventListener("click", () => ($("error").hidden = true));
  addEventListener("keydown", onKey);
  watchAddress(() => restore().catch(showError));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    resetColors();
    recolor();
    panel.redraw();
  });
}

let panel, selection, adding, layouts, modes, looks, clusters, finder;

async function start(SequenceAdder) {
  const marks = (context, map) =>
    state.info && drawMarks(context, map, { state, neighbors: panel?.neighborRows ?? [], added: adding?.placed ?? [] });
  state.map = new PointMap($("points"), $("overlay"), marks);
  state.map.moved = placeMark;
  const { info, places } = await state.source.start();
  state.info = info;
  fillColors();
  describeMap(info);
  state.map.setPoints(places);
  panel = new Panel(state, showError);
  selection = new Selection(state, recolor, showError);
  adding = new SequenceAdder(state, panel, showError);
  layouts = new MapSwitch(state, places, showError, onLayout);
  modes = new RadioGroup(document, "mode", setMode);
  looks = new RadioGroup(document, "look", setLook);
  clusters = new ClusterChoice(state, replaceField, showError);
  finder = new Finder(state, (row) => panel.showRow(row), showError);
  connect();
  setMode("decode");
  $("busy").hidden = true;
  await restore();
  document.documentElement.dataset.ready = "true";
}

// Shows the data of a source: of a server, or of the page itself. `Adding` is what the button for
// adding sequences does.
export async function begin(source, SequenceAdder) {
  state.source = source;
  try {
    await start(SequenceAdder);
  } catch (error) {
    $("busy").hidden = true;
    showError(error);
  }
}
