// The maps of codes: from codes to places in the plane, and back. _maps.py explains the formulas.

// A place on a UMAP map is decoded from at least this many neighbors.
const MIN_MAP_NEIGHBORS = 8;
// A mean of more neighbors would be blurred.
const MAX_MAP_NEIGHBORS = 64;

// Codes whose dimensions are weighted by their effect on the decoded sequence.
export class EffectWeightedCodes {
  constructor({ mean, weights }, codes) {
    Object.assign(this, { mean, weights, width: mean.length });
    this.vectors = new Float32Array(codes.length);
    for (let begin = 0; begin < codes.length; begin += this.width) {
      this.vectors.set(this.weigh(codes.subarray(begin, begin + this.width)), begin);
    }
  }

  weigh(code) {
    return this.mean.map((mean, i) => (code[i] - mean) * this.weights[i]);
  }

  nearest(code, k) {
    return nearest(this.vectors, this.width, Float32Array.from(this.weigh(code)), k);
  }
}

// A map of the first two principal components of weighted codes.
export class PcaMap {
  constructor(projection, places, codes) {
    Object.assign(this, projection, { places, codes });
  }

  placeOf(code) {
    const weighted = this.mean.map((mean, i) => (code[i] - mean) * this.weights[i]);
    return [0, 1].map((axis) => weighted.reduce((sum, value, i) => sum + value * this.axes[i][axis], 0) / this.scale);
  }

  // Returns the code at a place. Its other components are those of a row, or at their mean.
  codeAt(place, row) {
    const code = this.codeOnPlane(place);
    if (row === undefined) return code;
    const rowCode = this.codeOnPlane(this.places.subarray(2 * row, 2 * row + 2));
    return code.map((value, i) => value + this.codes[row * code.length + i] - rowCode[i]);
  }

  // Returns the code of a place whose other components are at their mean.
  codeOnPlane([x, y]) {
    return Float32Array.from(this.mean, (mean, i) => {
      const [a, b] = this.axes[i];
      return mean + ((x * a + y * b) * this.scale) / this.weights[i];
    });
  }
}

// A map of any places: a place between sequences decodes to a mean of their codes.
export class NeighborMap {
  constructor(places, codes, weightedCodes) {
    Object.assign(this, { places, codes, weightedCodes });
    // an eighth of the side of a square grid with as many points: more places, more neighbors
    const side = Math.floor(Math.sqrt(places.length / 2));
    this.numNeighbors = Math.max(MIN_MAP_NEIGHBORS, Math.min(MAX_MAP_NEIGHBORS, Math.floor(side / 8)));
  }

  codeAt(place) {
    const hits = nearest(this.places, 2, place, this.numNeighbors + 1);
    return Float32Array.from(weightedMean(this.codes, this.weightedCodes.width, hits));
  }

  placeOf(code) {
    return weightedMean(this.places, 2, this.weightedCodes.nearest(code, MIN_MAP_NEIGHBORS + 1));
  }
}

// Returns the mean of rows (count, width) at the hits, with weights that fall with the distance. The last
// weight is 0, so that the mean does not jump where the set of neighbors changes.
function weightedMean(rows, width, hits) {
  const radius = Math.max(hits.at(-1).distance, 1e-12);
  let weights = hits.map(({ distance }) => ((radius - distance) / Math.max(distance, 1e-7 * radius)) ** 2);
  let total = weights.reduce((a, b) => a + b, 0);
  if (total <= 0) {
    weights = hits.map(() => 1); // all distances are equal
    total = hits.length;
  }
  const mean = new Array(width).fill(0);
  hits.forEach(({ row }, k) => {
    for (let i = 0; i < width; i++) mean[i] += (weights[k] / total) * rows[row * width + i];
  });
  return mean;
}

// Returns { row, distance } of the k vectors (count, width) that are nearest to a query.
export function nearest(vectors, width, query, k) {
  const hits = [];
  let worst = Infinity;
  for (let row = 0, begin = 0; begin < vectors.length; row++, begin += width) {
    let distance = 0;
    for (let i = 0; i < width; i++) {
      const difference = vectors[begin + i] - query[i];
      distance += difference * difference;
      if (distance >= worst) break; // the sum can only grow
    }
    if (distance >= worst) continue;
    let position = hits.length;
    while (position > 0 && hits[position - 1].distance > distance) position--;
    hits.splice(position, 0, { row, distance });
    if (hits.length > k) hits.pop();
    if (hits.length === k) worst = hits.at(-1).distance;
  }
  return hits.map(({ row, distance }) => ({ row, distance: Math.sqrt(distance) }));
}
