// Marks above the points: ends of a path, neighbors, added sequences, names of clusters, the lasso.

import { categoryColor } from "./colors.js";
import { cssColor } from "./dom.js";

// The center of a category is the median of this many members, because sorting more is slow.
const MAX_SAMPLED_MEMBERS = 3000;

// Draws the current path as a line.
function stroke(context, color, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

function fill(context, color) {
  context.fillStyle = color;
  context.fill();
}

// Draws a ring with a rim in the color of the paper, which makes it visible on any color.
function drawRing(context, [x, y], radius, width, color, paper) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  stroke(context, paper, width + 2);
  stroke(context, color, width);
}

// Draws the current place on a saved picture. On the page, it is an SVG element.
export function drawPlace(context, map, state) {
  if (!state.at) return;
  const accent = cssColor("--accent");
  const [x, y] = map.toPixels(...state.at);
  drawRing(context, [x, y], 10, 2.5, accent, cssColor("--paper"));
  if (state.kind === "row") return;
  context.beginPath();
  for (const sign of [-1, 1]) {
    context.moveTo(x + 5 * sign, y);
    context.lineTo(x + 15 * sign, y);
    context.moveTo(x, y + 5 * sign);
    context.lineTo(x, y + 15 * sign);
  }
  stroke(context, accent, 2);
}

export function drawMarks(context, map, { state, neighbors, added }) {
  const [ink, paper, accent] = ["--ink", "--paper", "--accent"].map(cssColor);
  const [a, b] = state.ends;
  if (a && b) {
    context.beginPath();
    context.moveTo(...map.toPixels(...a.at));
    context.lineTo(...map.toPixels(...b.at));
    context.setLineDash([6, 5]);
    stroke(context, ink, 2);
    context.setLineDash([]);
  }
  for (const row of neighbors) {
    const position = map.toPixels(map.places[2 * row], map.places[2 * row + 1]);
    drawRing(context, position, map.pointSize / 2 + 3, 1.2, ink, paper);
  }
  for (const sequence of added) {
    const [x, y] = map.toPixels(...sequence.at);
    context.beginPath();
    context.moveTo(x, y - 8);
    context.lineTo(x + 8, y);
    context.lineTo(x, y + 8);
    context.lineTo(x - 8, y);
    context.closePath();
    fill(context, accent);
    stroke(context, paper, 2);
  }
  context.textAlign = "center";
  context.textBaseline = "middle";
  state.ends.forEach((end, i) => {
    if (!end) return;
    const [x, y] = map.toPixels(...end.at);
    drawRing(context, [x, y], 9, 1.5, ink, paper);
    fill(context, paper);
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
    fill(context, `${accent}22`);
    stroke(context, accent, 1.5);
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
    const overlaps = (label) => Math.abs(label.x - x) < label.halfWidth + halfWidth && Math.abs(label.y - y) < 20;
    if (occupied.some(overlaps)) return;
    occupied.push({ x, y, halfWidth });
    context.beginPath();
    context.roundRect(x - halfWidth, y - 10, 2 * halfWidth, 20, 10);
    fill(context, paper);
    stroke(context, categoryColor(i, field), 2);
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
