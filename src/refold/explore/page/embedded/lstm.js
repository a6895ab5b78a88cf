// An LSTM layer on one sequence.

import { sigmoid, tanh } from "./products.js";

// Columns in the order unit by unit (input, forget, candidate, output) instead of gate by gate.
export function byUnit(matrix, units) {
  const found = new Float64Array(matrix.length);
  for (let row = 0; row < matrix.length; row += 4 * units) {
    for (let gate = 0; gate < 4; gate++) {
      for (let unit = 0; unit < units; unit++) {
        found[row + 4 * unit + gate] = matrix[row + gate * units + unit];
      }
    }
  }
  return found;
}

export class Lstm {
  // recurrent (units, 4 * units) and, if the layer reads an input, kernel (inputs, 4 * units).
  constructor(units, recurrent, kernel = new Float32Array(0)) {
    this.units = units;
    this.inputs = kernel.length / (4 * units);
    this.width = this.inputs + units;
    const rows = new Float32Array(kernel.length + recurrent.length);
    rows.set(kernel);
    rows.set(recurrent, kernel.length);
    const ordered = byUnit(rows, units);
    // all weights of a unit lie one after another, so that a step reads them once and in order
    this.weights = new Float64Array(ordered.length);
    for (let i = 0; i < this.width; i++) {
      for (let unit = 0; unit < units; unit++) {
        for (let gate = 0; gate < 4; gate++) {
          const place = 4 * (unit * this.width + i) + gate;
          this.weights[place] = ordered[4 * (i * units + unit) + gate];
        }
      }
    }
    this.row = new Float64Array(this.width); // the input and the state
  }

  // One step. Replaces the state h and the cell c; `sums` has the other terms of the gates from
  // place `at` on, unit by unit. The caller writes the input to `row`. A trace keeps what the gradient
  // needs: the gates, the cell and its tanh, six numbers for each unit.
  step(h, c, sums, at, trace = null) {
    const { units, width, weights, row } = this;
    row.set(h, this.inputs);
    for (let unit = 0, k = at, m = 0; unit < units; unit++, k += 4) {
      let input = sums[k];
      let forget = sums[k + 1];
      let candidate = sums[k + 2];
      let output = sums[k + 3];
      for (let i = 0; i < width; i++, m += 4) {
        const value = row[i];
        input += value * weights[m];
        forget += value * weights[m + 1];
        candidate += value * weights[m + 2];
        output += value * weights[m + 3];
      }
      const before = c[unit];
      input = sigmoid(input);
      forget = sigmoid(forget);
      candidate = tanh(candidate);
      output = sigmoid(output);
      c[unit] = forget * before + input * candidate;
      const squashed = tanh(c[unit]);
      h[unit] = output * squashed;
      trace?.set([input, forget, candidate, output, before, squashed], 6 * unit);
    }
  }

  // The gradient of a step. `dH` and `dC` are those of the state after it, and become those of the
  // state before it; `dSums` receives that of the gates, and `dInput` that of the input.
  stepBack(dH, dC, trace, dSums, dInput) {
    const { units, inputs, width, weights } = this;
    for (let unit = 0; unit < units; unit++) {
      const [input, forget, candidate, output, before, squashed] = trace.subarray(6 * unit, 6 * unit + 6);
      const dCell = dC[unit] + dH[unit] * output * (1 - squashed * squashed);
      dSums[4 * unit] = dCell * candidate * input * (1 - input);
      dSums[4 * unit + 1] = dCell * before * forget * (1 - forget);
      dSums[4 * unit + 2] = dCell * input * (1 - candidate * candidate);
      dSums[4 * unit + 3] = dH[unit] * squashed * output * (1 - output);
      dC[unit] = dCell * forget;
    }
    dH.fill(0);
    dInput?.fill(0);
    for (let unit = 0, m = 0; unit < units; unit++) {
      const [a, b, c, d] = dSums.subarray(4 * unit, 4 * unit + 4);
      for (let i = 0; i < width; i++, m += 4) {
        const sum = a * weights[m] + b * weights[m + 1] + c * weights[m + 2] + d * weights[m + 3];
        if (i < inputs) dInput[i] += sum;
        else dH[i - inputs] += sum;
      }
    }
  }
}
