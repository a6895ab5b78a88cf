// The model of the page: decodes codes to sequences in the units of the data, and computes errors.

import { Decoder } from "./decoder.js";
import { Lengths } from "./lengths.js";
import { LINKS } from "./links.js";
import { Scaler } from "./scaling.js";

export class Model {
  // description: what the page says about the model; weights: arrays by name.
  constructor(description, weights) {
    const { specification, scaler, columns } = description;
    Object.assign(this, { description, specification, columns });
    const numeric = columns.flatMap((column, i) => (column.number ? [i] : []));
    const centered = columns.map((column) => column.centered);
    this.scaler = new Scaler(scaler, numeric, centered);
    const errorScaler = { ...description.error_scaler, mode: "features", dtype: "float64" };
    this.errorScaler = new Scaler(errorScaler, numeric, centered);
    this.decoder = new Decoder(specification, weights);
    this.lengths = new Lengths(specification, weights);
  }

  // Returns the latent dimensions of a code, and the statistics of a sequence that is scaled by itself.
  splitCode(code) {
    const { latent_dim: latentDim } = this.specification;
    return [code.subarray(0, latentDim), code.subarray(latentDim)];
  }

  // Returns the length that a code decodes to.
  lengthOf(code, maxSteps = this.description.max_decoded_length) {
    return this.lengths.lengthOf(this.splitCode(code)[0], maxSteps);
  }

  // Decodes a code to values (steps, columns) in the units of the data.
  decode(code, steps) {
    const [latent, statistics] = this.splitCode(code);
    const values = this.scaler.unscaled(this.decoder.decode(latent, steps), statistics);
    const width = this.columns.length;
    return values.map((value, k) => (this.columns[k % width].whole ? Math.round(value) : value));
  }

  // Returns the error of each value: squared, in standard deviations; 1 for a wrong category; or NaN.
  valueErrors(original, decoded) {
    const [a, b] = [this.errorScaler.scaled(original), this.errorScaler.scaled(decoded)];
    return a.map((value, k) => {
      if (Number.isNaN(value)) return NaN;
      return LINKS[this.columns[k % this.columns.length].link].error(value, b[k]);
    });
  }

  // Returns a list for each column: numbers, or the names of categories; null is missing.
  toLists(values) {
    const width = this.columns.length;
    const steps = values.length / width;
    return this.columns.map(({ names }, i) =>
      Array.from({ length: steps }, (_, step) => {
        const value = values[step * width + i];
        if (Number.isNaN(value)) return null;
        return names ? (names[value] ?? "<unknown>") : value;
      }),
    );
  }
}

// Returns the mean error of each step, and of all values; missing values, whose error is NaN, do not count.
export function meanErrors(valueErrors, width) {
  const errors = [];
  let [total, count] = [0, 0];
  for (let begin = 0; begin < valueErrors.length; begin += width) {
    const observed = Array.from(valueErrors.subarray(begin, begin + width)).filter((error) => !Number.isNaN(error));
    const sum = observed.reduce((a, b) => a + b, 0);
    errors.push(sum / Math.max(1, observed.length));
    total += sum;
    count += observed.length;
  }
  return { errors, error: total / Math.max(1, count) };
}
