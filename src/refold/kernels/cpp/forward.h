// The forward pass.  Each group of sequences runs through all its steps without waiting for others.
#pragma once

#include <vector>

#include "cell.h"
#include "gemm.h"
#include "pack.h"
#include "plan.h"

namespace refold {
namespace REFOLD_VARIANT {

// For each step, one product computes the sums of the gates from the input and the last output.
// With many features or a single sequence, the part of the input (`input_sums`) is computed before,
// for several steps at once, so that its weights are read less often.  The activations of a block
// follow its product, while the sums are in the first-level cache.
class ForwardPass {
 public:
  ForwardPass(const Forward& call, const Plan& plan, const Pool& pool)
      : call_(call),
        plan_(plan),
        layout_(call.shape),
        order_(call.shape),
        packed_storage_(call.packed ? 0 : layout_.forward_weights),
        weights_(call.packed ? call.packed : packed_storage_),
        bias_(weights_ + order_.bias()) {
    if (!call.packed)
      order_.pack({call.shape.features, call.shape.units, call.kernel, call.recurrent, call.bias},
                  pool, packed_storage_);
  }

  template <Activation A, Activation R>
  void run(int64_t first, int64_t last) const {
    const int64_t units = call_.shape.units, ranks = last - first;
    const int64_t features = call_.shape.features;
    const bool has_input_sums = features > kMaxFusedFeatures || (ranks == 1 && plan_.longest() > 1);
    const bool has_starts = call_.sequence_sums && !has_input_sums;
    const int64_t num_inputs = has_input_sums ? 0 : features, depth = num_inputs + units;
    const int64_t ld_in = odd_lines(depth), ld_gates = layout_.gate_row, ld = layout_.units;
    const int64_t input_sum_rows = std::min(kInputSumRows + ranks, ranks * plan_.longest());
    Buffer c(ranks * ld), h(ranks * ld), input_sums(has_input_sums ? input_sum_rows * ld_gates : 0);
    Buffer inputs(ranks * ld_in), own_gates(call_.gates ? 0 : ranks * ld_gates);
    Buffer starts(has_starts ? std::max<int64_t>(kRegisters * 4 * kWidth, ld_gates) : 0);
    std::fill(c + 0, c + ranks * ld, 0.0f);
    std::fill(h + 0, h + ranks * ld, 0.0f);
    for (int64_t r = 0; r < ranks; ++r) {
      const int64_t b = plan_.sequence(first + r);
      copy(c + r * ld, call_.c0 + b * units, units);
      copy(h + r * ld, call_.h0 + b * units, units);
    }
    int64_t input_sums_end = 0;
    float* next_input_sums = input_sums;
    for (int64_t step = 0; step < plan_.longest(); ++step) {
      const int64_t running = std::min(plan_.running(step), last) - first;
      if (running <= 0) break;
      const int64_t row = plan_.row(step, first);
      float* gates = call_.gates ? call_.gates + row * ld_gates : own_gates;
      for (int64_t r = 0; r < running; ++r) {
        copy(inputs + r * ld_in, input(step, first + r), num_inputs);
        copy(inputs + r * ld_in + num_inputs, h + r * ld, units);
      }
      if (has_input_sums && step == input_sums_end) {
        input_sums_end = multiply_inputs(step, first, last, input_sums);
        next_input_sums = input_sums;
      }
      const float* start = has_input_sums ? next_input_sums : has_starts ? starts : bias_;
      // a single row needs several blocks at once, which must have kWidth units; see multiply_row
      const int64_t full_blocks = running == 1 ? units / kWidth : 0;
      for (int64_t block = 0; has_starts && block < full_blocks; ++block)
        write_starts<kWidth>(order_.blocks()[block], step, first, 1, starts + 4 * block * kWidth,
                             0);
      if (full_blocks)
        multiply_row<4>({inputs, ld_in, weights(0, kWidth, features - num_inputs), 4 * kWidth,
                         depth, start, 0, gates, ld_gates},
                        4 * kWidth * order_.depth(), full_blocks);
      for (const Block& block : order_.blocks())
        for_width(block.width, [&](auto width) {
          constexpr int W = decltype(width)::value;
          const int64_t column = 4 * block.first;
          float* sums = gates + column;
          if (block.first >= full_blocks * kWidth) {
            const float* block_weights = weights(block.first, W, features - num_inputs);
            const int64_t part_rows = even_part(running, max_rows<4 * W / kWidth>());
            for (int64_t r = 0; r < running; r += part_rows) {
              const int64_t rows = std::min(part_rows, running - r);
              float* to = sums + r * ld_gates;
              prefetch_writes(to, ld_gates, 4 * W, rows);
              const float* from = start + column + (has_input_sums ? r * ld_gates : 0);
              if (has_starts) {
                write_starts<W>(block, step, first + r, rows, starts, 4 * W);
                from = starts;
              }
              multiply_gates<W>({inputs + r * ld_in, ld_in, block_weights, 4 * W, depth, from,
                                 has_input_sums ? ld_gates
                                 : has_starts   ? 4 * W
                                                : 0,
                                 to, ld_gates},
                                rows);
            }
          }
          cell_forward<A, R, W>(running, sums, ld_gates, c + block.first, h + block.first, ld);
        });
      if (has_input_sums) next_input_sums += running * ld_gates;
      if (call_.cells) copy(call_.cells + row * ld, c, running * ld);
      if (call_.outputs)
        for (int64_t r = 0; r < running; ++r)
          copy(call_.outputs + plan_.output_row(step, first + r) * call_.ld_outputs, h + r * ld,
               units);
    }
    for (int64_t r = 0; r < ranks; ++r) {
      const int64_t b = plan_.sequence(first + r);
      copy(call_.h + b * units, h + r * ld, units);
      copy(call_.c + b * units, c + r * ld, units);
      if (call_.repeat && call_.outputs && call_.mask) repeat_outputs(first + r);
    }
  }

 private:
  static constexpr int64_t kMaxFusedFeatures = 128;  // with more, input_sums are used
  // Approximate number of ranked rows whose input_sums are computed at once.
  static constexpr int64_t kInputSumRows = 96;
  // Number of features that are multiplied at once, so that their weights stay in the cache.
  static constexpr int64_t kInputSumDepth = 256;

  // Prefetches the cache lines of a block's gates while the product is computed.
  static void prefetch_writes(float* rows, int64_t ld, int64_t width, int64_t count) {
    for (int64_t r = 0; r < count; ++r)
      for (int64_t column = 0; column < width; column += 16)
        __builtin_prefetch(rows + r * ld + column, 1);
  }

  // The weights of a block from `row` on.  The rows are the features, and then the units.
  const float* weights(int64_t first, int64_t width, int64_t row) const {
    return weights_ + 4 * (first * order_.depth() + width * row);
  }

  // Pre-activations of the four gates of W units, which are adjacent in memory.
  template <int W>
  static void multiply_gates(const Product& product, int64_t rows) {
    multiply<4 * W / kWidth, kWidth, false>(product, rows);
  }

  // Writes the sums by sequence and by step that the products of a block start from. The first
  // layer of a decoder reads the code at every step and the position in every sequence.  The caller
  // passes both products, so that they are not computed again at each step.
  template <int W>
  void write_starts(const Block& block, int64_t step, int64_t rank, int64_t rows, float* to,
                    int64_t ld) const {
    const int64_t units = call_.shape.units;
    for (int gate = 0; gate < 4; ++gate, to += W) {
      const int64_t column = gate * units + block.first;
      const float* step_sums = call_.step_sums + step * 4 * units + column;
      for (int64_t r = 0; r < rows; ++r) {
        const float* sequence_sums =
            call_.sequence_sums + plan_.sequence(rank + r) * 4 * units + column;
        float* out = to + r * ld;
        if (block.present == W) {
          store<W>(out, load<W>(sequence_sums) + load<W>(step_sums));
        } else {
          for (int64_t u = 0; u < W; ++u)
            out[u] = u < block.present ? sequence_sums[u] + step_sums[u] : 0.0f;
        }
      }
    }
  }

  const float* input(int64_t step, int64_t rank) const {
    return call_.x + plan_.input_row(step, rank) * call_.ld_x;
  }

  // Computes the input_sums of several steps from `step` on, which include the bias (or the sums by
  // sequence and by step).  Returns the step after them.
  int64_t multiply_inputs(int64_t step, int64_t first, int64_t last, float* sums) const {
    const int64_t depth = call_.shape.features, ld = layout_.gate_row;
    std::vector<const float*> from;
    for (; static_cast<int64_t>(from.size()) < kInputSumRows && step < plan_.longest(); ++step) {
      const int64_t running = std::min(plan_.running(step), last) - first;
      if (running <= 0) break;
      float* starts = sums + static_cast<int64_t>(from.size()) * ld;
      for (const Block& block : order_.blocks())
        for_width(block.width, [&](auto width) {
          if (call_.sequence_sums)
            write_starts<decltype(width)::value>(block, step, first, running,
                                                 starts + 4 * block.first, ld);
        });
      for (int64_t r = 0; r < running; ++r) from.push_back(input(step, first + r));
    }
    const int64_t rows = static_cast<int64_t>(from.size());
    Buffer x(rows * kInputSumDepth);
    int64_t k = 0;
    do {
      const int64_t num_features = std::min(kInputSumDepth, depth - k);
      for (int64_t row = 0; row < rows; ++row)
        copy(x + row * kInputSumDepth, from[row] + k, num_features);
      for (const Block& block : order_.blocks())
        for_width(block.width, [&](auto width) {
          constexpr int W = decltype(width)::value;
          const int64_t column = 4 * block.first;
          const bool started = k || call_.sequence_sums;
          multiply_gates<W>(
              {x, kInputSumDepth, weights(block.first, W, k), 4 * W, num_features,
               started ? sums + column : bias_ + column, started ? ld : 0, sums + column, ld},
              rows);
        });
      k += num_features;
    } while (k < depth);
    return step;
  }

  // Fills masked steps with the output before them, or with the initial h.
  void repeat_outputs(int64_t rank) const {
    const int64_t units = call_.shape.units;
    const float* before = call_.h0 + plan_.sequence(rank) * units;
    float* output = call_.outputs + plan_.sequence(rank) * call_.shape.steps * call_.ld_outputs;
    for (int64_t position = 0, step = 0; position < call_.shape.steps; ++position) {
      if (step < plan_.length(rank) && plan_.position(step, rank) == position)
        ++step;
      else
        copy(output, before, units);
      before = output;
      output += call_.ld_outputs;
    }
  }

  const Forward& call_;
  const Plan& plan_;
  Layout layout_;
  ForwardOrder order_;
  Buffer packed_storage_;
  const float *weights_, *bias_;
};

}  // namespace REFOLD_VARIANT
}  // namespace refold
