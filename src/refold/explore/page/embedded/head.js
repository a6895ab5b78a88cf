// The outputs of a decoder, and the values of the columns that they stand for.

import { LINKS } from "./links.js";

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
