// The decoders of the default model: all steps at once, or each step from the one before.

import { Head } from "./head.js";
import { orderByUnit, Lstm } from "./lstm.js";
import { addProduct, addRow, tanh } from "./products.js";

const round = Math.fround; // position features are in single precision, as in training

export class Decoder {
  // weights: arrays by name, as Float32Array.
  constructor(specification, weights) {
    const { units, depth, latent_dim: latentDim, patch, max_steps: maxSteps } = specification;
    this.head = new Head(specification);
    this.readsPrevious = specification.decoder === "autoregressive";
    this.patch = patch;
    this.mostPatches = Math.ceil(maxSteps / patch);
    this.starts = [];
    this.layers = [];
    for (let i = 1; i <= depth; i++) {
      const kernel = weights[`decoder_${i}/lstm_cell/kernel`];
      const recurrent = weights[`decoder_${i}/lstm_cell/recurrent_kernel`];
      this.starts.push([weights[`start_${i}/kernel`], weights[`start_${i}/bias`]]);
      this.layers.push(i === 1 ? new Lstm(units, recurrent) : new Lstm(units, recurrent, kernel));
    }
    this.biases = this.layers.map((_, i) => orderByUnit(weights[`decoder_${i + 1}/lstm_cell/bias`], units));
    // the first layer reads the code, the position and perhaps the previous step
    const first = weights["decoder_1/lstm_cell/kernel"];
    const previous = this.readsPrevious ? this.head.outputs + 1 : 0;
    const positions = first.length / (4 * units) - latentDim - previous;
    const part = (begin, end = Infinity) => orderByUnit(first.subarray(4 * units * begin, 4 * units * end), units);
    this.byCode = part(0, latentDim);
    this.byPosition = part(latentDim, latentDim + positions);
    this.byPrevious = part(latentDim + positions);
    this.periods = (positions - 2) / 2;
    this.positionSums = new Float64Array(0);
    this.setDense(weights);
  }

  setDense(weights) {
    const { outputs } = this.head;
    const scale = weights["head/scale"];
    const scaled = (array) => (scale ? array.map((one, i) => one * scale[i % outputs]) : array);
    this.dense = scaled(weights["head/dense/kernel"]);
    this.denseBias = scaled(weights["head/dense/bias"]);
    this.linear = weights["linear_steps/map"] ?? null; // (latent dimensions, steps, outputs)
    this.linearBias = weights["linear_steps/bias"];
  }

  // Decodes a code to scaled values, (steps, columns).
  decode(code, steps) {
    const { patch, head, layers } = this;
    const count = Math.ceil(steps / patch);
    const width = patch * head.outputs;
    const columns = head.columns.length;
    const logits = this.linearPath(code, count);
    const values = new Float64Array(count * patch * columns);
    const states = this.starts.map(([kernel, bias]) => initialState(code, kernel, bias));
    const byCode = Float64Array.from(this.biases[0]);
    addProduct(byCode, 0, code, this.byCode, byCode.length);
    const sums = new Float64Array(byCode.length);
    const positions = this.positionsOf(count);
    for (let step = 0; step < count; step++) {
      const begin = step * sums.length;
      for (let k = 0; k < sums.length; k++) sums[k] = byCode[k] + positions[begin + k];
      if (this.readsPrevious && step) this.addPrevious(sums, values, (step - 1) * columns);
      layers.forEach((layer, i) => {
        if (i) layer.row.set(states[i - 1].h);
        layer.step(states[i].h, states[i].c, i ? this.biases[i] : sums);
      });
      addProduct(logits, step * width, states.at(-1).h, this.dense, width);
      for (let k = step * patch; k < (step + 1) * patch; k++) {
        head.read(logits, k * head.outputs, values, k * columns);
      }
    }
    return values.subarray(0, steps * columns); // without the rest of the last patch
  }

  // The bias of the stack and the linear path at each step of whole patches.
  linearPath(code, count) {
    const { denseBias, linear, linearBias } = this;
    const logits = new Float64Array(count * denseBias.length);
    for (let begin = 0; begin < logits.length; begin += denseBias.length) logits.set(denseBias, begin);
    if (!linear) return logits;
    const reach = Math.min(logits.length, linearBias.length);
    for (let k = 0; k < reach; k++) logits[k] += linearBias[k];
    addProduct(logits, 0, code, linear, linearBias.length, reach);
    return logits;
  }

  // What the first layer reads of the step before: categories as one-hot, numbers, and a flag.
  addPrevious(sums, values, at) {
    const { byPrevious, head } = this;
    head.columns.forEach(({ oneHot, first }, i) => {
      const value = values[at + i];
      if (oneHot) addRow(sums, first + value, 1, byPrevious, sums.length);
      else addRow(sums, first, value, byPrevious, sums.length);
    });
    addRow(sums, head.outputs, 1, byPrevious, sums.length);
  }

  // Products of the position features of the first patches with their weights.
  positionsOf(count) {
    const width = this.biases[0].length;
    if (this.positionSums.length >= count * width) return this.positionSums;
    const sums = new Float64Array(count * width);
    for (let step = 0; step < count; step++) {
      const waves = [[], []];
      for (let i = 1; i <= this.periods; i++) {
        const angle = round(round(round(2 * Math.PI) * (step + 0.5)) / 2 ** i);
        waves[0].push(round(Math.sin(angle)));
        waves[1].push(round(Math.cos(angle)));
      }
      const features = [round(step / this.mostPatches), round(1 / (1 + step)), ...waves.flat()];
      addProduct(sums, step * width, features, this.byPosition, width);
    }
    this.positionSums = sums;
    return sums;
  }
}

function initialState(code, kernel, bias) {
  const both = Float64Array.from(bias);
  addProduct(both, 0, code, kernel, both.length);
  const units = both.length / 2;
  return { h: both.slice(0, units), c: both.slice(units).map(tanh) };
}
