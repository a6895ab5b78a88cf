// Scaling of numeric columns: by the training data, or each sequence by itself.

// scaler: its description in the page; numeric: the numeric columns; centered: whether the mean of each
// column is subtracted.
export class Scaler {
  constructor(scaler, numeric, centered) {
    Object.assign(this, { scaler, numeric, centered, isBySequence: scaler.mode === "sequence" });
  }

  // Returns the mean and the standard deviation of each column. If each sequence is scaled by
  // itself, they come from its statistics, which follow the code.
  scales(statistics) {
    const { mean, scale, statistics_mean: statisticsMean, statistics_scale: statisticsScale } = this.scaler;
    if (!this.isBySequence) return [mean, scale];
    const [means, scales] = [mean.map(() => 0), scale.map(() => 1)];
    // means of the numeric columns, then logarithms of their standard deviations
    const ownStatistics = statisticsMean.map((center, i) => statistics[i] * statisticsScale[i] + center);
    this.numeric.forEach((column, i) => {
      if (this.centered[column]) means[column] = ownStatistics[i];
      scales[column] = Math.exp(ownStatistics[this.numeric.length + i]);
    });
    return [means, scales];
  }

  scaled(values, statistics) {
    const [mean, scale] = this.scales(statistics);
    const width = mean.length;
    return values.map((value, k) => Math.fround((value - mean[k % width]) / scale[k % width]));
  }

  unscaled(values, statistics) {
    const [mean, scale] = this.scales(statistics);
    const width = mean.length;
    const isSingle = this.scaler.dtype === "float32";
    return values.map((value, k) => {
      const result = value * scale[k % width] + mean[k % width];
      return isSingle ? Math.fround(result) : result;
    });
  }
}
