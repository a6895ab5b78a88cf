// The page: the state, the map with its colors and marks, and what keys do.

import { Adding } from "./adding.js";
import { Failure } from "./api.js";
import { onAddress, readAddress, writeAddress } from "./address.js";
import { colorsOf, domainOf } from "./colors.js";
import { drawLegend } from "./legend.js";
import { PointMap } from "./map.js";
import { Panel } from "./panel.js";
import { forgetColors, shortNumber } from "./plot.js";
import { Pointer } from "./pointer.js";
import { Selection } from "./selection.js";

const $ = (id) => document.getElementById(id);
const NEAR = 14; // pixels within which a point is meant
const state = {
  source: null, info: null, map: null, mode: "decode", field: null, values: null, hidden: new Set(),
  kind: "", row: -1, at: null, code: null, ends: [null, null], lasso: null,
};

export function showError(error) {
  if (!(error instanceof Failure)) console.error(error);
  $("error").querySelector("p").textContent =
    error instanceof Failure ? error.message : "The page failed. Reload it; the console says why.";
  $("error").hidden = false;
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Marks above the points.
function drawMarks(context, map) {
  if (!state.info) return;
  const [ink, paper, accent] = ["--ink", "--paper", "--accent"].map(color);
  const ring = (place, radius, width, stroke) => {
    const [x, y] = map.toPixels(...place);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = width + 2;
    context.strokeStyle = paper;
    context.stroke();
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.stroke();
    return [x, y];
  };
  const placeOf = (row) => map.places.subarray(2 * row, 2 * row + 2);
  const [a, b] = state.ends;
  if (a && b) {
    context.beginPath();
    context.moveTo(...map.toPixels(...a.at));
    context.lineTo(...map.toPixels(...b.at));
    context.lineWidth = 2;
    context.setLineDash([6, 5]);
    context.strokeStyle = ink;
    context.stroke();
    context.setLineDash([]);
  }
  for (const row of panel?.neighborRows ?? []) ring(placeOf(row), map.pointSize / 2 + 3, 1.2, ink);
  for (const one of adding?.placed ?? []) {
    const [x, y] = map.toPixels(...one.at);
    context.beginPath();
    context.moveTo(x, y - 8);
    [[8, 0], [0, 8], [-8, 0]].forEach(([dx, dy]) => context.lineTo(x + dx, y + dy));
    context.closePath();
    context.fillStyle = accent;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = paper;
    context.stroke();
  }
  state.ends.forEach((end, i) => {
    if (!end) return;
    const [x, y] = ring(end.at, 9, 1.5, ink);
    context.fillStyle = paper;
    context.fill();
    context.fillStyle = ink;
    context.font = "bold 11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText("AB"[i], x, y + 0.5);
  });
  if (state.at) {
    const [x, y] = ring(state.at, 10, 2.5, accent);
    if (state.kind !== "row") {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 15 * dx, y + 15 * dy);
      }
      context.lineWidth = 2;
      context.strokeStyle = accent;
      context.stroke();
    }
  }
  if (state.lasso?.length) {
    context.beginPath();
    for (let i = 0; i < state.lasso.length; i += 2) {
      context.lineTo(...map.toPixels(state.lasso[i], state.lasso[i + 1]));
    }
    context.closePath();
    context.fillStyle = `${accent}22`;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = accent;
    context.stroke();
  }
}

function recolor() {
  const plain = [1, 3, 5].map((i) => parseInt(color("--point").slice(i, i + 2), 16));
  const colors = colorsOf(state.field, state.values, state.info.count, plain, state.hidden);
  selection.dim(colors);
  state.map.setColors(colors);
  writeAddress(state);
}

async function colorBy(name, hidden = []) {
  const field = state.info.fields.find((one) => one.name === name) ?? null;
  state.field = field;
  state.hidden = new Set(hidden);
  state.values = null;
  $("color").value = field?.name ?? "";
  if (field) {
    const busy = $("busy");
    const current = () => state.field === field;
    const say = (share) => {
      busy.textContent = `Computing ${field.name}: ${Math.round(100 * share)} %`;
      busy.hidden = false;
    };
    try {
      const values = await state.source.field(field.name, say, current);
      if (!current()) return;
      state.values = values;
      if (field.type === "number") field.domain = domainOf(values, field.log);
    } catch (error) {
      if (current()) state.field = null;
      $("color").value = "";
      showError(error);
    }
    busy.hidden = true;
  }
  drawLegend($("legend"), state.field, state.values, state.hidden, recolor);
  recolor();
}

function setMode(mode) {
  state.mode = mode;
  for (const button of document.querySelectorAll("[data-mode]")) {
    const chosen = button.dataset.mode === mode;
    button.setAttribute("aria-checked", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
  }
  $("overlay").dataset.mode = mode;
}

function hover(place) {
  const tip = $("tip");
  const row = place && state.info ? state.map.nearest(...place, 10) : -1;
  tip.hidden = row < 0;
  $("overlay").classList.toggle("over", row >= 0);
  if (row < 0) return;
  const value = state.values?.[row];
  const shown = state.field?.type === "category" ? state.field.categories[value] : shortNumber(value);
  const id = state.info.ids ? `id ${state.info.ids[row]}` : `sequence ${row}`;
  tip.textContent = state.values ? `${id} · ${state.field.name} ${shown}` : id;
  const left = place[0] + 16 + tip.offsetWidth > state.map.width ? place[0] - 16 - tip.offsetWidth : place[0] + 16;
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
  if (given.view) state.map.setView(given.view);
  const first = state.info.fields.find((one) => one.type === "category");
  const name = given.color ?? first?.name ?? "";
  const jobs = [colorBy(name, given.hidden)];
  if (given.row !== undefined) jobs.push(panel.showRow(given.row));
  else if (given.at) panel.probe(given.at);
  else if (given.code) panel.showCode(given.code);
  else panel.begin();
  await Promise.all(jobs);
}

function describeMap({ explained, count, model }) {
  const percent = (share) => `${Math.round(100 * share)} %`;
  $("title").textContent = `${model} · ${count.toLocaleString("en")} sequences`;
  document.title = `${model} – Refold explorer`;
  $("axes").textContent = `PC 1: ${percent(explained[0])} · PC 2: ${percent(explained[1])}`;
  $("about-map").textContent =
    "The map shows the first two principal components of the codes. Each latent dimension counts " +
    `by how much it changes the decoded sequence. The map shows ${percent(explained[0] + explained[1])} ` +
    "of the variance; a place decodes with all other components at their mean.";
}

function connect() {
  new Pointer(state.map, {
    mode: () => state.mode,
    probe: (x, y) => panel.probe(state.map.toPlace(x, y)),
    moved: () => writeAddress(state),
    click, hover, lasso,
  });
  $("color").addEventListener("change", () => colorBy($("color").value));
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => setMode(button.dataset.mode));
    button.addEventListener("keydown", (event) => {
      const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!direction) return;
      const all = [...document.querySelectorAll("[data-mode]")];
      const next = all[(all.indexOf(button) + direction + all.length) % all.length];
      setMode(next.dataset.mode);
      next.focus();
      event.stopPropagation();
    });
  }
  $("zoom-in").addEventListener("click", () => zoom(1.4));
  $("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
  $("fit").addEventListener("click", fit);
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("error").querySelector("button").addEventListener("click", () => ($("error").hidden = true));
  addEventListener("keydown", onKey);
  onAddress(() => restore().catch(showError));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    forgetColors();
    recolor();
    panel.redraw();
  });
}

let panel, selection, adding;

async function start() {
  state.map = new PointMap($("points"), $("overlay"), drawMarks);
  const { info, places } = await state.source.start();
  state.info = info;
  const select = $("color");
  select.append(new Option("nothing", ""));
  for (const field of info.fields) select.append(new Option(field.name, field.name));
  describeMap(info);
  state.map.setPoints(places);
  panel = new Panel(state, showError);
  selection = new Selection(state, recolor, showError);
  adding = new Adding(state, panel, showError);
  connect();
  setMode("decode");
  $("busy").hidden = true;
  await restore();
  document.documentElement.dataset.ready = "true";
}

// Shows the data of a source: of a server, or of the page itself.
export async function begin(source) {
  state.source = source;
  try {
    await start();
  } catch (error) {
    $("busy").hidden = true;
    showError(error);
  }
}
