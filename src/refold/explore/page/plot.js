// Pictures of sequences: lines of numbers on a canvas, and text of categories with marked mistakes.

import { cssColor, makeElement, toPng } from "./dom.js";
import { SHORT_DIGITS, numberTexts, shortNumber } from "./numbers.js";

// Numeric columns that are drawn, because more would be too small.
const MAX_PANELS = 12;
// Height of a panel in pixels, for 1, 2, 3, up to 6, and more panels.
const PANEL_HEIGHTS = [190, 130, 96, 62, 32];
// The same on a phone.
const NARROW_PANEL_HEIGHTS = [130, 84, 60, 40, 24];
// A lower panel has no ticks. Its name is at the left, if all names fit there.
const MIN_HEIGHT_FOR_TICKS = 50;
// Tokens of a sequence that are shown.
const MAX_TOKENS = 400;
// Pixels around panels, and between them.
const MARGIN = { left: 44, right: 8, top: 16, gap: 10 };
// Height of the bars of errors.
const ERROR_HEIGHT = 40;
const FONT = "11px system-ui, sans-serif";

function readColors() {
  const [text, line, given, back, error] = ["--soft", "--line", "--given", "--accent", "--error"].map(cssColor);
  return { text, line, given, back, error };
}

// The colors of the style sheet, which are read once for light and once for dark mode.
let colors = null;
export function resetColors() {
  colors = null;
}

// Sets the size of a canvas in CSS pixels, clears it, and returns its context.
function prepareCanvas(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Draws values as a line, with gaps where a value is missing (null).
function drawLine(context, values, toX, toY) {
  context.beginPath();
  let isDrawing = false;
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== null) {
      const [x, y] = [toX(i), toY(values[i])];
      if (isDrawing) context.lineTo(x, y);
      else context.moveTo(x, y);
      const isSingle = !isDrawing && (values[i + 1] ?? null) === null;
      if (isSingle) context.lineTo(x + 0.5, y); // a single value between gaps is a dot
    }
    isDrawing = values[i] !== null;
  }
  context.stroke();
}

// Extends the range of a column to include all values, but by at most three times its width.
function extendRange([low, high], ...series) {
  const size = high - low;
  let [smallest, largest] = [low, high];
  for (const value of series.flatMap((values) => values ?? [])) {
    if (value === null) continue;
    smallest = Math.min(smallest, value);
    largest = Math.max(largest, value);
  }
  return [Math.max(smallest, low - 3 * size), Math.min(largest, high + 3 * size)];
}

// Cuts a text to a width, with an ellipsis.
function fitText(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length - 1;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}

// Draws the answer of a source: `values` (a sequence, or missing), `back` (its reconstruction) and
// `errors` by step.
export class Picture {
  constructor(container, info) {
    Object.assign(this, { container, info, current: null, width: 0, tokens: makeElement("div") });
    this.canvas = makeElement("canvas", { hidden: true });
    this.canvas.setAttribute("role", "img");
    this.canvas.addEventListener("pointermove", ({ offsetY }) => {
      this.canvas.title = this.rows?.find((row) => offsetY < row.end)?.name ?? "";
    });
    container.append(this.canvas, this.tokens);
    const indices = [...info.columns.keys()];
    this.numeric = indices.filter((i) => !info.columns[i].tokens);
    this.categorical = indices.filter((i) => info.columns[i].tokens);
    new ResizeObserver(() => {
      const width = container.clientWidth;
      if (this.current && width !== this.width) this.draw(this.current);
    }).observe(container);
  }

  draw(sequence) {
    this.current = sequence;
    this.width = this.container.clientWidth;
    if (this.numeric.length) this.drawLines(sequence);
    if (this.categorical.length) this.drawTokens(sequence);
  }

  drawLines(sequence) {
    colors ??= readColors();
    const panels = this.numeric.slice(0, MAX_PANELS);
    const heights = this.width < 400 ? NARROW_PANEL_HEIGHTS : PANEL_HEIGHTS;
    const panelHeight = heights[panels.length > 6 ? 4 : Math.min(panels.length, 4) - 1] ?? 0;
    const gap = panelHeight < MIN_HEIGHT_FOR_TICKS ? 7 : MARGIN.gap;
    const errorsHeight = sequence.errors?.length ? ERROR_HEIGHT + MARGIN.gap : 0;
    const width = Math.max(this.width, 120);
    const ranges = panels.map((i) => extendRange(this.info.columns[i].range, sequence.back[i], sequence.values?.[i]));
    const ticks = ranges.map((range) => (panelHeight < MIN_HEIGHT_FOR_TICKS ? [] : numberTexts(range, SHORT_DIGITS)));
    const measure = this.canvas.getContext("2d");
    measure.font = FONT;
    const widthOf = (text) => measure.measureText(text).width;
    const left = Math.max(MARGIN.left, ...ticks.flat().map((text) => widthOf(text) + 9));
    const namesBeside =
      panelHeight < MIN_HEIGHT_FOR_TICKS && panels.every((i) => widthOf(this.info.columns[i].name) <= left - 5);
    const namesAbove = namesBeside ? 0 : MARGIN.top;
    const height = panels.length * (panelHeight + gap + namesAbove) + errorsHeight + 18;
    this.canvas.hidden = false;
    const context = prepareCanvas(this.canvas, width, height);
    const steps = Math.max(sequence.length, sequence.back[0].length, this.info.usual_length, 2);
    const right = width - MARGIN.right;
    const toX = (i) => left + (i / (steps - 1)) * (right - left);
    context.font = FONT;
    context.lineJoin = "round";
    let top = 0;
    this.rows = panels.map((i, k) => {
      top += namesAbove;
      const [range, texts] = [ranges[k], ticks[k]];
      this.drawPanel(context, sequence, i, { top, panelHeight, left, right, toX, range, ticks: texts, namesBeside });
      top += panelHeight + gap;
      return { end: top, name: this.info.columns[i].name };
    });
    if (errorsHeight) {
      this.drawErrorBars(context, sequence.errors, { top, toX, left, right, steps });
      top += errorsHeight;
    }
    context.fillStyle = colors.text;
    context.textAlign = "left";
    context.fillText("step 1", left, top + 11);
    context.textAlign = "right";
    context.fillText(String(steps), right, top + 11);
    const numHidden = this.numeric.length - panels.length;
    if (numHidden > 0) {
      context.textAlign = "center";
      context.fillText(`${numHidden} more columns are not drawn`, (left + right) / 2, top + 11);
    }
    this.describe(sequence, panels);
  }

  // Draws one column: its axis, its name, the original and the reconstruction.
  drawPanel(context, sequence, i, { top, panelHeight, left, right, toX, range: [low, high], ticks, namesBeside }) {
    const { name } = this.info.columns[i];
    const pad = 0.06 * (high - low);
    const toY = (value) => {
      const share = (value - low + pad) / (high - low + 2 * pad);
      return top + panelHeight - Math.max(-0.08, Math.min(1.08, share)) * panelHeight;
    };
    context.strokeStyle = colors.line;
    context.lineWidth = 1;
    context.beginPath();
    for (const value of ticks.length ? [low, high] : [low]) {
      context.moveTo(left, Math.round(toY(value)) + 0.5);
      context.lineTo(right, Math.round(toY(value)) + 0.5);
    }
    context.stroke();
    context.fillStyle = colors.text;
    context.textAlign = "right";
    [low, high].slice(0, ticks.length).forEach((value, k) => context.fillText(ticks[k], left - 5, toY(value) + 4));
    if (namesBeside) {
      context.fillText(name, left - 5, top + panelHeight / 2 + 4);
    } else {
      const begin = Math.max(0, Math.min(left, right - context.measureText(name).width));
      context.textAlign = "left";
      context.fillText(fitText(context, name, right - begin), begin, top - 4);
    }
    if (sequence.values) {
      context.strokeStyle = colors.given;
      context.lineWidth = 3.5;
      drawLine(context, sequence.values[i], toX, toY);
    }
    context.strokeStyle = colors.back;
    context.lineWidth = 1.8;
    drawLine(context, sequence.back[i], toX, toY);
  }

  drawErrorBars(context, errors, { top, toX, left, right, steps }) {
    const largest = errors.reduce((a, b) => Math.max(a, b), 1e-12);
    const barWidth = Math.max(1, (right - left) / steps - 1);
    context.fillStyle = colors.error;
    errors.forEach((error, i) => {
      const high = Math.max(0.5, (error / largest) * ERROR_HEIGHT);
      const begin = Math.max(left, toX(i) - barWidth / 2);
      const end = Math.min(right, toX(i) + barWidth / 2);
      context.fillRect(begin, top + ERROR_HEIGHT - high, Math.max(1, end - begin), high);
    });
    context.fillStyle = colors.text;
    context.textAlign = "right";
    context.fillText("error", left - 5, top + ERROR_HEIGHT - 2);
    context.fillText(shortNumber(largest), left - 5, top + 9);
  }

  describe(sequence, panels) {
    const names = panels.map((i) => this.info.columns[i].name).join(", ");
    const content = sequence.values ? "The sequence and its reconstruction" : "A decoded sequence";
    this.canvas.setAttribute("aria-label", `${content}, ${sequence.length} steps of ${names || "categories"}`);
  }

  drawTokens(sequence) {
    const rows = [];
    for (const i of this.categorical) {
      const column = makeElement("div", { className: "tokens" });
      const { name } = this.info.columns[i];
      if (this.info.columns.length > 1) column.append(makeElement("h3", { textContent: name }));
      const [original, back] = [sequence.values?.[i], sequence.back[i]];
      if (original) column.append(tokenLine("Sequence", original, back, this.isJoined));
      column.append(tokenLine("Decoded", back, original ?? null, this.isJoined));
      rows.push(column);
    }
    this.tokens.replaceChildren(...rows);
  }

  get isJoined() {
    return this.info.layout === "characters";
  }

  toPng() {
    return toPng([this.canvas], getComputedStyle(document.body).backgroundColor);
  }
}

// Returns a paragraph with tokens, in which those that differ from the reference are marked.
function tokenLine(label, tokens, reference, isJoined) {
  const row = makeElement("p");
  const body = makeElement("span", { className: isJoined ? "text" : "text apart" });
  row.append(makeElement("span", { className: "label", textContent: label }), body);
  // neighboring tokens share an element if both are right or both are wrong
  let run = null;
  tokens.slice(0, MAX_TOKENS).forEach((token, i) => {
    const wrong = reference !== null && token !== (reference[i] ?? undefined);
    const text = token === null ? "∅" : token;
    if (!run || !isJoined || run.wrong !== wrong) {
      run = { element: makeElement(wrong ? "mark" : "span"), wrong };
      body.append(run.element);
    }
    run.element.textContent += text;
  });
  if (tokens.length > MAX_TOKENS) body.append(" …");
  if (!tokens.length) body.append("(empty)");
  return row;
}

// Returns a small picture of a neighbor: lines of its first columns, or its first tokens.
export function thumbnail(values, info) {
  const first = info.columns.findIndex((column) => !column.tokens);
  if (first < 0) {
    const tokens = values[0].slice(0, 60).map((token) => token ?? "∅");
    const textContent = tokens.join(info.layout === "characters" ? "" : " ");
    return makeElement("span", { className: "thumb-text", textContent });
  }
  colors ??= readColors();
  const canvas = makeElement("canvas");
  const context = prepareCanvas(canvas, 120, 40);
  const drawn = [...info.columns.keys()].filter((i) => !info.columns[i].tokens).slice(0, 3);
  context.lineWidth = 1.3;
  // the first column is above the others
  for (const i of drawn.reverse()) {
    const [low, high] = info.columns[i].range;
    context.strokeStyle = i === first ? colors.back : colors.given;
    const steps = Math.max(values[i].length - 1, 1);
    const toY = (value) => 37 - 34 * Math.max(0, Math.min(1, (value - low) / (high - low)));
    drawLine(context, values[i], (k) => 2 + (k / steps) * 116, toY);
  }
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}
