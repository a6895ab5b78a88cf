// Sums of products. All sums are in double precision.

// Adds vector @ matrix to sums, from place `at` on. The matrix is stored by rows of `width`, of which
// the first `reach` columns count. Four rows at once are faster than one by one; rows that count 0,
// such as those of other categories, are left out.
export function addProduct(sums, at, vector, matrix, width, reach = width) {
  const fours = vector.length - (vector.length % 4);
  for (let i = 0; i < fours; i += 4) {
    const [a, b, c, d] = [vector[i], vector[i + 1], vector[i + 2], vector[i + 3]];
    if (a === 0 && b === 0 && c === 0 && d === 0) continue;
    const [first, second, third, fourth] = [i * width, (i + 1) * width, (i + 2) * width, (i + 3) * width];
    for (let k = 0; k < reach; k++) {
      sums[at + k] += a * matrix[first + k] + b * matrix[second + k] + c * matrix[third + k] + d * matrix[fourth + k];
    }
  }
  for (let i = fours; i < vector.length; i++) {
    const [factor, begin] = [vector[i], i * width];
    for (let k = 0; k < reach; k++) sums[at + k] += factor * matrix[begin + k];
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
