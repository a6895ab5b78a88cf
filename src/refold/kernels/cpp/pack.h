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
    case 4: return work(std::integral_constant<int, 4>());
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

// Few weights are packed by the caller alone, before another thread would wake up.
inline Pool enough_to_pack(const Pool& pool, int64_t weights) {
  return enough(pool, 2.0 * static_cast<double>(weights));
}

// Transposed weights: one column for each row of `weights` (count, 4H), in panels of kPanel
// vectors.  The last panel has one vector or kPanel vectors.
class Transposed {
 public:
  Transposed(const float* weights, int64_t count, int64_t units, const Layout& layout,
             const std::vector<Block>& blocks, const Pool& pool)
      : depth_(4 * layout.units),
        vectors_((count + kWidth - 1) / kWidth),
        packed_(depth_ * vectors_ * kWidth) {
    parallel(enough_to_pack(pool, count * depth_), panels(), [&](int64_t panel) {
      const int64_t first = panel * kPanel * kWidth, columns = this->vectors(panel) * kWidth;
      float* out = packed_ + panel * kPanel * kWidth * depth_;
      for (int64_t column = 0; column < columns; ++column) {
        const float* row = first + column < count ? weights + (first + column) * 4 * units : nullptr;
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
  int vectors(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(kPanel, vectors_ - panel * kPanel));
  }
  const float* panel(int64_t index) const { return packed_ + index * kPanel * kWidth * depth_; }
  int64_t depth() const { return depth_; }
  int64_t width() const { return vectors_ * kWidth; }

 private:
  int64_t depth_, vectors_;
  Buffer packed_;
};

}  // namespace REFOLD_VARIANT
}  // namespace refold
