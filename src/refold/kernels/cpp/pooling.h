// Sums, maxima and convolutions over the steps of each sequence.
#pragma once

#include <limits>

#include "cell.h"
#include "packed.h"
#include "threads.h"

namespace refold {
namespace REFOLD_VARIANT {

// Loads the first `count` floats of a vector, followed by zeros.
inline Floats<kWidth> load_some(const float* from, int64_t count) {
  if (count == kWidth) return load<kWidth>(from);
  float floats[kWidth] = {};
  std::memcpy(floats, from, count * sizeof(float));
  return load<kWidth>(floats);
}

inline void store_some(float* to, Floats<kWidth> v, int64_t count) {
  std::memcpy(to, &v, count * sizeof(float));
}

// The larger of two numbers, or NaN if one of them is NaN.
inline Floats<kWidth> larger(Floats<kWidth> a, Floats<kWidth> b) {
  return (b > a) | (b != b) ? b : a;
}

// Calls work(sequence, first column, number of columns) for each vector of each sequence's result.
template <typename Work>
inline void for_vectors(int64_t begin, int64_t end, int64_t width, const Work& work) {
  for (int64_t sequence = begin; sequence < end; ++sequence)
    for (int64_t column = 0; column < width; column += kWidth)
      work(sequence, column, std::min<int64_t>(kWidth, width - column));
}

template <typename Combine>
inline void combine_segments(const Segments& call, const Combine& combine) {
  for_vectors(0, call.sequences, call.width, [&](int64_t i, int64_t column, int64_t count) {
    const int64_t first = call.offsets[i], last = call.offsets[i + 1];
    const float* row = call.x + first * call.ld_x + column;
    Floats<kWidth> result = first < last ? load_some(row, count) : fill<kWidth>(0.0f);
    for (int64_t r = first + 1; r < last; ++r) {
      row += call.ld_x;
      result = combine(result, load_some(row, count));
    }
    store_some(call.y + i * call.width + column, result, count);
  });
}

inline void segment_sum(const Segments& call) {
  combine_segments(call, [](Floats<kWidth> a, Floats<kWidth> b) { return a + b; });
}

inline void segment_max(const Segments& call) { combine_segments(call, larger); }

// One vector of kernels over one sequence.
inline void pool_convolutions(const Convolutions& call, int64_t sequence, int64_t column,
                              int64_t count) {
  const int64_t first = call.offsets[sequence], length = call.offsets[sequence + 1] - first;
  const float* x = call.x + first * call.ld_x + column;
  const int64_t half = call.num_taps / 2;
  const Floats<kWidth> bias = load_some(call.bias + column, count);
  Floats<kWidth> highest = fill<kWidth>(length > 0 ? -std::numeric_limits<float>::infinity() : 0.0f);
  double sums[kWidth] = {};
  for (int64_t step = 0; step < length; step += call.stride) {
    Floats<kWidth> total = bias;
    for (int64_t tap = 0; tap < call.num_taps; ++tap) {
      const int64_t at = step + (tap - half) * call.dilation;
      if (at < 0 || at >= length) continue;
      total += load_some(x + at * call.ld_x, count) *
               load_some(call.taps + tap * call.kernels + column, count);
    }
    highest = larger(highest, total);
    const Floats<kWidth> share = activate<Activation::kSigmoid, kWidth>(total * call.steepness);
    for (int i = 0; i < kWidth; ++i) sums[i] += static_cast<double>(share[i]);
  }
  const int64_t steps = std::max<int64_t>(1, (length + call.stride - 1) / call.stride);
  Floats<kWidth> positive;
  for (int i = 0; i < kWidth; ++i)
    positive[i] = static_cast<float>(sums[i] / static_cast<double>(steps));
  store_some(call.positive + sequence * call.kernels + column, positive, count);
  store_some(call.highest + sequence * call.kernels + column, highest, count);
}

inline void pooled_convolutions(const Convolutions& call, const Pool& all) {
  constexpr int64_t kSequences = 8;  // of a work item
  // the sigmoid takes as long as about this number of multiplications
  constexpr int64_t kSigmoid = 30;
  const double steps = static_cast<double>(call.offsets[call.sequences] - call.offsets[0]);
  const double work = steps / call.stride * call.kernels * (call.num_taps + kSigmoid);
  const int64_t items = (call.sequences + kSequences - 1) / kSequences;
  parallel(enough(all, work), items, [&](int64_t item) {
    const int64_t begin = item * kSequences, end = std::min(begin + kSequences, call.sequences);
    for_vectors(begin, end, call.kernels, [&](int64_t sequence, int64_t column, int64_t count) {
      pool_convolutions(call, sequence, column, count);
    });
  });
}

}  // namespace REFOLD_VARIANT
}  // namespace refold
