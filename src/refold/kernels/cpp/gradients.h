// Gradients of the input and the weights, from the gradients of the pre-activations.
#pragma once

#include <vector>

#include "gemm.h"
#include "pack.h"
#include "plan.h"

namespace refold {
namespace REFOLD_VARIANT {

// Gradient of the input: ranked rows times the transposed input weights.
class InputGradient {
 public:
  InputGradient(const Backward& call, const Plan& plan, const BackwardOrder& order,
                const float* packed)
      : call_(call), plan_(plan), order_(order), packed_(packed + order.recurrent().size()) {}

  // Whether to multiply the rows of a step at once, while they are in the cache.
  bool at_once() const { return features() > 0 && (!call_.gates || gradient_at_once(call_.shape)); }

  // Multiplies the rows of one step, for the ranks from `first` on.
  void run_step(const float* d_sums, int64_t ld, int64_t step, int64_t first, int64_t rows) const {
    for (int64_t begin = 0; begin < rows; begin += kRows) {
      float* to[kRows];
      const int64_t count = std::min(kRows, rows - begin);
      for (int64_t r = 0; r < count; ++r) to[r] = target(step, first + begin + r);
      multiply_rows(d_sums + begin * ld, ld, count, to);
    }
  }

  // Number of work items that are left after the backward pass: none if at_once().
  int64_t items() const {
    return !features() || at_once() ? 0 : (plan_.rows() + kRows - 1) / kRows;
  }

  void run(int64_t item) const {
    float* to[kRows];
    const int64_t begin = item * kRows, count = std::min(kRows, plan_.rows() - begin);
    plan_.for_rows(begin, count, [&](int64_t row, int64_t step, int64_t rank) {
      to[row - begin] = target(step, rank);
    });
    const int64_t ld = order_.layout().gate_row;
    multiply_rows(call_.gates + begin * ld, ld, count, to);
  }

 private:
  static constexpr int64_t kRows = 96;  // rows of a work item, and of the tile on the stack

  // Number of features whose gradient is computed; 0 if the gradient of the input is not needed.
  int64_t features() const { return call_.d_x ? order_.features() : 0; }

  // The row of d_x that belongs to a step of the sequence of a rank.
  float* target(int64_t step, int64_t rank) const {
    return call_.d_x + plan_.input_row(step, rank) * call_.ld_x;
  }

  void multiply_rows(const float* d_sums, int64_t ld, int64_t rows, float* const* to) const {
    if (order_.uses_dot_products())
      for (int64_t row = 0; row < rows; ++row) dot(d_sums + row * ld, to[row]);
    else
      multiply_panels(d_sums, ld, rows, to);
  }

  // Computes the gradient of one row as one dot product for each feature.
  void dot(const float* d_sums, float* to) const {
    const int64_t depth = 4 * order_.layout().units;
    for (int64_t f = 0; f < order_.features(); ++f) {
      const float* weights = packed_ + f * depth;
      Floats<kWidth> products = fill<kWidth>(0.0f);
      for (int64_t k = 0; k < depth; k += kWidth)
        products += load<kWidth>(d_sums + k) * load<kWidth>(weights + k);
      to[f] = sum<kWidth>(products);
    }
  }

  // Multiplies by all panels.  The last panel may be wider than a row of d_x, so a tile gets the
  // results first.
  void multiply_panels(const float* d_sums, int64_t ld, int64_t rows, float* const* to) const {
    float tile[kRows * kPanel * kWidth];
    const float zero[kPanel * kWidth] = {};
    const Transposed& weights = order_.kernel();
    for (int64_t panel = 0; panel < weights.panels(); ++panel) {
      const int64_t columns = weights.vectors(panel) * kWidth, column = panel * kPanel * kWidth;
      const Product product{
          d_sums, ld,     weights.panel(packed_, panel), columns, weights.depth(), zero, 0,
          tile,   columns};
      multiply_panel(weights.vectors(panel), product, rows);
      const int64_t present = std::min(columns, order_.features() - column);
      for (int64_t row = 0; row < rows; ++row)
        copy(to[row] + column, tile + row * columns, present);
    }
  }

  const Backward& call_;
  const Plan& plan_;
  const BackwardOrder& order_;
  const float* packed_;
};

// Gradient of the weights: the transpose of [x | h | 1] times the gradients, over all ranked rows.
// A work item is a tile of the result, so that one thread computes each sum in a fixed order.
class WeightGradient {
 public:
  WeightGradient(const Backward& call, const Plan& plan, const Pool& pool)
      : call_(call),
        plan_(plan),
        layout_(call.shape),
        blocks_(unit_blocks(layout_, call.shape.units)) {
    // All blocks of a tile share the gathered rows, so few tiles are best: one for each thread, but
    // no tile larger than fits the cache.
    const int64_t rows = call.shape.features + call.shape.units + 1;
    const int64_t down = (rows + kTile - 1) / kTile, blocks = static_cast<int64_t>(blocks_.size());
    const int64_t size = (rows + down - 1) / down * 4 * layout_.units;
    const int64_t across =
        std::min(std::max((pool.threads + down - 1) / down, (size + kSums - 1) / kSums), blocks);
    for (int64_t i = 0; i < down; ++i)
      for (int64_t k = 0; k < across; ++k)
        tiles_.push_back({rows * i / down, rows * (i + 1) / down, blocks * k / across,
                          blocks * (k + 1) / across});
  }

  int64_t items() const { return call_.d_kernel ? static_cast<int64_t>(tiles_.size()) : 0; }

  void run(int64_t item) const {
    const Tile& tile = tiles_[item];
    const int64_t count = tile.last - tile.first, ld = odd_lines(count);
    const Block &left = blocks_[tile.first_block], &right = blocks_[tile.last_block - 1];
    const int64_t begin = 4 * left.first, columns = 4 * (right.first + right.width) - begin;
    Buffer sums(count * columns), rows(kDepth * ld);
    std::fill(sums + 0, sums + count * columns, 0.0f);
    for (int64_t row = 0; row < plan_.rows(); row += kDepth) {
      const int64_t depth = std::min(kDepth, plan_.rows() - row);
      plan_.for_rows(row, depth, [&](int64_t at, int64_t step, int64_t rank) {
        gather(tile, step, rank, rows + (at - row) * ld);
      });
      for (int64_t index = tile.first_block; index < tile.last_block; ++index) {
        const Block& block = blocks_[index];
        const int64_t column = 4 * block.first;
        float* to = sums + count * (column - begin);
        const Product product{rows,
                              ld,
                              call_.gates + row * layout_.gate_row + column,
                              layout_.gate_row,
                              depth,
                              to,
                              4 * block.width,
                              to,
                              4 * block.width};
        switch (4 * block.width / kWidth) {
          case 4:
            multiply<4, kWidth, true>(product, count);
            break;
          case 2:
            multiply<2, kWidth, true>(product, count);
            break;
          case 1:
            multiply<1, kWidth, true>(product, count);
            break;
        }
      }
    }
    for (int64_t index = tile.first_block; index < tile.last_block; ++index)
      write(tile, blocks_[index], sums + count * (4 * blocks_[index].first - begin));
  }

 private:
  static constexpr int64_t kDepth = 128;     // ranked rows summed while results are in registers
  static constexpr int64_t kTile = 96;       // maximum number of result rows per tile
  static constexpr int64_t kSums = 1 << 14;  // approximate sums per tile

  struct Tile {
    int64_t first, last;              // rows of the result: features, units, bias
    int64_t first_block, last_block;  // columns
  };

  // Copies the tile's part of [x | h | 1], where h is the output before the step.
  void gather(const Tile& tile, int64_t step, int64_t rank, float* to) const {
    const int64_t features = call_.shape.features, units = call_.shape.units;
    const float* x = call_.x + plan_.input_row(step, rank) * call_.ld_x;
    const float* h = step ? call_.outputs + plan_.output_row(step - 1, rank) * call_.ld_outputs
                          : call_.h0 + plan_.sequence(rank) * units;
    const int64_t end_x = std::min(tile.last, features);
    if (tile.first < end_x) copy(to, x + tile.first, end_x - tile.first);
    const int64_t begin_h = std::max(tile.first, features);
    const int64_t end_h = std::min(tile.last, features + units);
    if (begin_h < end_h) copy(to + begin_h - tile.first, h + begin_h - features, end_h - begin_h);
    if (tile.last > features + units) to[features + units - tile.first] = 1.0f;
  }

  // Copies the sums of one block into the gradients of the weights.
  void write(const Tile& tile, const Block& block, const float* sums) const {
    const int64_t features = call_.shape.features, units = call_.shape.units;
    for (int64_t m = tile.first; m < tile.last; ++m) {
      float* row = m < features           ? call_.d_kernel + m * 4 * units
                   : m < features + units ? call_.d_recurrent + (m - features) * 4 * units
                                          : call_.d_bias;
      for (int gate = 0; gate < 4; ++gate, sums += block.width)
        copy(row + gate * units + block.first, sums, block.present);
    }
  }

  const Backward& call_;
  const Plan& plan_;
  Layout layout_;
  std::vector<Block> blocks_;
  std::vector<Tile> tiles_;
};

}  // namespace REFOLD_VARIANT
}  // namespace refold
