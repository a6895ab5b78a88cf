// The legend of the map, in which the user hides categories, or limits the range of numbers.

import { categoryColor, scaleGradient } from "./colors.js";
import { makeButton, makeElement } from "./dom.js";
import { FULL_DIGITS, SHORT_DIGITS, numberTexts } from "./numbers.js";

function makeText(tag, className, textContent) {
  return makeElement(tag, { className, textContent });
}

// Calls onChange() after the user has filtered, and selectVisible() to select the visible sequences.
export function drawLegend(box, field, values, hidden, onChange, selectVisible) {
  box.hidden = !field;
  if (!field) return;
  const title = makeText("summary", "legend-title", field.name);
  title.title = field.about ?? "";
  const body =
    field.type === "category" ? [categoryList(field, values, hidden, onChange)] : rangeInputs(field, values, onChange);
  const details = makeElement("details");
  // on a phone, the legend would cover the map
  details.open = box.parentElement.clientWidth >= 480;
  details.append(title, ...body);
  const selectTitle = "Select all sequences that the map shows";
  const selectText = { className: "legend-all", textContent: "Select shown", title: selectTitle };
  details.append(makeButton(selectVisible, selectText));
  if (field.note) details.append(makeText("p", "legend-note", field.note));
  box.replaceChildren(details);
}

// Returns a list of buttons, which hide and show categories.
function categoryList(field, values, hidden, onChange) {
  const counts = new Array(field.categories.length).fill(0);
  for (let i = 0; i < values.length; i++) counts[values[i]]++;
  const list = makeElement("div", { className: "legend-list" });
  const buttons = field.categories.map((name, i) => {
    const toggle = () => {
      if (!hidden.delete(i)) hidden.add(i);
      update();
    };
    const title = "Click to hide or show; double-click to show only this one";
    const button = makeButton(toggle, { className: "legend-item", title });
    button.ondblclick = () => {
      const isOnlyVisible = hidden.size === field.categories.length - 1 && !hidden.has(i);
      hidden.clear();
      if (!isOnlyVisible) field.categories.forEach((_, k) => k !== i && hidden.add(k));
      update();
    };
    const swatch = makeElement("span", { className: "swatch" });
    swatch.style.background = categoryColor(i, field);
    const label = makeElement("span", { className: "legend-name", textContent: name, title: name });
    button.append(swatch, label, makeText("span", "count", counts[i].toLocaleString("en")));
    return button;
  });
  function markButtons() {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!hidden.has(i))));
    showAllButton.hidden = !hidden.size;
  }
  function update() {
    markButtons();
    onChange();
  }
  const showAll = () => {
    hidden.clear();
    update();
  };
  const showAllButton = makeButton(showAll, { className: "legend-all", textContent: "Show all" });
  list.append(...buttons, showAllButton);
  markButtons();
  return list;
}

// Returns the color scale, and inputs that hide numbers outside of a range of percentiles.
function rangeInputs(field, values, onChange) {
  const bar = makeElement("div", { className: "gradient" });
  bar.style.background = scaleGradient();
  const ends = makeElement("div", { className: "gradient-ends" });
  const texts = (limits) => numberTexts(limits, field.exact ? FULL_DIGITS : SHORT_DIGITS);
  ends.append(...texts(field.domain).map((text) => makeElement("span", { textContent: text })));
  const sorted = Float64Array.from(values.filter((value) => !Number.isNaN(value))).sort();
  const quantile = (share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  const limits = makeElement("div", { className: "gradient-limits" });
  const rangeText = makeElement("span", { className: "count" });
  const applyLimits = () => {
    const [low, high] = (field.shares = [Number(lowInput.value), Number(highInput.value)].sort((a, b) => a - b));
    field.visibleRange = low === 0 && high === 100 ? null : [quantile(low / 100), quantile(high / 100)];
    rangeText.textContent = field.visibleRange ? texts(field.visibleRange).join(" to ") : "all";
  };
  const [lowInput, highInput] = (field.shares ?? [0, 100]).map((value, i) => {
    const input = makeElement("input", { type: "range", min: 0, max: 100, step: 0.5, value });
    input.setAttribute("aria-label", i ? `Largest ${field.name}` : `Smallest ${field.name}`);
    input.oninput = () => {
      applyLimits();
      onChange();
    };
    return input;
  });
  applyLimits();
  limits.append(lowInput, highInput, rangeText);
  return [bar, ends, limits];
}
