// The links of column types. A link turns the outputs of a decoder into the likeliest value, and computes
// the error of a value.

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

// Reads the likeliest values of the columns from the outputs of a decoder.
export class Head {
  // outputs: the link and the number of outputs of each column.
  constructor({ outputs }) {
    let offset = 0;
    this.columns = outputs.map(({ link, width, one_hot: oneHot }) => {
      const column = { likeliest: LINKS[link].likeliest, first: offset, width, oneHot };
      offset += width;
      return column;
    });
    this.numOutputs = offset; // at each step
  }

  // Writes the likeliest values of a step to `values`: means, 0 or 1, and indices of categories. The outputs
  // of the step begin at logitOffset, and its values at valueOffset.
  read(logits, logitOffset, values, valueOffset) {
    this.columns.forEach(({ likeliest, first, width }, i) => {
      values[valueOffset + i] = likeliest(logits, logitOffset + first, width);
    });
  }
}
