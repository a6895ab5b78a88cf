// Marks above the points: the ends of a path, neighbors, added sequences, names of clusters and the
// lasso.

import { categoryColor } from "./colors.js";

// The center of a category is the median of this many members, because sorting more is slow.
const MAX_SAMPLED_MEMBERS = 3000;

export function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Draws a ring with a rim in the color of the paper, which makes it visible on any color.
function ring(context, [x, y], radius, width, stroke, paper) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.lineWidth = width + 2;
  context.strokeStyle = paper;
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = stroke;
  context.stroke();
}

// Draws the current place on a saved picture. On the page, it is an SVG element.
export function drawPlace(context, map, state) {
  if (!state.at) return;
  const accent = cssColor("--accent");
  const [x, y] = map.toPixels(...state.at);
  ring(context, [x, y], 10, 2.5, accent, cssColor("--paper"));
  if (state.kind === "row") return;
  context.beginPath();
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]) {
    context.moveTo(x + 5 * dx, y + 5 * dy);
    context.lineTo(x + 15 * dx, y + 15 * dy);
  }
  context.lineWidth = 2;
  context.stroke();
}

export function drawMarks(context, map, { state, neighbors, added }) {
  const [ink, paper, accent] = ["--ink", "--paper", "--accent"].map(cssColor);
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
  for (const row of neighbors) {
    const position = map.toPixels(map.places[2 * row], map.places[2 * row + 1]);
    ring(context, position, map.pointSize / 2 + 3, 1.2, ink, paper);
  }
  for (const sequence of added) {
    const [x, y] = map.toPixels(...sequence.at);
    context.beginPath();
    context.moveTo(x, y - 8);
    [
      [8, 0],
      [0, 8],
      [-8, 0],
    ].forEach(([dx, dy]) => context.lineTo(x + dx, y + dy));
    context.closePath();
    context.fillStyle = accent;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = paper;
    context.stroke();
  }
  context.textAlign = "center";
  context.textBaseline = "middle";
  state.ends.forEach((end, i) => {
    if (!end) return;
    const [x, y] = map.toPixels(...end.at);
    ring(context, [x, y], 9, 1.5, ink, paper);
    context.fillStyle = paper;
    context.fill();
    context.fillStyle = ink;
    context.font = "bold 11px system-ui, sans-serif";
    context.fillText("AB"[i], x, y + 0.5);
  });
  drawNames(context, map, state, ink, paper);
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

// Draws the names of clusters at their centers. A name that would cover another one is left out.
function drawNames(context, map, state, ink, paper) {
  const { field, centers, hidden } = state;
  if (!field?.clusters || !centers) return;
  const occupied = [];
  context.font = "bold 12px system-ui, sans-serif";
  context.lineJoin = "round";
  centers.forEach((center, i) => {
    if (!center || hidden.has(i)) return;
    const [x, y] = map.toPixels(...center);
    const name = field.categories[i];
    const halfWidth = context.measureText(name).width / 2 + 7;
    if (occupied.some((label) => Math.abs(label.x - x) < label.halfWidth + halfWidth && Math.abs(label.y - y) < 20))
      return;
    occupied.push({ x, y, halfWidth });
    context.beginPath();
    context.roundRect(x - halfWidth, y - 10, 2 * halfWidth, 20, 10);
    context.fillStyle = paper;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = categoryColor(i, field);
    context.stroke();
    context.fillStyle = ink;
    context.fillText(name, x, y + 0.5);
  });
}

// Returns the center of each category: the member nearest to the median place. It is null without
// members, and for noise.
export function clusterCenters(field, values, places) {
  const members = field.categories.map(() => []);
  const sizes = field.categories.map(() => 0);
  for (const value of values) sizes[value]++;
  const strides = sizes.map((size) => Math.max(1, Math.ceil(size / MAX_SAMPLED_MEMBERS)));
  const counts = sizes.map(() => 0);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (members[value] && counts[value]++ % strides[value] === 0) members[value].push(i);
  }
  return members.map((rows, i) => {
    if (!rows.length || i === field.noise) return null;
    const median = [0, 1].map((axis) => {
      const sorted = Float32Array.from(rows, (row) => places[2 * row + axis]).sort();
      return sorted[sorted.length >> 1];
    });
    const squaredDistance = (row) => (places[2 * row] - median[0]) ** 2 + (places[2 * row + 1] - median[1]) ** 2;
    let best = rows[0];
    for (const row of rows) if (squaredDistance(row) < squaredDistance(best)) best = row;
    return [places[2 * best], places[2 * best + 1]];
  });
}
