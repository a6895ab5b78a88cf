// Pictures of sequences: lines of numbers on a canvas, and text of categories, with mistakes
// marked.

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

function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { text: of("--soft"), line: of("--line"), given: of("--given"), back: of("--accent"), error: of("--error") };
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
    const value = values[i];
    if (value === null) {
      isDrawing = false;
      continue;
    }
    const [x, y] = [toX(i), toY(value)];
    if (isDrawing) context.lineTo(x, y);
    else context.moveTo(x, y);
    const isSingle = !isDrawing && (i + 1 >= values.length || values[i + 1] === null);
    if (isSingle) context.lineTo(x + 0.5, y); // a single value between gaps is a dot
    isDrawing = true;
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
    this.container = container;
    this.info = info;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.addEventListener("pointermove", ({ offsetY }) => {
      this.canvas.title = this.rows?.find((row) => offsetY < row.end)?.name ?? "";
    });
    this.tokens = document.createElement("div");
    container.append(this.canvas, this.tokens);
    this.numeric = [];
    this.categorical = [];
    info.columns.forEach((column, i) => {
      (column.tokens ? this.categorical : this.numeric).push(i);
    });
    this.canvas.hidden = true;
    this.current = null;
    this.width = 0;
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
    colors = colors ?? palette();
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
      this.drawPanel(context, sequence, i, {
        top,
        panelHeight,
        left,
        right,
        toX,
        range: ranges[k],
        ticks: ticks[k],
        namesBeside,
      });
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
      const column = document.createElement("div");
      column.className = "tokens";
      if (this.info.columns.length > 1) column.append(makeHeading(this.info.columns[i].name));
      const [original, back] = [sequence.values?.[i], sequence.back[i]];
      if (original)
        column.append(
          tokenLine("Sequence", original, back, this.isJoined),
          tokenLine("Decoded", back, original, this.isJoined),
        );
      else column.append(tokenLine("Decoded", back, null, this.isJoined));
      rows.push(column);
    }
    this.tokens.replaceChildren(...rows);
  }

  get isJoined() {
    return this.info.layout === "characters";
  }

  toBlob() {
    const canvas = document.createElement("canvas");
    canvas.width = this.canvas.width;
    canvas.height = this.canvas.height;
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(document.body).backgroundColor;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.canvas, 0, 0);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
}

function makeHeading(text) {
  const title = document.createElement("h3");
  title.textContent = text;
  return title;
}

// Returns a paragraph with tokens, in which those that differ from the reference are marked.
function tokenLine(label, tokens, reference, isJoined) {
  const row = document.createElement("p");
  const name = document.createElement("span");
  name.className = "label";
  name.textContent = label;
  row.append(name);
  const body = document.createElement("span");
  body.className = isJoined ? "text" : "text apart";
  // neighboring tokens share an element if both are right or both are wrong
  let run = null;
  tokens.slice(0, MAX_TOKENS).forEach((token, i) => {
    const wrong = reference !== null && token !== (reference[i] ?? undefined);
    const text = token === null ? "∅" : token;
    if (!run || !isJoined || run.wrong !== wrong) {
      const element = document.createElement(wrong ? "mark" : "span");
      body.append(element);
      run = { element, wrong };
    }
    run.element.textContent += text;
  });
  if (tokens.length > MAX_TOKENS) body.append(" …");
  if (!tokens.length) body.append("(empty)");
  row.append(body);
  return row;
}

// Returns a small picture of a neighbor: lines of its first columns, or its first tokens.
export function thumbnail(values, info) {
  const first = info.columns.findIndex((column) => !column.tokens);
  if (first < 0) {
    const text = document.createElement("span");
    text.className = "thumb-text";
    text.textContent = values[0]
      .slice(0, 60)
      .map((token) => token ?? "∅")
      .join(info.layout === "characters" ? "" : " ");
    return text;
  }
  colors = colors ?? palette();
  const canvas = document.createElement("canvas");
  const context = prepareCanvas(canvas, 120, 40);
  const drawn = info.columns
    .map((_, i) => i)
    .filter((i) => !info.columns[i].tokens)
    .slice(0, 3);
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
