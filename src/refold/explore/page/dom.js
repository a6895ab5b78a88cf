// Elements of the page, and pictures of canvases.

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
