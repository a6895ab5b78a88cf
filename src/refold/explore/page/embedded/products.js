// Sums of products in double precision, and functions of the network.

// Adds the product vector @ matrix to sums, from an offset on. The matrix is stored by rows of a
// width, of which only the first columns are used. Four rows at once are faster than one by one.
// Zeros in the vector, such as in one-hot categories, are skipped.
export function addProduct(sums, offset, vector, matrix, width, numColumns = width) {
  const end = vector.length - (vector.length % 4);
  for (let i = 0; i < end; i += 4) {
    const [a, b, c, d] = [vector[i], vector[i + 1], vector[i + 2], vector[i + 3]];
    if (a === 0 && b === 0 && c === 0 && d === 0) continue;
    const [first, second, third, fourth] = [i * width, (i + 1) * width, (i + 2) * width, (i + 3) * width];
    for (let k = 0; k < numColumns; k++) {
      sums[offset + k] +=
        a * matrix[first + k] + b * matrix[second + k] + c * matrix[third + k] + d * matrix[fourth + k];
    }
  }
  for (let i = end; i < vector.length; i++) {
    const [factor, begin] = [vector[i], i * width];
    for (let k = 0; k < numColumns; k++) sums[offset + k] += factor * matrix[begin + k];
  }
}

// Adds a row of a matrix, times a factor, to sums.
export function addRow(sums, row, factor, matrix, width) {
  for (let k = 0, m = row * width; k < width; k++, m++) sums[k] += factor * matrix[m];
}

export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

export function tanh(x) {
  return 1 - 2 / (1 + Math.exp(2 * x));
}

// The distribution function of the normal distribution, by a series without cancellation.
export function normalCdf(x) {
  if (Math.abs(x) > 8) return x > 0 ? 1 : 0;
  let [term, sum] = [x, x];
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
    term *= (x * x) / k;
    sum += term;
  }
  return 0.5 + (sum * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

// Rounds to the nearest integer, and halves to the nearest even integer, as NumPy does.
export function round(x) {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
