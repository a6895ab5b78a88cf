// The length of a sequence from its code: from a dimension for it, or predicted.

import { addProduct, addTransposed, normalCdf, round } from "./products.js";

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
    const { length_index: index, length_scale: [center, scale], max_steps: steps } = this.specification;
    const farthest = Math.log1p(2 * steps) + 1;
    return Math.expm1(Math.min(farthest, Math.max(0, center + scale * code[index])));
  }

  predicted(code) {
    const { weights, specification } = this;
    const { z, share } = this.hidden(code);
    const both = Float64Array.from(weights["length/dense/bias"]);
    addProduct(both, 0, z.map((one, i) => one * share[i]), weights["length/dense/kernel"], 2);
    return specification.length_mean + this.deviation * both[0];
  }

  get deviation() {
    return Math.max(this.specification.length_deviation, 0.1);
  }

  // The hidden layer before GELU, and the factor that GELU multiplies it by.
  hidden(code) {
    const z = Float64Array.from(this.weights["hidden/bias"]);
    addProduct(z, 0, code, this.weights["hidden/kernel"], z.length);
    return { z, share: z.map(normalCdf) };
  }

  // The predicted length and its gradient with respect to the code.
  withGradient(code) {
    const { z, share } = this.hidden(code);
    const dense = this.weights["length/dense/kernel"];
    const dHidden = z.map((one, i) => {
      const density = Math.exp(-0.5 * one * one) / Math.sqrt(2 * Math.PI);
      return (share[i] + one * density) * dense[2 * i] * this.deviation;
    });
    const slope = new Float64Array(code.length);
    addTransposed(slope, dHidden, this.weights["hidden/kernel"]);
    return { predicted: this.predicted(code), slope };
  }
}
