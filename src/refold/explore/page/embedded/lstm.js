// An LSTM layer on one sequence.

import { sigmoid, tanh } from "./products.js";

// Returns a matrix with the columns unit by unit (input, forget, candidate, output), instead of
// gate by gate.
export function orderByUnit(matrix, units) {
  const ordered = new Float64Array(matrix.length);
  for (let row = 0; row < matrix.length; row += 4 * units) {
    for (let gate = 0; gate < 4; gate++) {
      for (let unit = 0; unit < units; unit++) {
        ordered[row + 4 * unit + gate] = matrix[row + gate * units + unit];
      }
    }
  }
  return ordered;
}

export class Lstm {
  // recurrent (units, 4 * units) and, if the layer reads an input, kernel (inputs, 4 * units).
  constructor(units, recurrent, kernel = new Float32Array(0)) {
    this.units = units;
    this.inputs = kernel.length / (4 * units);
    this.width = this.inputs + units;
    const matrix = [...kernel, ...recurrent]; // (width, 4 * units), gate by gate
    // all weights of a unit lie one after another, so that a step reads them once and in order
    this.weights = Float64Array.from(matrix, (_, k) => {
      const [unit, i, gate] = [Math.floor(k / (4 * this.width)), Math.floor(k / 4) % this.width, k % 4];
      return matrix[(4 * i + gate) * units + unit];
    });
    this.row = new Float64Array(this.width); // the input, followed by the state
  }

  // Computes one step in place, in the state h and the cell c. `sums` has all other terms of the
  // gates, unit by unit. The caller writes the input to `row` before.
  step(h, c, sums) {
    const { units, width, weights, row } = this;
    row.set(h, this.inputs);
    for (let unit = 0, k = 0, m = 0; unit < units; unit++, k += 4) {
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
      c[unit] = sigmoid(forget) * c[unit] + sigmoid(input) * tanh(candidate);
      h[unit] = sigmoid(output) * tanh(c[unit]);
    }
  }
}
