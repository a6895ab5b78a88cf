// Packing of weights into the order in which the products read them.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "buffer.h"
#include "gemm.h"
#include "lstm.h"
#include "simd.h"

namespace refold {
namespace REFOLD_VARIANT {

// Units that are computed together.  In a row of gates, a block starts at column 4 * first: `width`
// input gates, then as many forget gates, cell candidates and output gates.
struct Block {
  int64_t first;
  int width;        // kWidth or, in the last blocks, a smaller power of two
  int64_t present;  // units that exist; the others are padding
};

inline std::vector<Block> unit_blocks(const Layout& layout, int64_t units) {
  std::vector<Block> blocks;
  for (int64_t first = 0; first < layout.units;) {
    int width = kWidth;
    while (width > layout.units - first) width /= 2;
    const int64_t present = std::clamp<int64_t>(units - first, 0, width);
    blocks.push_back({first, width, present});
    first += width;
  }
  return blocks;
}

// Calls work(std::integral_constant<int, W>) with the block's width.
template <typename Work>
inline void for_width(int width, const Work& work) {
  switch (width) {
    case 4:
      return work(std::integral_constant<int, 4>());
    case 8:
      if constexpr (kWidth >= 8) return work(std::integral_constant<int, 8>());
      break;
    case 16:
      if constexpr (kWidth >= 16) return work(std::integral_constant<int, 16>());
      break;
  }
}

// Copies one block's columns of `count` rows of (4H) weights into contiguous memory.
inline void pack_rows(const float* weights, int64_t count, int64_t units, const Block& block,
                      float* out) {
  for (int64_t row = 0; row < count; ++row, weights += 4 * units)
    for (int gate = 0; gate < 4; ++gate, out += block.width) {
      std::memcpy(out, weights + gate * units + block.first, block.present * sizeof(float));
      std::fill(out + block.present, out + block.width, 0.0f);
    }
}

// The pool for packing.  The caller packs few weights alone, because it is done before another
// thread wakes up.
inline Pool pool_for_packing(const Pool& pool, int64_t weights) {
  return pool_for_work(pool, 2.0 * static_cast<double>(weights));
}

// Order of the weights in the forward pass: for each block the input weights, stacked on the
// recurrent weights; then the bias.
class ForwardOrder {
 public:
  explicit ForwardOrder(const Shape& shape)
      : shape_(shape), layout_(shape), blocks_(unit_blocks(layout_, shape.units)) {}

  void pack(const Weights& weights, const Pool& pool, float* to) const {
    const int64_t size = (shape_.features + shape_.units) * 4 * shape_.units;
    parallel(pool_for_packing(pool, size), static_cast<int64_t>(blocks_.size()),
             [&](int64_t index) {
               const Block& block = blocks_[index];
               const int64_t features = shape_.features, units = shape_.units;
               float* packed_block = to + 4 * block.first * depth();
               pack_rows(weights.kernel, features, units, block, packed_block);
               pack_rows(weights.recurrent, units, units, block,
                         packed_block + 4 * block.width * features);
               pack_rows(weights.bias, 1, units, block, to + bias() + 4 * block.first);
             });
  }

  const std::vector<Block>& blocks() const { return blocks_; }
  int64_t depth() const { return shape_.features + shape_.units; }
  int64_t bias() const { return 4 * layout_.units * depth(); }

 private:
  Shape shape_;
  Layout layout_;
  std::vector<Block> blocks_;
};

// Transposed weights: one column for each row of `weights` (count, 4H), in panels of kPanel
// vectors.  The last panel has one vector or kPanel vectors.
class Transposed {
 public:
  Transposed(int64_t count, const Layout& layout)
      : count_(count), depth_(4 * layout.units), vectors_((count + kWidth - 1) / kWidth) {}

  void pack(const float* weights, int64_t units, const std::vector<Block>& blocks, const Pool& pool,
            float* to) const {
    parallel(pool_for_packing(pool, count_ * depth_), panels(), [&](int64_t panel) {
      const int64_t first = panel * kPanel * kWidth, columns = this->vectors(panel) * kWidth;
      float* out = to + first * depth_;
      for (int64_t column = 0; column < columns; ++column) {
        const float* row =
            first + column < count_ ? weights + (first + column) * 4 * units : nullptr;
        float* to = out + column;
        for (const Block& block : blocks)
          for (int gate = 0; gate < 4; ++gate) {
            const int64_t present = row ? block.present : 0;
            for (int64_t u = 0; u < block.width; ++u, to += columns)
              *to = u < present ? row[gate * units + block.first + u] : 0.0f;
          }
      }
    });
  }

  int64_t panels() const { return (vectors_ + kPanel - 1) / kPanel; }
  int64_t whole_panels() const { return vectors_ / kPanel; }  // those of kPanel vectors
  int vectors(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(kPanel, vectors_ - panel * kPanel));
  }
  const float* panel(const float* packed, int64_t index) const {
    return packed + index * kPanel * kWidth * depth_;
  }
  int64_t depth() const { return depth_; }
  int64_t width() const { return vectors_ * kWidth; }
  int64_t size() const { return depth_ * width(); }

 private:
  int64_t count_, depth_, vectors_;
};

// Order of the weights in the backward pass: the transposed recurrent weights, then those of the
// features whose gradient is computed.  With few features each gradient is a dot product, so that
// no part of a vector register is wasted.
class BackwardOrder {
 public:
  BackwardOrder(int64_t features, int64_t units)
      : features_(features),
        units_(units),
        layout_({1, 1, features, units}),
        blocks_(unit_blocks(layout_, units)),
        recurrent_(units, layout_),
        kernel_(uses_dot_products() ? 0 : features, layout_) {}

  void pack(const Weights& weights, const Pool& pool, float* to) const {
    recurrent_.pack(weights.recurrent, units_, blocks_, pool, to);
    to += recurrent_.size();
    if (!uses_dot_products()) return kernel_.pack(weights.kernel, units_, blocks_, pool, to);
    for (const Block& block : blocks_)
      for (int64_t f = 0; f < features_; ++f)
        pack_rows(weights.kernel + f * 4 * units_, 1, units_, block,
                  to + 4 * (f * layout_.units + block.first));
  }

  bool uses_dot_products() const { return features_ <= kMaxDotFeatures; }
  int64_t features() const { return features_; }
  const Layout& layout() const { return layout_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  const Transposed& recurrent() const { return recurrent_; }
  const Transposed& kernel() const { return kernel_; }  // empty if uses_dot_products()

 private:
  static constexpr int64_t kMaxDotFeatures = 4;  // with more, panels are multiplied

  int64_t features_, units_;
  Layout layout_;
  std::vector<Block> blocks_;
  Transposed recurrent_, kernel_;
};

}  // namespace REFOLD_VARIANT
}  // namespace refold
