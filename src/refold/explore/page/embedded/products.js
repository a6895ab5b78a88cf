// Sums of products. All sums are in double precision.

// Adds vector @ matrix to sums, from place `at` on. The matrix is stored by rows of `width`.
export function addProduct(sums, at, vector, matrix, width) {
  for (let i = 0; i < vector.length; i++) {
    const factor = vector[i];
    if (factor === 0) continue;
    for (let k = 0, m = i * width; k < width; k++, m++) sums[at + k] += factor * matrix[m];
  }
}

// Adds a row of a matrix, times a factor, to sums.
export function addRow(sums, row, factor, matrix, width) {
  for (let k = 0, m = row * width; k < width; k++, m++) sums[k] += factor * matrix[m];
}

// Adds vector @ transposed matrix to sums.
export function addTransposed(sums, vector, matrix) {
  const width = vector.length;
  for (let i = 0; i < sums.length; i++) {
    let sum = 0;
    for (let k = 0, m = i * width; k < width; k++) sum += vector[k] * matrix[m + k];
    sums[i] += sum;
  }
}

export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

export function tanh(x) {
  return 1 - 2 / (1 + Math.exp(2 * x));
}

// The distribution function of the normal distribution, by a series of positive terms.
export function normalCdf(x) {
  if (Math.abs(x) > 8) return x > 0 ? 1 : 0;
  let [term, sum] = [x, x];
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
    term *= (x * x) / k;
    sum += term;
  }
  return 0.5 + (sum * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

// Rounds to the nearest whole number; halves to the even one, as NumPy does.
export function round(x) {
  const found = Math.round(x);
  return found - x === 0.5 && found % 2 !== 0 ? found - 1 : found;
}
