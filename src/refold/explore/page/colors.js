// Colors of points: categories, and numbers on a scale.

const CATEGORIES = [
  "#4269d0", "#e67e14", "#d6403f", "#2a9d8f", "#8a63c9", "#c2a100",
  "#e05c9c", "#4f9d3a", "#8c5a3c", "#3fa7d6", "#7a7f87", "#a5b820",
];
const SCALE = ["#3b2a8c", "#3a5fc0", "#1f93a8", "#3fb57c", "#a8cf3e", "#f6dd3b"];
const MISSING = [150, 150, 150];

function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

export function categoryColor(index, count) {
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
export function domainOf(values, log) {
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

export function colorsOf(field, values, count, plain, hidden) {
  const colors = new Uint8Array(4 * count);
  if (!field) {
    for (let i = 0; i < count; i++) colors.set([...plain, 255], 4 * i);
    return colors;
  }
  if (field.type === "category") {
    const known = field.categories.map((_, i) => rgb(categoryColor(i, field.categories.length)));
    for (let i = 0; i < count; i++) {
      colors.set(known[values[i]] ?? MISSING, 4 * i);
      colors[4 * i + 3] = hidden.has(values[i]) ? 0 : 255;
    }
    return colors;
  }
  const [low, high] = field.domain;
  const [a, b] = field.log ? [Math.log(low), Math.log(high)] : [low, high];
  const [least, most] = field.kept ?? [-Infinity, Infinity];
  for (let i = 0; i < count; i++) {
    const value = field.log ? Math.log(Math.max(values[i], 1e-30)) : values[i];
    const share = Math.max(0, Math.min(1, (value - a) / (b - a)));
    colors.set(Number.isNaN(share) ? MISSING : TABLE[Math.round(255 * share)], 4 * i);
    colors[4 * i + 3] = values[i] < least || values[i] > most ? 0 : 255;
  }
  return colors;
}
