// Scaling of numeric columns: by the training data, or each sequence by itself.

// scaler: what the page holds of it; numeric: the numeric columns; centered: whether the mean of
// each column is subtracted.
export class Scaler {
  constructor(scaler, numeric, centered) {
    this.scaler = scaler;
    this.numeric = numeric;
    this.centered = centered;
    this.own = scaler.mode === "sequence";
  }

  // Mean and standard deviation of each column. Where each sequence is scaled by itself, they come
  // from its statistics, which follow the code.
  scales(statistics) {
    const { mean, scale, statistics_mean: center, statistics_scale: spread } = this.scaler;
    if (!this.own) return [mean, scale];
    const [means, scales] = [mean.map(() => 0), scale.map(() => 1)];
    const raw = center.map((one, i) => statistics[i] * spread[i] + one);
    this.numeric.forEach((column, i) => {
      if (this.centered[column]) means[column] = raw[i];
      scales[column] = Math.exp(raw[this.numeric.length + i]);
    });
    return [means, scales];
  }

  scaled(values, statistics) {
    const [mean, scale] = this.scales(statistics);
    const width = mean.length;
    return values.map((one, k) => Math.fround((one - mean[k % width]) / scale[k % width]));
  }

  unscaled(values, statistics) {
    const [mean, scale] = this.scales(statistics);
    const width = mean.length;
    const single = this.scaler.dtype === "float32";
    return values.map((one, k) => {
      const value = one * scale[k % width] + mean[k % width];
      return single ? Math.fround(value) : value;
    });
  }
}
