// The model of the page: sequences from codes, in the units of the data, and errors.

import { Decoder } from "./decoder.js";
import { Lengths } from "./lengths.js";
import { LINKS } from "./links.js";
import { Scaler } from "./scaling.js";

export class Model {
  // about: what the page holds about the model; weights: arrays by name.
  constructor(about, weights) {
    const { specification, scaler, units, columns } = about;
    this.about = about;
    this.specification = specification;
    this.columns = columns;
    const numeric = columns.flatMap((column, i) => (column.number ? [i] : []));
    const centered = columns.map((column) => column.centered);
    this.scaler = new Scaler(scaler, numeric, centered);
    this.units = new Scaler({ ...units, mode: "features", dtype: "float64" }, numeric, centered);
    this.decoder = new Decoder(specification, weights);
    this.lengths = new Lengths(specification, weights);
  }

  // The latent vector, and the statistics that follow it where each sequence is scaled by itself.
  parts(code) {
    const { latent_dim: size } = this.specification;
    return [code.subarray(0, size), code.subarray(size)];
  }

  // The length that a code decodes to.
  lengthOf(code, most = this.about.most_steps) {
    return this.lengths.of(this.parts(code)[0], most);
  }

  // Decodes a code to values (steps, columns) in the units of the data.
  decode(code, steps) {
    const [inner, statistics] = this.parts(code);
    const values = this.scaler.unscaled(this.decoder.decode(inner, steps), statistics);
    const width = this.columns.length;
    return values.map((one, k) => (this.columns[k % width].whole ? Math.round(one) : one));
  }

  // The squared error of each value in standard deviations, or 1 for a wrong one; NaN if missing.
  entries(given, written) {
    const [a, b] = [this.units.scaled(given), this.units.scaled(written)];
    return a.map((one, k) => {
      if (Number.isNaN(one)) return NaN;
      return LINKS[this.columns[k % this.columns.length].link].error(one, b[k]);
    });
  }

  // Values as a list for each column: numbers, or the names of categories; null is missing.
  lists(values) {
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

// Means of entries by step and over all of them; missing ones do not count.
export function meanErrors(entries, width) {
  const errors = [];
  let [total, count] = [0, 0];
  for (let begin = 0; begin < entries.length; begin += width) {
    const known = Array.from(entries.subarray(begin, begin + width)).filter((one) => !Number.isNaN(one));
    const sum = known.reduce((a, b) => a + b, 0);
    errors.push(sum / Math.max(1, known.length));
    total += sum;
    count += known.length;
  }
  return { errors, error: total / Math.max(1, count) };
}
