// The gradient of the decoder with respect to the code.

import { addTransposed } from "./products.js";

// decoding: what the decoder's `run` returned with `keep`; dLogits: the gradient of the logits.
export function gradientOfCode(decoder, code, decoding, dLogits) {
  const { layers, dense } = decoder;
  const { traces, first, count } = decoding;
  const found = new Float64Array(code.length);
  if (decoder.linear) {
    const size = decoder.linearBias.length;
    const reach = Math.min(size, dLogits.length);
    for (let i = 0; i < found.length; i++) {
      for (let k = 0, m = i * size; k < reach; k++) found[i] += dLogits[k] * decoder.linear[m + k];
    }
  }
  const width = decoder.denseBias.length;
  const dStates = layers.map(({ units }) => ({ h: new Float64Array(units), c: new Float64Array(units) }));
  const dSums = layers.map(({ units }) => new Float64Array(4 * units));
  const dInputs = layers.map(({ inputs }) => new Float64Array(inputs));
  const dFirst = new Float64Array(4 * layers[0].units);
  for (let step = count - 1; step >= 0; step--) {
    const top = dStates.at(-1).h;
    for (let unit = 0; unit < top.length; unit++) {
      const [begin, row] = [step * width, unit * width];
      for (let k = 0; k < width; k++) top[unit] += dLogits[begin + k] * dense[row + k];
    }
    for (let i = layers.length - 1; i >= 0; i--) {
      const size = 6 * layers[i].units;
      const trace = traces[i].subarray(step * size, (step + 1) * size);
      layers[i].stepBack(dStates[i].h, dStates[i].c, trace, dSums[i], dInputs[i]);
      if (i) dInputs[i].forEach((one, unit) => (dStates[i - 1].h[unit] += one));
    }
    dSums[0].forEach((one, k) => (dFirst[k] += one));
  }
  addTransposed(found, dFirst, decoder.byCode);
  decoder.starts.forEach(([kernel], i) => {
    const { h, c } = dStates[i];
    addTransposed(found, [...h, ...c.map((one, unit) => one * (1 - first[i][unit] ** 2))], kernel);
  });
  return found;
}
