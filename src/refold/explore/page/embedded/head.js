// The outputs of a decoder by column.

import { LINKS } from "./links.js";

export class Head {
  // outputs: the link and the number of outputs of each column.
  constructor({ outputs }) {
    let first = 0;
    this.columns = outputs.map(({ link, width, one_hot: oneHot }) => {
      const column = { likeliest: LINKS[link].likeliest, first, width, oneHot };
      first += width;
      return column;
    });
    this.outputs = first;
  }

  // Writes the likeliest values of a step: means, 0 or 1, and indices of categories.
  read(logits, at, values, to) {
    this.columns.forEach(({ likeliest, first, width }, i) => {
      values[to + i] = likeliest(logits, at + first, width);
    });
  }
}
