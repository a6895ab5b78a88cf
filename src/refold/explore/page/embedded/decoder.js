// The decoder of the default model. It reads the code at each step, and the previous step if the model is
// autoregressive.

import { Head } from "./links.js";
import { orderByUnit, Lstm } from "./lstm.js";
import { addProduct, addRow, tanh } from "./products.js";

// Position features are in single precision, as in training.
const toSingle = Math.fround;

export class Decoder {
  // weights: arrays (Float32Array) by name.
  constructor(specification, weights) {
    const { units, depth, latent_dim: latentDim, patch, max_steps: maxSteps } = specification;
    this.head = new Head(specification);
    this.readsPrevious = specification.decoder === "autoregressive";
    this.patch = patch;
    this.maxPatches = Math.ceil(maxSteps / patch);
    this.initialWeights = [];
    this.layers = [];
    for (let i = 1; i <= depth; i++) {
      const kernel = weights[`decoder_${i}/lstm_cell/kernel`];
      const recurrent = weights[`decoder_${i}/lstm_cell/recurrent_kernel`];
      // the first layer gets no kernel: `decode` multiplies its inputs, because the code is the same at each step
      this.initialWeights.push([weights[`start_${i}/kernel`], weights[`start_${i}/bias`]]);
      this.layers.push(i === 1 ? new Lstm(units, recurrent) : new Lstm(units, recurrent, kernel));
    }
    this.biases = this.layers.map((_, i) => orderByUnit(weights[`decoder_${i + 1}/lstm_cell/bias`], units));
    // the rows of the first kernel are for the code, the position and the previous step, if it is read
    const kernel = weights["decoder_1/lstm_cell/kernel"];
    const numPrevious = this.readsPrevious ? this.head.numOutputs + 1 : 0;
    const numPositions = kernel.length / (4 * units) - latentDim - numPrevious;
    const weightRows = (begin, end = Infinity) =>
      orderByUnit(kernel.subarray(4 * units * begin, 4 * units * end), units);
    this.codeWeights = weightRows(0, latentDim);
    this.positionWeights = weightRows(latentDim, latentDim + numPositions);
    this.previousWeights = weightRows(latentDim + numPositions);
    this.periods = (numPositions - 2) / 2; // of sines and cosines; two features are not periodic
    this.cachedPositionSums = new Float64Array(0);
    this.setDense(weights);
  }

  // Sets the weights of the last layer, multiplied with the scale of each output.
  setDense(weights) {
    const { numOutputs } = this.head;
    const scale = weights["head/scale"];
    const scaled = (array) => (scale ? array.map((weight, i) => weight * scale[i % numOutputs]) : array);
    this.dense = scaled(weights["head/dense/kernel"]);
    this.denseBias = scaled(weights["head/dense/bias"]);
    this.linear = weights["linear_steps/map"] ?? null; // the linear path (latent dimensions, steps, outputs)
    this.linearBias = weights["linear_steps/bias"];
  }

  // Decodes a code to scaled values (steps, columns).
  decode(code, steps) {
    const { patch, head, layers } = this;
    const numPatches = Math.ceil(steps / patch); // a step of the layers has the outputs of a patch of steps
    const width = patch * head.numOutputs;
    const columns = head.columns.length;
    const logits = this.initialLogits(code, numPatches);
    const values = new Float64Array(numPatches * patch * columns);
    const states = this.initialWeights.map(([kernel, bias]) => initialState(code, kernel, bias));
    const codeSums = Float64Array.from(this.biases[0]);
    addProduct(codeSums, 0, code, this.codeWeights, codeSums.length);
    const sums = new Float64Array(codeSums.length);
    const positions = this.positionSums(numPatches);
    for (let step = 0; step < numPatches; step++) {
      const begin = step * sums.length;
      for (let k = 0; k < sums.length; k++) sums[k] = codeSums[k] + positions[begin + k];
      if (this.readsPrevious && step) this.addPrevious(sums, values, (step - 1) * columns);
      layers.forEach((layer, i) => {
        if (i) layer.row.set(states[i - 1].h);
        layer.step(states[i].h, states[i].c, i ? this.biases[i] : sums);
      });
      addProduct(logits, step * width, states.at(-1).h, this.dense, width);
      for (let k = step * patch; k < (step + 1) * patch; k++) {
        head.read(logits, k * head.numOutputs, values, k * columns);
      }
    }
    return values.subarray(0, steps * columns); // the last patch may be longer
  }

  // Returns the bias of the last layer plus the linear path: a linear map from the code to the outputs of
  // each step, whose results are added to those of the LSTM.
  initialLogits(code, numPatches) {
    const { denseBias, linear, linearBias } = this;
    const logits = new Float64Array(numPatches * denseBias.length);
    for (let begin = 0; begin < logits.length; begin += denseBias.length) logits.set(denseBias, begin);
    if (!linear) return logits;
    // the linear path has weights only for the first steps, at most those of the longest training sequence
    const end = Math.min(logits.length, linearBias.length);
    for (let k = 0; k < end; k++) logits[k] += linearBias[k];
    addProduct(logits, 0, code, linear, linearBias.length, end);
    return logits;
  }

  // Adds the previous step, whose values begin at an offset, to the sums of the first layer: one-hot
  // categories, numbers, and a flag that it exists.
  addPrevious(sums, values, offset) {
    const { previousWeights, head } = this;
    head.columns.forEach(({ oneHot, first }, i) => {
      const value = values[offset + i];
      const [row, factor] = oneHot ? [first + value, 1] : [first, value];
      addRow(sums, row, factor, previousWeights, sums.length);
    });
    addRow(sums, head.numOutputs, 1, previousWeights, sums.length);
  }

  // Returns the position features of the first patches, multiplied with their weights.
  positionSums(numPatches) {
    const width = this.biases[0].length;
    if (this.cachedPositionSums.length >= numPatches * width) return this.cachedPositionSums;
    const sums = new Float64Array(numPatches * width);
    for (let step = 0; step < numPatches; step++) {
      const waves = [[], []];
      for (let i = 1; i <= this.periods; i++) {
        const angle = toSingle(toSingle(toSingle(2 * Math.PI) * (step + 0.5)) / 2 ** i);
        waves[0].push(toSingle(Math.sin(angle)));
        waves[1].push(toSingle(Math.cos(angle)));
      }
      const features = [toSingle(step / this.maxPatches), toSingle(1 / (1 + step)), ...waves.flat()];
      addProduct(sums, step * width, features, this.positionWeights, width);
    }
    this.cachedPositionSums = sums;
    return sums;
  }
}

// Returns the initial state h and cell c of a layer.
function initialState(code, kernel, bias) {
  const state = Float64Array.from(bias);
  addProduct(state, 0, code, kernel, state.length);
  const units = state.length / 2;
  return { h: state.slice(0, units), c: state.slice(units).map(tanh) };
}
