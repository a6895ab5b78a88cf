// Colors of points: of categories, and of numbers on a color scale.

// Colors of categories, most distinct first.
const CATEGORY_COLORS =
  "#4269d0 #e67e14 #d6403f #2a9d8f #8a63c9 #c2a100 #e05c9c #4f9d3a #8c5a3c #3fa7d6 #7a7f87 #a5b820".split(" ");
// Colors of a scale from low to high numbers.
const SCALE_COLORS = ["#3b2a8c", "#3a5fc0", "#1f93a8", "#3fb57c", "#a8cf3e", "#f6dd3b"];
// Gray of the category of noise.
const NOISE_COLOR = "#969696";
// Gray of points without a value.
const MISSING_COLOR = [150, 150, 150];

// Returns red, green and blue, from 0 to 255, of a color such as "#4269d0".
export function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

export function categoryColor(index, field) {
  const count = field.categories.length;
  if (index === field.noise) return NOISE_COLOR;
  if (count <= CATEGORY_COLORS.length) return CATEGORY_COLORS[index % CATEGORY_COLORS.length];
  const hue = (index * 137.508) % 360; // by the golden angle, neighbors differ most
  return hslToHex(hue, 0.6, index % 2 ? 0.42 : 0.58);
}

// The conversion of the CSS Color specification.
function hslToHex(hue, saturation, lightness) {
  const channel = (n) => {
    const k = (n + hue / 30) % 12;
    const a = saturation * Math.min(lightness, 1 - lightness);
    const value = lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return `0${Math.round(255 * value).toString(16)}`.slice(-2);
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

// The color scale as 256 colors, so that none has to be interpolated for each point.
const SCALE_TABLE = (() => {
  const stops = SCALE_COLORS.map(rgb);
  return Array.from({ length: 256 }, (_, i) => {
    const position = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(position), stops.length - 2);
    return stops[low].map((value, k) => Math.round(value + (stops[low + 1][k] - value) * (position - low)));
  });
})();

export function scaleGradient() {
  return `linear-gradient(to right, ${SCALE_COLORS.join(", ")})`;
}

// Returns the range of the color scale, without extreme values, which would leave few colors for others.
export function colorRange(values, log) {
  const step = Math.max(1, Math.floor(values.length / 20000)); // a sample is enough
  const sample = [];
  for (let i = 0; i < values.length; i += step) {
    if (!Number.isNaN(values[i]) && (!log || values[i] > 0)) sample.push(values[i]);
  }
  if (!sample.length) return [0, 1];
  sample.sort((a, b) => a - b);
  const quantile = (share) => sample[Math.round(share * (sample.length - 1))];
  const [low, high] = [quantile(0.02), quantile(0.98)];
  if (high > low) return [low, high];
  return log ? [low / 2, low * 2] : [low - 0.5, low + 0.5];
}

// A color as a number whose bytes, in the order of memory, are red, green, blue and opacity.
function packColor([red, green, blue], opacity = 255) {
  return ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

// Returns the bytes of the colors of all points. Points without a field have the default color;
// hidden points have opacity 0.
export function pointColors(field, values, count, defaultColor, hidden) {
  const colors = new Uint32Array(count);
  const bytes = new Uint8Array(colors.buffer);
  const missing = packColor(MISSING_COLOR);
  if (!field || !values) return colors.fill(packColor(defaultColor)) && bytes;
  if (field.type === "category") {
    const packCategory = (_, i) => packColor(rgb(categoryColor(i, field)), hidden.has(i) ? 0 : 255);
    const categoryColors = field.categories.map(packCategory);
    for (let i = 0; i < count; i++) colors[i] = categoryColors[values[i]] ?? missing;
    return bytes;
  }
  const [low, high] = field.domain;
  const [start, end] = field.log ? [Math.log(low), Math.log(high)] : [low, high];
  const [smallest, largest] = field.visibleRange ?? [-Infinity, Infinity];
  const table = SCALE_TABLE.map((color) => packColor(color));
  for (let i = 0; i < count; i++) {
    const value = field.log ? Math.log(Math.max(values[i], 1e-30)) : values[i];
    const share = Math.max(0, Math.min(1, (value - start) / (end - start)));
    if (values[i] < smallest || values[i] > largest) continue; // outside of the range that the user has set
    colors[i] = Number.isNaN(share) ? missing : table[Math.round(255 * share)];
  }
  return bytes;
}
