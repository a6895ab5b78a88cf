// Latent optimization: a code that decodes to its sequence better than the encoder's code.

import { gradientOfCode } from "./gradient.js";
import { sigmoid } from "./products.js";

const MARGIN = 0.3; // error of the predicted length, in steps, that costs nothing
const [BEND, JUMP, WIDTH] = [0.2, 0.5, 0.1]; // shape of the cost of larger errors
const LEAST = 1e-7; // least probability
const MEMORY = 8;
const SHORTER = 0.4;
const FIRST_STEP = 0.3;

// The negative log-likelihood of a sequence given a code, plus a prior around the encoder's code.
class Objective {
  // values: scaled values (steps, columns), NaN where missing.
  constructor(model, values, code) {
    Object.assign(this, { model, values, first: code });
    const { decoder, specification } = model;
    const { columns } = decoder.head;
    this.steps = values.length / columns.length;
    const numeric = columns.filter((column) => column.type === "numeric");
    let weight = 1;
    if (numeric.length && decoder.scale) {
      const variance = numeric.reduce((sum, { first }) => sum + decoder.scale[first] ** 2, 0) / numeric.length;
      weight = 0.5 / Math.max(variance, 1e-12);
    }
    this.weights = columns.map(({ type }) => (type === "numeric" ? weight : 1));
    const whole = values.reduce((sum, one, k) => sum + (this.observed(k) ? this.weights[k % columns.length] : 0), 0);
    this.costOfStep = whole / Math.max(this.steps, 1);
    this.predicts = specification.length_index === null;
    this.learned = specification.latent_dim - specification.length_dim - specification.rocket_dim;
  }

  observed(k) {
    const { columns } = this.model.decoder.head;
    const { type, width } = columns[k % columns.length];
    return !Number.isNaN(this.values[k]) && !(type === "categorical" && this.values[k] >= width);
  }

  // The objective and its gradient.
  at(code) {
    const { model, steps } = this;
    const { decoder } = model;
    const decoding = decoder.run(code, steps, { forced: this.values, keep: true });
    const dLogits = new Float64Array(decoding.logits.length);
    let loss = this.errors(decoding.logits, dLogits);
    const gradient = gradientOfCode(decoder, code, decoding, dLogits);
    if (this.predicts) loss += this.lengthError(code, gradient);
    for (let i = 0; i < code.length; i++) {
      const moved = code[i] - this.first[i];
      loss += 0.5 * moved * moved;
      gradient[i] = i < this.learned ? gradient[i] + moved : 0;
    }
    return { loss, gradient };
  }

  errors(logits, dLogits) {
    const { columns, outputs } = this.model.decoder.head;
    let loss = 0;
    for (let k = 0; k < this.values.length; k++) {
      if (!this.observed(k)) continue;
      const { type, first, width } = columns[k % columns.length];
      const at = Math.floor(k / columns.length) * outputs + first;
      const [value, weight] = [this.values[k], this.weights[k % columns.length]];
      if (type === "numeric") {
        const away = logits[at] - value;
        loss += weight * away * away;
        dLogits[at] = 2 * weight * away;
      } else if (type === "binary") {
        const p = sigmoid(logits[at]);
        const kept = Math.min(1 - LEAST, Math.max(LEAST, p));
        loss -= value * Math.log(kept) + (1 - value) * Math.log(1 - kept);
        dLogits[at] = p - value;
      } else {
        const some = logits.subarray(at, at + width);
        const most = some.reduce((a, b) => Math.max(a, b));
        const powers = some.map((one) => Math.exp(one - most));
        const sum = powers.reduce((a, b) => a + b);
        powers.forEach((one, i) => (dLogits[at + i] = one / sum - Number(i === value)));
        loss -= Math.log(Math.max(LEAST, powers[value] / sum));
      }
    }
    return loss;
  }

  // The cost of steps that a wrong predicted length adds or loses, about one for each; adds its
  // gradient.
  lengthError(code, gradient) {
    const { predicted, slope } = this.model.lengths.withGradient(code);
    const off = Math.max(Math.abs(predicted - this.steps) - MARGIN, 0);
    const square = off * off;
    const rise = (off * (off + 2 * BEND)) / (BEND + off) ** 2 + (2 * JUMP * WIDTH * off) / (WIDTH + square) ** 2;
    const factor = rise * Math.sign(predicted - this.steps) * this.costOfStep;
    slope.forEach((one, i) => (gradient[i] += factor * one));
    return (square / (BEND + off) + (JUMP * square) / (WIDTH + square)) * this.costOfStep;
  }
}

const dot = (a, b) => a.reduce((sum, one, i) => sum + one * b[i], 0);
const plus = (a, factor, b) => a.map((one, i) => one + factor * b[i]);

// Minimizes the objective by limited-memory BFGS (Nocedal and Wright, "Numerical Optimization",
// algorithms 7.4 and 7.5). A step that does not lower it is rejected, and a shorter one is tried.
export function optimized(model, values, code, steps) {
  const objective = new Objective(model, values, code);
  let x = Float64Array.from(code);
  let { loss, gradient } = objective.at(x);
  const pairs = [];
  let [share, scale] = [1, 0];
  for (let left = steps; left > 0; left--) {
    const first = scale > 0 ? scale : FIRST_STEP / (Math.sqrt(dot(gradient, gradient)) + 1e-30);
    let direction = directionOf(gradient, first, pairs);
    if (dot(direction, gradient) >= 0) direction = gradient.map((one) => -first * one);
    const tried = plus(x, share, direction);
    const found = objective.at(tried);
    const step = plus(tried, -1, x);
    const change = plus(found.gradient, -1, gradient);
    const [product, square] = [dot(step, change), dot(change, change)];
    if (product > Math.max(1e-8 * square, 1e-30)) {
      pairs.push({ step, change, inverse: 1 / product });
      if (pairs.length > MEMORY) pairs.shift();
      scale = product / Math.max(square, 1e-30);
    }
    const accepted = found.loss < loss; // false for NaN
    share = accepted ? 1 : SHORTER * share;
    if (accepted) [x, loss, gradient] = [tried, found.loss, found.gradient];
  }
  return Float32Array.from(x);
}

function directionOf(gradient, first, pairs) {
  const factors = [];
  let rest = gradient;
  for (const { step, change, inverse } of pairs.toReversed()) {
    factors.unshift(inverse * dot(step, rest));
    rest = plus(rest, -factors[0], change);
  }
  let found = rest.map((one) => first * one);
  pairs.forEach(({ step, change, inverse }, i) => {
    found = plus(found, factors[i] - inverse * dot(change, found), step);
  });
  return found.map((one) => -one);
}
