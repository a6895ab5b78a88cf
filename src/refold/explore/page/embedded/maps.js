// The maps: places of sequences, and the way from a place to a code and back.

import { nearest } from "./nearest.js";

// Neighbors that a place of a UMAP map is decoded from, at least and at most.
const [LEAST_NEAR, MOST_NEAR] = [8, 64];

// Codes whose dimensions count by their effect on the decoded sequence.
export class WeightedCodes {
  constructor({ mean, weights }, codes) {
    this.mean = mean;
    this.weights = weights;
    this.width = mean.length;
    this.vectors = new Float32Array(codes.length);
    for (let begin = 0; begin < codes.length; begin += this.width) {
      this.vectors.set(this.of(codes.subarray(begin, begin + this.width)), begin);
    }
  }

  of(code) {
    return this.mean.map((mean, i) => (code[i] - mean) * this.weights[i]);
  }

  nearest(code, most) {
    return nearest(this.vectors, this.width, Float32Array.from(this.of(code)), most);
  }
}

// Principal components: a place is a code whose other components are at their mean.
export class PcaMap {
  constructor(projection, places, codes) {
    Object.assign(this, projection);
    this.places = places;
    this.codes = codes;
  }

  placeOf(code) {
    const away = this.mean.map((mean, i) => (code[i] - mean) * this.weights[i]);
    return [0, 1].map((axis) => away.reduce((sum, one, i) => sum + one * this.axes[i][axis], 0) / this.scale);
  }

  // With a row, the other components are those of a sequence.
  codeAt(place, row) {
    const code = this.flat(place);
    if (row === undefined) return code;
    const own = this.flat(this.places.subarray(2 * row, 2 * row + 2));
    return code.map((one, i) => one + this.codes[row * code.length + i] - own[i]);
  }

  flat([x, y]) {
    return Float32Array.from(this.mean, (mean, i) => {
      const [a, b] = this.axes[i];
      return mean + ((x * a + y * b) * this.scale) / this.weights[i];
    });
  }
}

// A map without a formula: what is between sequences is a weighted mean of them.
export class NeighborMap {
  constructor(places, codes, similar) {
    Object.assign(this, { places, codes, similar });
    const side = Math.floor(Math.sqrt(places.length / 2));
    this.near = Math.max(LEAST_NEAR, Math.min(MOST_NEAR, Math.floor(side / 8)));
  }

  codeAt(place) {
    return Float32Array.from(meanOf(this.codes, this.similar.width, nearest(this.places, 2, place, this.near + 1)));
  }

  placeOf(code) {
    return meanOf(this.places, 2, this.similar.nearest(code, LEAST_NEAR + 1));
  }
}

// The mean of rows, with weights that fall from the nearest to none at the last, so that they never
// jump.
function meanOf(rows, width, found) {
  const reach = Math.max(found.at(-1).distance, 1e-12);
  let weights = found.map(({ distance }) => ((reach - distance) / Math.max(distance, 1e-7 * reach)) ** 2);
  let total = weights.reduce((a, b) => a + b, 0);
  if (total <= 0) {
    weights = found.map(() => 1); // all are equally far
    total = found.length;
  }
  const mean = new Array(width).fill(0);
  found.forEach(({ row }, k) => {
    for (let i = 0; i < width; i++) mean[i] += (weights[k] / total) * rows[row * width + i];
  });
  return mean;
}
