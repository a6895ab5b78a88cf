// From the gradients by the gates' sums: those by the input and by the weights.
#pragma once

#include <vector>

#include "gemm.h"
#include "pack.h"
#include "plan.h"

namespace refold {
namespace REFOLD_VARIANT {

// By the input: packed rows times transposed input weights, some rows at a time.  Of a few features
// each is a dot product, which leaves no part of a vector unused.
class InputGradient {
 public:
  InputGradient(const Backward& call, const Plan& plan, const Pool& pool)
      : call_(call),
        plan_(plan),
        layout_(call.shape),
        few_(call.shape.features <= kFew),
        rows_(few_ ? call.shape.features * 4 * layout_.units : 0),
        weights_(call.kernel, few_ ? 0 : call.shape.features, call.shape.units, layout_,
                 unit_blocks(layout_, call.shape.units), pool) {
    for (const Block& block : unit_blocks(layout_, call.shape.units))
      for (int64_t f = 0; few_ && f < call.shape.features; ++f)
        pack_rows(call.kernel + f * 4 * call.shape.units, 1, call.shape.units, block,
                  rows_ + 4 * (f * layout_.units + block.first));
  }

  int64_t items() const { return (plan_.rows() + kRows - 1) / kRows; }

  void run(int64_t item) const {
    const int64_t first = item * kRows, rows = std::min(kRows, plan_.rows() - first);
    const int64_t features = call_.shape.features;
    float* to[kRows];
    for (int64_t row = 0, step = plan_.step_of(first); row < rows; ++row) {
      while (plan_.row(step + 1, 0) <= first + row) ++step;
      const int64_t rank = first + row - plan_.row(step, 0);
      const int64_t time = plan_.time(plan_.position(step, rank));
      to[row] = call_.d_x + (plan_.sequence(rank) * call_.shape.steps + time) * features;
    }
    const float* d_sums = call_.gates + first * layout_.gate_row;
    if (few_)
      for (int64_t row = 0; row < rows; ++row) dot(d_sums + row * layout_.gate_row, to[row]);
    else
      multiply_panels(d_sums, rows, to);
  }

 private:
  static constexpr int64_t kRows = 96;
  static constexpr int64_t kFew = 4;

  void dot(const float* d_sums, float* to) const {
    const int64_t depth = 4 * layout_.units;
    for (int64_t f = 0; f < call_.shape.features; ++f) {
      const float* weights = rows_ + f * depth;
      Floats<kWidth> products = fill<kWidth>(0.0f);
      for (int64_t k = 0; k < depth; k += kWidth)
        products += load<kWidth>(d_sums + k) * load<kWidth>(weights + k);
      to[f] = sum<kWidth>(products);
    }
  }

  void multiply_panels(const float* d_sums, int64_t rows, float* const* to) const {
    Buffer tile(rows * kPanel * kWidth);
    const float zero[kPanel * kWidth] = {};
    for (int64_t panel = 0; panel < weights_.panels(); ++panel) {
      const int64_t columns = weights_.vectors(panel) * kWidth, column = panel * kPanel * kWidth;
      const Product product{d_sums, layout_.gate_row, weights_.panel(panel), columns,
                            weights_.depth(), zero, 0, tile, columns};
      if (weights_.vectors(panel) == kPanel) multiply<kPanel, kWidth, false>(product, rows);
      else multiply<1, kWidth, false>(product, rows);
      const int64_t present = std::min(columns, call_.shape.features - column);
      for (int64_t row = 0; row < rows; ++row)
        std::memcpy(to[row] + column, tile + row * columns, present * sizeof(float));
    }
  }

  const Backward& call_;
  const Plan& plan_;
  Layout layout_;
  bool few_;
  Buffer rows_;
  Transposed weights_;
};

// By the weights: [x | h | 1] transposed times gradients, over all packed rows.  An item is a tile
// of the result, so that every sum is made by one thread and in one order.
class WeightGradient {
 public:
  WeightGradient(const Backward& call, const Plan& plan)
      : call_(call), plan_(plan), layout_(call.shape) {
    const int64_t own = layout_.inputs + call.shape.units + 1;
    const int64_t early = call.shape.features - layout_.inputs;
    for (const Block& block : unit_blocks(layout_, call.shape.units)) {
      add_tiles(block, own, false);
      add_tiles(block, early, true);
    }
  }

  int64_t items() const { return static_cast<int64_t>(tiles_.size()); }

  void run(int64_t item) const {
    const Tile& tile = tiles_[item];
    const int64_t columns = 4 * tile.block.width;
    Buffer sums(tile.count * columns), gathered(tile.early ? kDepth * tile.count : 0);
    std::fill(sums + 0, sums + tile.count * columns, 0.0f);
    for (int64_t row = 0; row < plan_.rows(); row += kDepth) {
      const int64_t depth = std::min(kDepth, plan_.rows() - row);
      Product product{call_.inputs + row * layout_.input_row + tile.first, layout_.input_row,
                      call_.gates + row * layout_.gate_row + 4 * tile.block.first, layout_.gate_row,
                      depth, sums, columns, sums, columns};
      if (tile.early) {
        gather(tile, row, depth, gathered);
        product.a = gathered;
        product.lda = tile.count;
      }
      switch (columns / kWidth) {
        case 4: multiply<4, kWidth, true>(product, tile.count); break;
        case 2: multiply<2, kWidth, true>(product, tile.count); break;
        case 1: multiply<1, kWidth, true>(product, tile.count); break;
      }
    }
    for (int64_t m = 0; m < tile.count; ++m)
      for (int gate = 0; gate < 4; ++gate)
        std::memcpy(target(tile, tile.first + m) + gate * call_.shape.units + tile.block.first,
                    sums + m * columns + gate * tile.block.width,
                    tile.block.present * sizeof(float));
  }

 private:
  static constexpr int64_t kDepth = 128;  // packed rows summed while a tile's part is in registers
  static constexpr int64_t kTile = 96;    // rows of the result in a tile, at most

  struct Tile {
    Block block;
    int64_t first, count;  // rows of the result
    bool early;            // features that are not kept in the packed rows
  };

  void add_tiles(const Block& block, int64_t rows, bool early) {
    for (int64_t tiles = (rows + kTile - 1) / kTile, first = 0; tiles > 0; --tiles) {
      const int64_t count = (rows - first + tiles - 1) / tiles;
      tiles_.push_back({block, first, count, early});
      first += count;
    }
  }

  void gather(const Tile& tile, int64_t first, int64_t rows, float* to) const {
    for (int64_t row = first, step = plan_.step_of(first); row < first + rows; ++row) {
      while (plan_.row(step + 1, 0) <= row) ++step;
      const int64_t rank = row - plan_.row(step, 0);
      const int64_t time = plan_.time(plan_.position(step, rank));
      const float* x = call_.x + (plan_.sequence(rank) * call_.shape.steps + time) *
                                     call_.shape.features + tile.first;
      std::memcpy(to, x, tile.count * sizeof(float));
      to += tile.count;
    }
  }

  float* target(const Tile& tile, int64_t m) const {
    const int64_t width = 4 * call_.shape.units;
    if (tile.early || m < layout_.inputs) return call_.d_kernel + m * width;
    m -= layout_.inputs;
    return m < call_.shape.units ? call_.d_recurrent + m * width : call_.d_bias;
  }

  const Backward& call_;
  const Plan& plan_;
  Layout layout_;
  std::vector<Tile> tiles_;
};

}  // namespace REFOLD_VARIANT
}  // namespace refold
