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
