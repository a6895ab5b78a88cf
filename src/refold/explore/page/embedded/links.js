// The links of column types: how the outputs of a decoder become the likeliest value, and the error
// of a value.

function indexOfLargest(logits, begin, width) {
  let best = begin;
  for (let k = begin + 1; k < begin + width; k++) if (logits[k] > logits[best]) best = k;
  return best - begin;
}

const squaredError = (original, decoded) => (original - decoded) ** 2;

export const LINKS = {
  identity: { likeliest: (logits, begin) => logits[begin], error: squaredError },
  exponential: { likeliest: (logits, begin) => Math.exp(Math.min(logits[begin], 20)), error: squaredError },
  sigmoid: {
    likeliest: (logits, begin) => (logits[begin] > 0 ? 1 : 0),
    error: (original, decoded) => Number(original >= 0.5 !== decoded >= 0.5),
  },
  softmax: { likeliest: indexOfLargest, error: (original, decoded) => Number(original !== decoded) },
};

// The outputs of a decoder, and the values of the columns that they stand for.
export class Head {
  // outputs: the link and the number of outputs of each column.
  constructor({ outputs }) {
    let offset = 0;
    this.columns = outputs.map(({ link, width, one_hot: oneHot }) => {
      const column = { likeliest: LINKS[link].likeliest, first: offset, width, oneHot };
      offset += width;
      return column;
    });
    this.outputs = offset;
  }

  // Writes the likeliest values of a step to `values`: means, 0 or 1, and indices of categories. The step
  // begins at an offset in `logits` and in `values`.
  read(logits, logitOffset, values, valueOffset) {
    this.columns.forEach(({ likeliest, first, width }, i) => {
      values[valueOffset + i] = likeliest(logits, logitOffset + first, width);
    });
  }
}
