// The encoder of the default model on one sequence.

import { byUnit, Lstm } from "./lstm.js";
import { addProduct, sigmoid } from "./products.js";

const DILATIONS = [1, 2, 4, 8];
const STEEPNESS = 4;
const MOST_STRIDE = 4;

export class Encoder {
  constructor(specification, weights) {
    this.specification = specification;
    this.weights = weights;
    const { units, depth } = specification;
    this.layers = Array.from({ length: depth }, (_, i) =>
      ["forward", "backward"].map((direction) => {
        const part = (name) => weights[`encoder_${i + 1}/${direction}_lstm_${i + 1}/lstm_cell/${name}`];
        return {
          lstm: new Lstm(units, part("recurrent_kernel")),
          kernel: byUnit(part("kernel"), units),
          bias: byUnit(part("bias"), units),
        };
      }),
    );
  }

  // Encodes scaled values (steps, columns), NaN where missing.
  encode(values) {
    const { specification, weights } = this;
    const rows = oneHot(values, specification);
    const steps = values.length / specification.column_types.length;
    let code = dense(this.pooled(rows, steps), weights, "code");
    if (weights["linear_code/map"]) {
      const linear = this.linearCode(rows, steps);
      const [scale] = weights["linear_code/scale"];
      code = linear.map((one, i) => one + scale * code[i]);
    }
    const parts = [...code];
    if (specification.length_dim) {
      const [center, scale] = specification.length_scale;
      parts.push((Math.log1p(steps) - center) / scale);
    }
    if (specification.rocket_dim) {
      const center = weights["rocket_dim/center"];
      const away = this.rocketFeatures(rows, steps).map((one, i) => one - center[i]);
      const features = new Float64Array(specification.rocket_dim);
      addProduct(features, 0, away, weights["rocket_dim/kernel"], features.length);
      parts.push(...features);
    }
    return Float32Array.from(parts);
  }

  // The LSTMs' last states, the mean and the maximum of their states, and the length.
  pooled(rows, steps) {
    const { patch, units, max_steps: maxSteps } = this.specification;
    let hidden = patch > 1 ? folded(rows, steps, patch) : rows;
    const count = Math.ceil(steps / patch);
    let last = [];
    for (const halves of this.layers) {
      const outputs = new Float64Array(count * 2 * units);
      last = halves.flatMap((half, i) => [...run(half, hidden, count, outputs, i)]);
      hidden = outputs;
    }
    const width = 2 * units;
    const mean = new Float64Array(width);
    const highest = new Float64Array(width).fill(count ? -Infinity : 0);
    hidden.forEach((one, k) => {
      mean[k % width] += one / count;
      highest[k % width] = Math.max(highest[k % width], one);
    });
    const about = [Number(steps === 0), steps / maxSteps, Math.log1p(steps) / Math.log1p(maxSteps)];
    return Float64Array.from([...last, ...mean, ...highest, ...about]);
  }

  linearCode(rows, steps) {
    const { weights } = this;
    const code = Float64Array.from(weights["linear_code/bias"]);
    const map = weights["linear_code/map"]; // (steps, width, learned dimensions)
    const reach = Math.min(rows.length, map.length / code.length);
    addProduct(code, 0, rows.subarray(0, reach), map, code.length);
    const maps = weights["linear_code/maps"];
    if (!maps) return code;
    // one map for each length
    const { length: size } = code;
    const within = Math.min(steps, maps.length / size ** 2 - 1);
    const offsets = weights["linear_code/offsets"];
    const mapped = new Float64Array(size);
    const away = code.map((one, i) => one - offsets[within * size + i]);
    addProduct(mapped, 0, away, maps.subarray(within * size ** 2, (within + 1) * size ** 2), size);
    return mapped;
  }

  // Random convolutions: the share of positive values and the maximum of each.
  rocketFeatures(rows, steps) {
    const { weights, specification } = this;
    const stride = Math.min(specification.patch, MOST_STRIDE);
    const taps = weights["convolutions/taps"];
    const bias = weights["convolutions/bias"];
    const kernels = bias.length;
    const width = steps ? rows.length / steps : 0;
    const mixed = new Float64Array(steps * kernels);
    for (let step = 0; step < steps; step++) {
      const row = rows.subarray(step * width, (step + 1) * width);
      addProduct(mixed, step * kernels, row, weights["convolutions/channels"], kernels);
    }
    const half = Math.floor(taps.length / kernels / 2);
    const count = Math.ceil(steps / stride);
    const found = new Float64Array(2 * kernels);
    for (let kernel = 0; kernel < kernels; kernel++) {
      const dilation = DILATIONS.find((_, i) => kernel < Math.round(((i + 1) * kernels) / DILATIONS.length));
      let [positive, highest] = [0, count ? -Infinity : 0];
      for (let step = 0; step < steps; step += stride) {
        let sum = bias[kernel];
        for (let tap = -half; tap <= half; tap++) {
          const at = step + tap * dilation;
          if (at >= 0 && at < steps) sum += mixed[at * kernels + kernel] * taps[(tap + half) * kernels + kernel];
        }
        positive += sigmoid(STEEPNESS * sum);
        highest = Math.max(highest, sum);
      }
      found[kernel] = positive / Math.max(1, count);
      found[kernels + kernel] = highest;
    }
    return found;
  }
}

// Runs a direction of a layer, writes its outputs side by side, and returns the last state.
function run({ lstm, kernel, bias }, rows, count, outputs, direction) {
  const { units } = lstm;
  const width = count ? rows.length / count : 0;
  const [h, c] = [new Float64Array(units), new Float64Array(units)];
  for (let k = 0; k < count; k++) {
    const step = direction ? count - 1 - k : k;
    const sums = Float64Array.from(bias);
    addProduct(sums, 0, rows.subarray(step * width, (step + 1) * width), kernel, sums.length);
    lstm.step(h, c, sums, 0);
    outputs.set(h, (2 * step + direction) * units);
  }
  return h;
}

// Categories as one-hot, and whether values are observed, if the model reads that. A missing number
// is 0; a missing or unknown category has zeros only.
function oneHot(values, { num_categories: categories, observed_flags: flags }) {
  const columns = categories.length;
  const width = categories.reduce((sum, n) => sum + (n || 1), 0);
  const whole = width + (flags ? columns : 0);
  const steps = values.length / columns;
  const rows = new Float64Array(steps * whole);
  for (let step = 0; step < steps; step++) {
    let at = step * whole;
    categories.forEach((n, i) => {
      const value = values[step * columns + i];
      const known = !Number.isNaN(value);
      if (known && !n) rows[at] = value;
      if (known && value < n) rows[at + value] = 1;
      if (known && flags) rows[step * whole + width + i] = 1;
      at += n || 1;
    });
  }
  return rows;
}

// The steps of each patch side by side, and the share of them that is real.
function folded(rows, steps, patch) {
  const count = Math.ceil(steps / patch);
  const size = steps ? (patch * rows.length) / steps : 0;
  const found = new Float64Array(count * (size + 1));
  for (let k = 0; k < count; k++) {
    found.set(rows.subarray(k * size, (k + 1) * size), k * (size + 1));
    found[k * (size + 1) + size] = Math.min(patch, steps - k * patch) / patch;
  }
  return found;
}

function dense(vector, weights, layer) {
  const sums = Float64Array.from(weights[`${layer}/bias`]);
  addProduct(sums, 0, vector, weights[`${layer}/kernel`], sums.length);
  return sums;
}
