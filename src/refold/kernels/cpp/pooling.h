// Sums, maxima and convolutions over the steps of each sequence.
#pragma once

#include <limits>

#include "cell.h"
#include "packed.h"
#include "threads.h"

namespace refold {
namespace REFOLD_VARIANT {

// Loads the first `count` floats of a vector, followed by zeros.
inline Floats<kWidth> load_partial(const float* from, int64_t count) {
  if (count == kWidth) return load<kWidth>(from);
  float floats[kWidth] = {};
  std::memcpy(floats, from, count * sizeof(float));
  return load<kWidth>(floats);
}

inline void store_partial(float* to, Floats<kWidth> v, int64_t count) {
  std::memcpy(to, &v, count * sizeof(float));
}

// The larger of two numbers, or NaN if one of them is NaN.
inline Floats<kWidth> larger(Floats<kWidth> a, Floats<kWidth> b) {
  return ((b > a) | (b != b)) ? b : a;
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
    Floats<kWidth> result = first < last ? load_partial(row, count) : fill<kWidth>(0.0f);
    for (int64_t r = first + 1; r < last; ++r) {
      row += call.ld_x;
      result = combine(result, load_partial(row, count));
    }
    store_partial(call.y + i * call.width + column, result, count);
  });
}

inline void segment_sum(const Segments& call) {
  combine_segments(call, [](Floats<kWidth> a, Floats<kWidth> b) { return a + b; });
}

inline void segment_max(const Segments& call) { combine_segments(call, larger); }

// Convolves one sequence with one vector of kernels.  Calls work(step, convolution), and returns
// the number of steps of the sequence.
template <typename Call, typename Work>
inline int64_t convolve(const Call& call, int64_t sequence, int64_t column, int64_t count,
                        int64_t stride, const Work& work) {
  const int64_t first = call.offsets[sequence], length = call.offsets[sequence + 1] - first;
  const float* x = call.x + first * call.ld_x + column;
  const int64_t half = call.num_taps / 2;
  const Floats<kWidth> bias = load_partial(call.bias + column, count);
  for (int64_t step = 0; step < length; step += stride) {
    Floats<kWidth> total = bias;
    for (int64_t tap = 0; tap < call.num_taps; ++tap) {
      const int64_t at = step + (tap - half) * call.dilation;
      if (at < 0 || at >= length) continue;
      total += load_partial(x + at * call.ld_x, count) *
               load_partial(call.taps + tap * call.kernels + column, count);
    }
    work(step, total);
  }
  return length;
}

inline void pool_convolutions(const Convolutions& call, int64_t sequence, int64_t column,
                              int64_t count) {
  const int64_t length = call.offsets[sequence + 1] - call.offsets[sequence];
  Floats<kWidth> highest =
      fill<kWidth>(length > 0 ? -std::numeric_limits<float>::infinity() : 0.0f);
  double sums[kWidth] = {};
  convolve(call, sequence, column, count, call.stride, [&](int64_t, Floats<kWidth> total) {
    highest = larger(highest, total);
    const Floats<kWidth> share = activate<Activation::kSigmoid, kWidth>(total * call.steepness);
    for (int i = 0; i < kWidth; ++i) sums[i] += static_cast<double>(share[i]);
  });
  const int64_t steps = std::max<int64_t>(1, (length + call.stride - 1) / call.stride);
  Floats<kWidth> positive;
  for (int i = 0; i < kWidth; ++i)
    positive[i] = static_cast<float>(sums[i] / static_cast<double>(steps));
  store_partial(call.positive + sequence * call.kernels + column, positive, count);
  store_partial(call.highest + sequence * call.kernels + column, highest, count);
}

inline void pool_runs(const Runs& call, int64_t sequence, int64_t column, int64_t count) {
  const Floats<kWidth> none = fill<kWidth>(0.0f), one = fill<kWidth>(1.0f);
  const Floats<kWidth> margin = fill<kWidth>(call.margin);
  Floats<kWidth> positive = none, not_below = none, index_sums = none, run = none, longest = none;
  const int64_t length =
      convolve(call, sequence, column, count, 1, [&](int64_t step, Floats<kWidth> total) {
        const auto above = total > margin;
        positive += above ? one : none;
        not_below += total >= -margin ? one : none;
        index_sums += above ? fill<kWidth>(static_cast<float>(step)) : none;
        run = above ? run + one : none;
        longest = run > longest ? run : longest;
      });
  const float steps = static_cast<float>(std::max<int64_t>(1, length));
  const int64_t index = sequence * call.kernels + column;
  store_partial(call.share + index, (positive + not_below) / (2.0f * steps), count);
  store_partial(call.mean_position + index,
                positive > none ? index_sums / (positive * steps) : none, count);
  store_partial(call.longest + index, longest / steps, count);
}

// Calls work(sequence, first kernel, number of kernels) in parallel.  `more` is the time of a step
// of a kernel besides its taps, in multiplications.
template <typename Call, typename Work>
inline void for_kernels(const Call& call, const Pool& all, int64_t stride, int64_t more,
                        const Work& work) {
  constexpr int64_t kSequences = 8;  // of a work item
  const double steps = static_cast<double>(call.offsets[call.sequences] - call.offsets[0]);
  const double all_work = steps / stride * call.kernels * (call.num_taps + more);
  const int64_t items = (call.sequences + kSequences - 1) / kSequences;
  parallel(pool_for_work(all, all_work), items, [&](int64_t item) {
    const int64_t begin = item * kSequences, end = std::min(begin + kSequences, call.sequences);
    for_vectors(begin, end, call.kernels, work);
  });
}

inline void pooled_convolutions(const Convolutions& call, const Pool& all) {
  constexpr int64_t kSigmoid = 30;  // multiplications that take as long as the sigmoid
  for_kernels(call, all, call.stride, kSigmoid, [&](int64_t sequence, int64_t column, int64_t n) {
    pool_convolutions(call, sequence, column, n);
  });
}

inline void pooled_runs(const Runs& call, const Pool& all) {
  for_kernels(call, all, 1, 4, [&](int64_t sequence, int64_t column, int64_t n) {
    pool_runs(call, sequence, column, n);
  });
}

}  // namespace REFOLD_VARIANT
}  // namespace refold
