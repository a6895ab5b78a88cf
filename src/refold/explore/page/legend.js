// The legend of the map, which filters by category or by range.

import { categoryColor, scaleGradient } from "./colors.js";
import { FULL_DIGITS, SHORT_DIGITS, numberTexts } from "./numbers.js";

function element(tag, className, text) {
  const found = document.createElement(tag);
  if (className) found.className = className;
  if (text !== undefined) found.textContent = text;
  return found;
}

// Calls changed() after the reader has filtered, and select() to select what is shown.
export function drawLegend(box, field, values, hidden, changed, select) {
  box.hidden = !field;
  if (!field) return;
  const title = element("summary", "legend-title", field.name);
  if (field.about) title.title = field.about;
  const body = field.type === "category" ? [categories(field, values, hidden, changed)] : range(field, values, changed);
  const details = element("details");
  details.open = box.parentElement.clientWidth >= 480;
  details.append(title, ...body);
  const choose = element("button", "legend-all", "Select shown");
  choose.type = "button";
  choose.title = "Select all sequences that the map shows";
  choose.addEventListener("click", select);
  details.append(choose);
  if (field.note) details.append(element("p", "legend-note", field.note));
  box.replaceChildren(details);
}

function categories(field, values, hidden, changed) {
  const counts = new Array(field.categories.length).fill(0);
  for (let i = 0; i < values.length; i++) counts[values[i]]++;
  const list = element("div", "legend-list");
  const buttons = field.categories.map((name, i) => {
    const button = element("button", "legend-item");
    button.type = "button";
    button.title = "Click to hide or show; double-click to show only this one";
    const swatch = element("span", "swatch");
    swatch.style.background = categoryColor(i, field);
    const label = element("span", "legend-name", name);
    label.title = name;
    button.append(swatch, label, element("span", "count", counts[i].toLocaleString("en")));
    button.addEventListener("click", () => {
      if (!hidden.delete(i)) hidden.add(i);
      update();
    });
    button.addEventListener("dblclick", () => {
      const alone = hidden.size === field.categories.length - 1 && !hidden.has(i);
      hidden.clear();
      if (!alone) field.categories.forEach((_, k) => k !== i && hidden.add(k));
      update();
    });
    return button;
  });
  function mark() {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!hidden.has(i))));
    all.hidden = !hidden.size;
  }
  function update() {
    mark();
    changed();
  }
  const all = element("button", "legend-all", "Show all");
  all.type = "button";
  all.addEventListener("click", () => {
    hidden.clear();
    update();
  });
  list.append(...buttons, all);
  mark();
  return list;
}

function range(field, values, changed) {
  const bar = element("div", "gradient");
  bar.style.background = scaleGradient();
  const ends = element("div", "gradient-ends");
  const texts = (limits) => numberTexts(limits, field.exact ? FULL_DIGITS : SHORT_DIGITS);
  ends.append(...texts(field.domain).map((text) => element("span", "", text)));
  const sorted = Float64Array.from(values.filter((one) => !Number.isNaN(one))).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  const limits = element("div", "gradient-limits");
  const said = element("span", "count");
  const limit = () => {
    const [low, high] = (field.shares = [Number(from.value), Number(to.value)].sort((a, b) => a - b));
    field.kept = low === 0 && high === 100 ? null : [at(low / 100), at(high / 100)];
    said.textContent = field.kept ? texts(field.kept).join(" to ") : "all";
  };
  const [from, to] = (field.shares ?? [0, 100]).map((value, i) => {
    const input = element("input");
    Object.assign(input, { type: "range", min: 0, max: 100, step: 0.5, value });
    input.setAttribute("aria-label", i ? `Largest ${field.name}` : `Smallest ${field.name}`);
    input.addEventListener("input", () => {
      limit();
      changed();
    });
    return input;
  });
  limit();
  limits.append(from, to, said);
  return [bar, ends, limits];
}
