// Scaling of numeric columns: by the training data, or each sequence by itself.

// scaler: its description in the page; numeric: indices of the numeric columns; centered: for each
// column, whether its mean is subtracted.
export class Scaler {
  constructor(scaler, numeric, centered) {
    Object.assign(this, { scaler, numeric, centered, isBySequence: scaler.mode === "sequence" });
  }

  // Returns what scaling subtracts from each column, and what it divides by. If each sequence is scaled
  // by itself, both come from the statistics of the sequence, which are the last numbers of its code.
  shiftAndScale(statistics) {
    const { shift, scale, statistics_mean: statisticsMean, statistics_scale: statisticsScale } = this.scaler;
    if (!this.isBySequence) return [shift, scale];
    const [shifts, scales] = [shift.map(() => 0), scale.map(() => 1)];
    // means of the numeric columns, then logarithms of their standard deviations
    const ownStatistics = statisticsMean.map((center, i) => statistics[i] * statisticsScale[i] + center);
    this.numeric.forEach((column, i) => {
      if (this.centered[column]) shifts[column] = ownStatistics[i];
      scales[column] = Math.exp(ownStatistics[this.numeric.length + i]);
    });
    return [shifts, scales];
  }

  scaled(values, statistics) {
    const [shift, scale] = this.shiftAndScale(statistics);
    return values.map((value, k) => Math.fround((value - shift[k % shift.length]) / scale[k % shift.length]));
  }

  unscaled(values, statistics) {
    const [shift, scale] = this.shiftAndScale(statistics);
    const isSingle = this.scaler.dtype === "float32";
    return values.map((value, k) => {
      const result = value * scale[k % shift.length] + shift[k % shift.length];
      return isSingle ? Math.fround(result) : result;
    });
  }
}
