// The links of column types: the likeliest value of the outputs of a decoder, and its error.

function indexOfLargest(logits, begin, width) {
  let best = begin;
  for (let k = begin + 1; k < begin + width; k++) if (logits[k] > logits[best]) best = k;
  return best - begin;
}

const squared = (given, written) => (given - written) ** 2;

export const LINKS = {
  identity: { likeliest: (logits, begin) => logits[begin], error: squared },
  exponential: { likeliest: (logits, begin) => Math.exp(Math.min(logits[begin], 20)), error: squared },
  sigmoid: {
    likeliest: (logits, begin) => (logits[begin] > 0 ? 1 : 0),
    error: (given, written) => Number(given >= 0.5 !== written >= 0.5),
  },
  softmax: {
    likeliest: indexOfLargest,
    error: (given, written) => Number(given !== written),
  },
};
