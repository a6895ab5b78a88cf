// Colors of points: categories, and numbers on a scale.

const CATEGORIES = [
  "#4269d0", "#e67e14", "#d6403f", "#2a9d8f", "#8a63c9", "#c2a100",
  "#e05c9c", "#4f9d3a", "#8c5a3c", "#3fa7d6", "#7a7f87", "#a5b820",
];
const SCALE = ["#3b2a8c", "#3a5fc0", "#1f93a8", "#3fb57c", "#a8cf3e", "#f6dd3b"];
const NOISE = "#969696";
const MISSING = [150, 150, 150];

function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

export function categoryColor(index, field) {
  const count = field.categories.length;
  if (index === field.noise) return NOISE;
  if (count <= CATEGORIES.length) return CATEGORIES[index % CATEGORIES.length];
  const hue = (index * 137.508) % 360;
  return hslToHex(hue, 0.6, index % 2 ? 0.42 : 0.58);
}

function hslToHex(hue, saturation, lightness) {
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    const a = saturation * Math.min(lightness, 1 - lightness);
    const value = lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}

const TABLE = (() => {
  const stops = SCALE.map(rgb);
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((one, k) => Math.round(one + (stops[low + 1][k] - one) * (at - low)));
  });
})();

export function scaleGradient() {
  return `linear-gradient(to right, ${SCALE.join(", ")})`;
}

// The range of a scale: most of the values, so that a few extreme ones do not take all colors.
export function colorRange(values, log) {
  const step = Math.max(1, Math.floor(values.length / 20000));
  const some = [];
  for (let i = 0; i < values.length; i += step) {
    if (!Number.isNaN(values[i]) && (!log || values[i] > 0)) some.push(values[i]);
  }
  if (!some.length) return [0, 1];
  some.sort((a, b) => a - b);
  const at = (share) => some[Math.round(share * (some.length - 1))];
  const [low, high] = [at(0.02), at(0.98)];
  if (high > low) return [low, high];
  return log ? [low / 2, low * 2] : [low - 0.5, low + 0.5];
}

// A color as the bytes of a number: red, green, blue, and whether it is shown.
function packed([red, green, blue], shown = 255) {
  return ((shown << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

export function pointColors(field, values, count, plain, hidden) {
  const colors = new Uint32Array(count);
  const found = new Uint8Array(colors.buffer);
  if (!field || !values) return colors.fill(packed(plain)) && found;
  if (field.type === "category") {
    const known = field.categories.map((_, i) => packed(rgb(categoryColor(i, field)), hidden.has(i) ? 0 : 255));
    const missing = packed(MISSING);
    for (let i = 0; i < count; i++) colors[i] = known[values[i]] ?? missing;
    return found;
  }
  const [low, high] = field.domain;
  const [a, b] = field.log ? [Math.log(low), Math.log(high)] : [low, high];
  const [least, most] = field.kept ?? [-Infinity, Infinity];
  const table = TABLE.map((one) => packed(one));
  const missing = packed(MISSING);
  for (let i = 0; i < count; i++) {
    const value = field.log ? Math.log(Math.max(values[i], 1e-30)) : values[i];
    const share = Math.max(0, Math.min(1, (value - a) / (b - a)));
    if (values[i] < least || values[i] > most) continue; // not shown
    colors[i] = Number.isNaN(share) ? missing : table[Math.round(255 * share)];
  }
  return found;
}
