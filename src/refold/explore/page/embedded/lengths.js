// The length of a sequence from its code: from a dimension for it, or predicted.

import { addProduct, normalCdf, round } from "./products.js";

export class Lengths {
  constructor(specification, weights) {
    this.specification = specification;
    this.weights = weights;
  }

  // The length of a code, from 0 to `most`.
  of(code, most) {
    const found = this.specification.length_index === null ? this.predicted(code) : this.stored(code);
    return Math.min(most, Math.max(0, round(found)));
  }

  stored(code) {
    const { length_index: index, length_scale: [center, scale], max_log_length: most } = this.specification;
    return Math.expm1(Math.min(most, Math.max(0, center + scale * code[index])));
  }

  predicted(code) {
    const { weights, specification } = this;
    const hidden = Float64Array.from(weights["hidden/bias"]);
    addProduct(hidden, 0, code, weights["hidden/kernel"], hidden.length);
    const both = Float64Array.from(weights["length/dense/bias"]);
    addProduct(both, 0, hidden.map(gelu), weights["length/dense/kernel"], 2);
    return specification.length_mean + specification.length_unit * both[0];
  }
}

function gelu(x) {
  return x * normalCdf(x);
}
