// Lengths of sequences from their codes: a dimension of the code holds the length, or a small model
// predicts it.

import { addProduct, normalCdf, round } from "./products.js";

export class Lengths {
  constructor(specification, weights) {
    Object.assign(this, { specification, weights });
  }

  // Returns the length of a code, from 0 to maxLength.
  lengthOf(code, maxLength) {
    const length = this.specification.length_index === null ? this.predictedLength(code) : this.storedLength(code);
    return Math.min(maxLength, Math.max(0, round(length)));
  }

  // Returns the length that a dimension of the code holds, on a logarithmic scale.
  storedLength(code) {
    const { length_index: index, max_log_length: maxLog } = this.specification;
    const [mean, std] = this.specification.log_length_moments;
    return Math.expm1(Math.min(maxLog, Math.max(0, mean + std * code[index])));
  }

  // Returns the length that the small model predicts.
  predictedLength(code) {
    const { weights, specification } = this;
    const hidden = Float64Array.from(weights["hidden/bias"]);
    addProduct(hidden, 0, code, weights["hidden/kernel"], hidden.length);
    // the mean and the spread of the predicted length; only the mean is used
    const outputs = Float64Array.from(weights["length/dense/bias"]);
    const gelu = (x) => x * normalCdf(x);
    addProduct(outputs, 0, hidden.map(gelu), weights["length/dense/kernel"], 2);
    return specification.length_mean + specification.length_std * outputs[0];
  }
}
