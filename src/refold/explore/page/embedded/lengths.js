// Lengths of sequences from their codes: either a dimension of the code holds the length, or a
// small model predicts it.

import { addProduct, normalCdf, round } from "./products.js";

export class Lengths {
  constructor(specification, weights) {
    this.specification = specification;
    this.weights = weights;
  }

  // Returns the length of a code, from 0 to maxLength.
  lengthOf(code, maxLength) {
    const length = this.specification.length_index === null ? this.predictedLength(code) : this.storedLength(code);
    return Math.min(maxLength, Math.max(0, round(length)));
  }

  storedLength(code) {
    const {
      length_index: index,
      length_scale: [center, scale],
      max_log_length: maxLog,
    } = this.specification;
    return Math.expm1(Math.min(maxLog, Math.max(0, center + scale * code[index])));
  }

  predictedLength(code) {
    const { weights, specification } = this;
    const hidden = Float64Array.from(weights["hidden/bias"]);
    addProduct(hidden, 0, code, weights["hidden/kernel"], hidden.length);
    // mean and spread of the predicted length, of which only the mean is needed
    const outputs = Float64Array.from(weights["length/dense/bias"]);
    addProduct(outputs, 0, hidden.map(gelu), weights["length/dense/kernel"], 2);
    return specification.length_mean + specification.length_unit * outputs[0];
  }
}

function gelu(x) {
  return x * normalCdf(x);
}
