// Pictures of sequences: lines for numbers on a canvas, marked text for categories.

import { SHORT_DIGITS, numberTexts, shortNumber } from "./numbers.js";

const MOST_PANELS = 12;
// Heights of a panel by the number of panels: 1, 2, 3, up to 6, more; and on a phone.
const HEIGHTS = [190, 130, 96, 62, 32];
const NARROW_HEIGHTS = [130, 84, 60, 40, 24];
const COMPACT = 50; // below this height, a panel has no ticks, and its name at the left if all names fit there
const MOST_TOKENS = 400;
const MARGIN = { left: 44, right: 8, top: 16, gap: 10 };
const ERROR_HEIGHT = 40;
const FONT = "11px system-ui, sans-serif";

function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { text: of("--soft"), line: of("--line"), given: of("--given"), back: of("--accent"), error: of("--error") };
}

let colors = null;
export function resetColors() {
  colors = null;
}

function prepare(canvas, width, height) {
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

function trace(context, values, toX, toY) {
  context.beginPath();
  let down = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === null) {
      down = false;
      continue;
    }
    const [x, y] = [toX(i), toY(value)];
    if (down) context.lineTo(x, y);
    else context.moveTo(x, y);
    const alone = !down && (i + 1 >= values.length || values[i + 1] === null);
    if (alone) context.lineTo(x + 0.5, y); // a value between gaps is a dot
    down = true;
  }
  context.stroke();
}

// The range of a column, extended for values beyond it.
function reached([low, high], ...series) {
  const wide = high - low;
  let [least, most] = [low, high];
  for (const value of series.flatMap((one) => one ?? [])) {
    if (value === null) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return [Math.max(least, low - 3 * wide), Math.min(most, high + 3 * wide)];
}

// A text that fits into a width, with an ellipsis if it is cut.
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length - 1;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}

// Draws what the server found: values (the sequence, or null), back, errors by step.
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
    this.shown = null;
    this.width = 0;
    new ResizeObserver(() => {
      const width = container.clientWidth;
      if (this.shown && width !== this.width) this.draw(this.shown);
    }).observe(container);
  }

  draw(found) {
    this.shown = found;
    this.width = this.container.clientWidth;
    if (this.numeric.length) this.drawLines(found);
    if (this.categorical.length) this.drawTokens(found);
  }

  drawLines(found) {
    colors = colors ?? palette();
    const panels = this.numeric.slice(0, MOST_PANELS);
    const heights = this.width < 400 ? NARROW_HEIGHTS : HEIGHTS;
    const tall = heights[panels.length > 6 ? 4 : Math.min(panels.length, 4) - 1] ?? 0;
    const gap = tall < COMPACT ? 7 : MARGIN.gap;
    const errors = found.errors?.length ? ERROR_HEIGHT + MARGIN.gap : 0;
    const width = Math.max(this.width, 120);
    const ranges = panels.map((i) => reached(this.info.columns[i].range, found.back[i], found.values?.[i]));
    const ticks = ranges.map((range) => (tall < COMPACT ? [] : numberTexts(range, SHORT_DIGITS)));
    const measure = this.canvas.getContext("2d");
    measure.font = FONT;
    const widthOf = (text) => measure.measureText(text).width;
    const left = Math.max(MARGIN.left, ...ticks.flat().map((text) => widthOf(text) + 9));
    const beside = tall < COMPACT && panels.every((i) => widthOf(this.info.columns[i].name) <= left - 5);
    const above = beside ? 0 : MARGIN.top;
    const height = panels.length * (tall + gap + above) + errors + 18;
    this.canvas.hidden = false;
    const context = prepare(this.canvas, width, height);
    const steps = Math.max(found.length, found.back[0].length, this.info.usual_length, 2);
    const right = width - MARGIN.right;
    const toX = (i) => left + (i / (steps - 1)) * (right - left);
    context.font = FONT;
    context.lineJoin = "round";
    let top = 0;
    this.rows = panels.map((i, k) => {
      top += above;
      this.panel(context, found, i, { top, tall, left, right, toX, range: ranges[k], ticks: ticks[k], beside });
      top += tall + gap;
      return { end: top, name: this.info.columns[i].name };
    });
    if (errors) {
      this.errorBars(context, found.errors, { top, toX, left, right, steps });
      top += errors;
    }
    context.fillStyle = colors.text;
    context.textAlign = "left";
    context.fillText("step 1", left, top + 11);
    context.textAlign = "right";
    context.fillText(String(steps), right, top + 11);
    const more = this.numeric.length - panels.length;
    if (more > 0) {
      context.textAlign = "center";
      context.fillText(`${more} more columns are not drawn`, (left + right) / 2, top + 11);
    }
    this.describe(found, panels);
  }

  panel(context, found, i, { top, tall, left, right, toX, range: [low, high], ticks, beside }) {
    const { name } = this.info.columns[i];
    const pad = 0.06 * (high - low);
    const toY = (value) => {
      const share = (value - low + pad) / (high - low + 2 * pad);
      return top + tall - Math.max(-0.08, Math.min(1.08, share)) * tall;
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
    if (beside) {
      context.fillText(name, left - 5, top + tall / 2 + 4);
    } else {
      const begin = Math.max(0, Math.min(left, right - context.measureText(name).width));
      context.textAlign = "left";
      context.fillText(fitted(context, name, right - begin), begin, top - 4);
    }
    if (found.values) {
      context.strokeStyle = colors.given;
      context.lineWidth = 3.5;
      trace(context, found.values[i], toX, toY);
    }
    context.strokeStyle = colors.back;
    context.lineWidth = 1.8;
    trace(context, found.back[i], toX, toY);
  }

  errorBars(context, errors, { top, toX, left, right, steps }) {
    const most = errors.reduce((a, b) => Math.max(a, b), 1e-12);
    const wide = Math.max(1, (right - left) / steps - 1);
    context.fillStyle = colors.error;
    errors.forEach((error, i) => {
      const high = Math.max(0.5, (error / most) * ERROR_HEIGHT);
      const begin = Math.max(left, toX(i) - wide / 2);
      const end = Math.min(right, toX(i) + wide / 2);
      context.fillRect(begin, top + ERROR_HEIGHT - high, Math.max(1, end - begin), high);
    });
    context.fillStyle = colors.text;
    context.textAlign = "right";
    context.fillText("error", left - 5, top + ERROR_HEIGHT - 2);
    context.fillText(shortNumber(most), left - 5, top + 9);
  }

  describe(found, panels) {
    const names = panels.map((i) => this.info.columns[i].name).join(", ");
    const what = found.values ? "The sequence and its reconstruction" : "A decoded sequence";
    this.canvas.setAttribute("aria-label", `${what}, ${found.length} steps of ${names || "categories"}`);
  }

  drawTokens(found) {
    const rows = [];
    for (const i of this.categorical) {
      const column = document.createElement("div");
      column.className = "tokens";
      if (this.info.columns.length > 1) column.append(heading(this.info.columns[i].name));
      const [given, back] = [found.values?.[i], found.back[i]];
      if (given) column.append(line("Sequence", given, back, this.joined), line("Decoded", back, given, this.joined));
      else column.append(line("Decoded", back, null, this.joined));
      rows.push(column);
    }
    this.tokens.replaceChildren(...rows);
  }

  get joined() {
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

function heading(text) {
  const found = document.createElement("h3");
  found.textContent = text;
  return found;
}

function line(label, tokens, other, joined) {
  const row = document.createElement("p");
  const name = document.createElement("span");
  name.className = "label";
  name.textContent = label;
  row.append(name);
  const body = document.createElement("span");
  body.className = joined ? "text" : "text apart";
  // neighbors without and with a mistake share an element
  let run = null;
  tokens.slice(0, MOST_TOKENS).forEach((token, i) => {
    const wrong = other !== null && token !== (other[i] ?? undefined);
    const text = token === null ? "∅" : token;
    if (!run || !joined || run.wrong !== wrong) {
      const element = document.createElement(wrong ? "mark" : "span");
      body.append(element);
      run = { element, wrong };
    }
    run.element.textContent += text;
  });
  if (tokens.length > MOST_TOKENS) body.append(" …");
  if (!tokens.length) body.append("(empty)");
  row.append(body);
  return row;
}

// A small picture of a neighbor: lines of its first columns, or its first tokens.
export function thumbnail(values, info) {
  const first = info.columns.findIndex((column) => !column.tokens);
  if (first < 0) {
    const text = document.createElement("span");
    text.className = "thumb-text";
    text.textContent = values[0].slice(0, 60).map((one) => one ?? "∅").join(info.layout === "characters" ? "" : " ");
    return text;
  }
  colors = colors ?? palette();
  const canvas = document.createElement("canvas");
  const context = prepare(canvas, 120, 40);
  const drawn = info.columns.map((_, i) => i).filter((i) => !info.columns[i].tokens).slice(0, 3);
  context.lineWidth = 1.3;
  for (const i of drawn.reverse()) {
    const [low, high] = info.columns[i].range;
    context.strokeStyle = i === first ? colors.back : colors.given;
    const steps = Math.max(values[i].length - 1, 1);
    const toY = (value) => 37 - 34 * Math.max(0, Math.min(1, (value - low) / (high - low)));
    trace(context, values[i], (k) => 2 + (k / steps) * 116, toY);
  }
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}
