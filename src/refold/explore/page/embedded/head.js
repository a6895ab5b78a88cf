// The outputs of a decoder by column type.

export class Head {
  constructor({ column_types: types, num_categories: categories }) {
    let first = 0;
    this.columns = types.map((type, i) => {
      const column = { type, first, width: type === "categorical" ? categories[i] : 1 };
      first += column.width;
      return column;
    });
    this.outputs = first;
  }

  // Writes the likeliest values of a step: means, 0 or 1, and indices of categories.
  read(logits, at, values, to) {
    this.columns.forEach(({ type, first, width }, i) => {
      const begin = at + first;
      let value = logits[begin];
      if (type === "binary") value = value > 0 ? 1 : 0;
      if (type === "categorical") {
        let best = begin;
        for (let k = begin + 1; k < begin + width; k++) if (logits[k] > logits[best]) best = k;
        value = best - begin;
      }
      values[to + i] = value;
    });
  }
}
