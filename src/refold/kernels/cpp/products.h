// Products of rows with a matrix.  The bits of a row do not depend on the other rows.
#pragma once

#include <numeric>
#include <vector>

#include "buffer.h"
#include "gemm.h"
#include "packed.h"
#include "threads.h"

namespace refold {
namespace REFOLD_VARIANT {

constexpr int64_t kPanelWidth = kPanel * kWidth;
// Rows of a work item; a tile of them must fit the stack.
constexpr int64_t kProductRows = 96;
// Rows of a panel that are multiplied at once, so that they stay in the cache.
constexpr int64_t kProductDepth = 256;

// One panel of a product: a group of columns that the inner loop computes together.  `present` of
// its columns exist; zeros fill the last vector.
struct Columns {
  int64_t first, present;
  int vectors;
  int64_t width() const { return vectors * kWidth; }
  Columns(int64_t panel, int64_t width)
      : first(panel * kPanelWidth),
        present(std::min(kPanelWidth, width - first)),
        vectors(present <= kWidth ? 1 : kPanel) {}
};

inline int64_t count_panels(int64_t width) { return (width + kPanelWidth - 1) / kPanelWidth; }

// Copies `rows` rows of `columns`, which are followed by zeros up to the panel's width.
inline void copy_columns(float* to, int64_t ld_to, const float* from, int64_t ld_from, int64_t rows,
                         const Columns& columns) {
  for (int64_t row = 0; row < rows; ++row, to += ld_to, from += ld_from) {
    copy(to, from + columns.first, columns.present);
    std::fill(to + columns.present, to + columns.width(), 0.0f);
  }
}

// See RowProduct.  Each thread computes some rows, panel after panel.
inline void product(const RowProduct& call, const Pool& all) {
  const int64_t panels = count_panels(call.width), depth = call.depth;
  if (!panels || !call.rows) return;
  const Pool pool = pool_for_work(all, static_cast<double>(call.rows) * depth * call.width);
  // With few rows, a copy of the weights would take longer, so complete panels are read in place.
  const int64_t in_place = call.rows < 8 ? call.width / kPanelWidth : 0;
  Buffer weights((panels - in_place) * depth * kPanelWidth);
  for (int64_t panel = in_place; panel < panels; ++panel) {
    const Columns columns(panel, call.width);
    copy_columns(weights + (panel - in_place) * depth * kPanelWidth, columns.width(), call.w,
                 call.ld_w, depth, columns);
  }
  const int64_t items = (call.rows + kProductRows - 1) / kProductRows;
  parallel(pool, items, [&](int64_t item) {
    const int64_t begin = item * kProductRows, rows = std::min(kProductRows, call.rows - begin);
    const float* x = call.x + begin * call.ld_x;
    float tile[kProductRows * kPanelWidth], start_row[kPanelWidth] = {};
    for (int64_t panel = 0; panel < panels; ++panel) {
      const Columns columns(panel, call.width);
      // an incomplete panel is computed in the tile, because it would write beyond the row
      const bool is_full = columns.present == columns.width();
      float* to = is_full ? call.y + begin * call.ld_y + columns.first : tile;
      const int64_t ld_to = is_full ? call.ld_y : columns.width();
      const float* from = start_row;
      int64_t ld_from = 0;
      if (call.start && call.ld_start == 0) {
        copy_columns(start_row, 0, call.start, 0, 1, columns);
      } else if (call.start) {
        from = tile;
        ld_from = columns.width();
        copy_columns(tile, ld_from, call.start + begin * call.ld_start, call.ld_start, rows,
                     columns);
      }
      const float* w = panel < in_place ? call.w + columns.first
                                        : weights + (panel - in_place) * depth * kPanelWidth;
      const int64_t ld_w = panel < in_place ? call.ld_w : columns.width();
      int64_t k = 0;
      do {
        const int64_t part_depth = std::min(kProductDepth, depth - k);
        multiply_panel(columns.vectors,
                       {x + k, call.ld_x, w + k * ld_w, ld_w, part_depth, k ? to : from,
                        k ? ld_to : ld_from, to, ld_to},
                       rows);
        k += part_depth;
      } while (k < depth);
      for (int64_t row = 0; !is_full && row < rows; ++row)
        copy(call.y + (begin + row) * call.ld_y + columns.first, tile + row * ld_to,
             columns.present);
    }
  });
}

// Indices of `values`, from the largest value to the smallest.
inline std::vector<int64_t> ranked(const std::vector<int64_t>& values) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return values[a] > values[b]; });
  return order;
}

// Sequences are ranked from the longest to the shortest, and computed in groups.  A group reads
// kProductDepth values of each sequence at a time.  If a sequence has fewer, zeros follow,
// so that its sum does not depend on the other sequences.
inline void linear_encode(const LinearEncode& call, const Pool& all) {
  const int64_t panels = count_panels(call.width), ld = panels * kPanelWidth;
  if (!panels || !call.sequences) return;
  const int64_t depth = call.max_steps * call.channels;
  std::vector<int64_t> values(call.sequences);
  double work = 0;
  for (int64_t i = 0; i < call.sequences; ++i) {
    values[i] = std::min(call.offsets[i + 1] - call.offsets[i], call.max_steps) * call.channels;
    work += static_cast<double>(values[i]) * call.width;
  }
  const std::vector<int64_t> sequence = ranked(values);
  const int64_t groups = (call.sequences + kProductRows - 1) / kProductRows;
  parallel(pool_for_work(all, work), groups, [&](int64_t group) {
    const int64_t* members = sequence.data() + group * kProductRows;
    const int64_t count = std::min(kProductRows, call.sequences - group * kProductRows);
    Buffer sums(count * ld), x(count * kProductDepth), weights(kProductDepth * kPanelWidth);
    for (int64_t i = 0; i < count; ++i) {
      if (call.start) copy(sums + i * ld, call.start + members[i] * call.ld_start, call.width);
      std::fill(sums + i * ld + (call.start ? call.width : 0), sums + (i + 1) * ld, 0.0f);
    }
    for (int64_t k = 0, running = count; k < depth; k += kProductDepth) {
      const int64_t part_depth = std::min(kProductDepth, depth - k);
      while (running > 0 && values[members[running - 1]] <= k) --running;
      if (!running) break;
      for (int64_t i = 0; i < running; ++i) {
        const int64_t present = std::min(part_depth, values[members[i]] - k);
        float* to = x + i * kProductDepth;
        copy(to, call.x + call.offsets[members[i]] * call.channels + k, present);
        std::fill(to + present, to + part_depth, 0.0f);
      }
      for (int64_t panel = 0; panel < panels; ++panel) {
        const Columns columns(panel, call.width);
        copy_columns(weights, columns.width(), call.w + k * call.width, call.width, part_depth,
                     columns);
        float* to = sums + columns.first;
        multiply_panel(columns.vectors,
                       {x, kProductDepth, weights, columns.width(), part_depth, to, ld, to, ld},
                       running);
      }
    }
    for (int64_t i = 0; i < count; ++i)
      copy(call.y + members[i] * call.width, sums + i * ld, call.width);
  });
}

// Sequences are ranked and computed in groups, as in linear_encode.  A panel has some outputs of
// some steps.  It multiplies all sequences of a group that have these steps.
inline void linear_decode(const LinearDecode& call, const Pool& all) {
  const int64_t max_values = call.max_steps * call.width;
  std::vector<int64_t> values(call.sequences);
  double work = 0;
  for (int64_t i = 0; i < call.sequences; ++i) {
    values[i] = (call.offsets[i + 1] - call.offsets[i]) * call.width;
    work += static_cast<double>(values[i]) * call.depth;
  }
  const std::vector<int64_t> sequence = ranked(values);
  const int64_t groups = (call.sequences + kProductRows - 1) / kProductRows;
  parallel(pool_for_work(all, work), groups, [&](int64_t group) {
    const int64_t* members = sequence.data() + group * kProductRows;
    const int64_t count = std::min(kProductRows, call.sequences - group * kProductRows);
    Buffer x(count * call.depth), weights(call.depth * kPanelWidth);
    float tile[kProductRows * kPanelWidth], start[kPanelWidth];
    for (int64_t i = 0; i < count; ++i) {
      const int64_t rest = values[members[i]] - max_values;
      float* y = call.y + call.offsets[members[i]] * call.width;
      // steps without weights
      if (rest > 0) copy(y + max_values, call.start + max_values, rest);
      copy(x + i * call.depth, call.x + members[i] * call.depth, call.depth);
    }
    const int64_t end = std::min(max_values, values[members[0]]);
    for (int64_t panel = 0, running = count; panel < count_panels(end); ++panel) {
      const Columns columns(panel, end);
      while (values[members[running - 1]] <= columns.first) --running;
      copy_columns(weights, columns.width(), call.w, max_values, call.depth, columns);
      copy_columns(start, 0, call.start, 0, 1, columns);
      multiply_panel(
          columns.vectors,
          {x, call.depth, weights, columns.width(), call.depth, start, 0, tile, columns.width()},
          running);
      for (int64_t i = 0; i < running; ++i)
        copy(call.y + call.offsets[members[i]] * call.width + columns.first,
             tile + i * columns.width(),
             std::min(columns.present, values[members[i]] - columns.first));
    }
  });
}

}  // namespace REFOLD_VARIANT
}  // namespace refold
