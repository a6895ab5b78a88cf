// Elements of the page, groups of buttons, and pictures of canvases.

export const $ = (id) => document.getElementById(id);

// Returns a new element with properties, such as className, textContent and title.
export function makeElement(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

// Returns a new button, which calls onClick().
export function makeButton(onClick, properties) {
  return makeElement("button", { type: "button", onclick: onClick, ...properties });
}

// Shows a text in an element, or hides the element if the text is empty.
export function showText(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

// Returns the color of a variable of the style sheet, such as "--ink".
export function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Returns a PNG picture of canvases of the same size, one above another, on a background.
export function toPng(canvases, background, drawMore) {
  const [{ width, height }] = canvases;
  const picture = makeElement("canvas", { width, height });
  const context = picture.getContext("2d");
  context.fillStyle = background;
  context.fillRect(0, 0, width, height);
  for (const canvas of canvases) context.drawImage(canvas, 0, 0);
  drawMore?.(context);
  return new Promise((onDone) => picture.toBlob(onDone, "image/png"));
}

// A group of buttons of which one is chosen, by a click or by arrow keys.
export class RadioGroup {
  // onChoose(value) is called with the data-<name> attribute of the chosen button
  constructor(container, name, onChoose) {
    this.name = name;
    this.buttons = [...container.querySelectorAll(`[data-${name}]`)];
    for (const button of this.buttons) {
      button.addEventListener("click", () => onChoose(button.dataset[name]));
      button.addEventListener("keydown", (event) => {
        const direction = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!direction) return;
        const { length } = this.buttons;
        const next = this.buttons[(this.buttons.indexOf(button) + direction + length) % length];
        next.focus();
        onChoose(next.dataset[name]);
        event.stopPropagation();
        event.preventDefault();
      });
    }
  }

  // Marks the button with a value as the chosen one.
  mark(value) {
    for (const button of this.buttons) {
      const isChosen = button.dataset[this.name] === value;
      button.setAttribute("aria-checked", String(isChosen));
      button.tabIndex = isChosen ? 0 : -1;
    }
  }
}
