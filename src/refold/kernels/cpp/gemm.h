// Matrix products.  The inner loop keeps a block of the result in registers.
#pragma once

#include <algorithm>
#include <utility>

#include "simd.h"

namespace refold {
namespace REFOLD_VARIANT {

// c[r, :] = start[r, :] + sum over k of a(r, k) b[k, :], for `Rows` rows and `Vectors` vectors.
//
// a(r, k) is a[r * lda + k], or a[r + k * lda] if `Across`, where a is transposed.  `start` may be
// c itself.
struct Product {
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  int64_t depth;
  const float* start;
  int64_t ldstart;
  float* c;
  int64_t ldc;
};

template <int Rows, int Vectors, int W, bool Across>
void multiply_block(const Product& p) {
  Floats<W> sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[r][v] = load<W>(p.start + r * p.ldstart + v * W);
  const float* a = p.a;
  const float* b = p.b;
  const int64_t lda = p.lda, ldb = p.ldb;
#pragma GCC unroll 2
  for (int64_t k = p.depth; k > 0; --k) {
    Floats<W> row[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) row[v] = load<W>(b + v * W);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const float factor = Across ? a[r] : a[r * lda];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[r][v] += factor * row[v];
    }
    a += Across ? lda : 1;
    b += ldb;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store<W>(p.c + r * p.ldc + v * W, sum[r][v]);
}

// Maximum number of rows of a block.  Its sums, one row of b and a factor must fit into the
// registers.  With AVX-512, a block has 6 rows by 4 vectors in the forward pass (the 4 gates of 16
// units), and 12 rows by 2 vectors in the backward pass.
template <int Vectors>
constexpr int max_rows() {
  return std::min(12, (kRegisters - 1 - (kRegisters == 32 ? Vectors : Vectors / 2)) / Vectors);
}

// multiply_block for a number of rows that is known only at run time.
template <int Vectors, int W, bool Across, int... R>
void multiply_rows(const Product& p, int rows, std::integer_sequence<int, R...>) {
  using Block = void (*)(const Product&);
  static constexpr Block kBlocks[] = {&multiply_block<R + 1, Vectors, W, Across>...};
  kBlocks[rows - 1](p);
}

// Number of rows of each part, if rows are split into about equal parts of at most `max_rows` rows.
inline int64_t even_part(int64_t rows, int64_t max_rows) {
  const int64_t parts = std::max<int64_t>(1, (rows + max_rows - 1) / max_rows);
  return (rows + parts - 1) / parts;
}

// multiply_block for any number of rows, in blocks of about equal size.
template <int Vectors, int W, bool Across>
void multiply(Product p, int64_t rows) {
  constexpr int kRows = max_rows<Vectors>();
  for (int64_t blocks = (rows + kRows - 1) / kRows; blocks > 0; --blocks) {
    const int64_t num_rows = (rows + blocks - 1) / blocks;
    multiply_rows<Vectors, W, Across>(p, static_cast<int>(num_rows),
                                      std::make_integer_sequence<int, kRows>());
    rows -= num_rows;
    p.a += Across ? num_rows : num_rows * p.lda;
    p.start += num_rows * p.ldstart;
    p.c += num_rows * p.ldc;
  }
}

// multiply for one row and `Groups` groups of columns.  The results of the groups are adjacent, and
// their parts of b begin `next` floats apart.  Each addition waits for the one before it in the
// same sum.  One group has too few sums to fill that time, so several groups are computed at once.
template <int Vectors, int Groups>
void multiply_row(const Product& p, int64_t next) {
  Floats<kWidth> sum[Groups][Vectors];
  const float* b = p.b;
#pragma GCC unroll 4
  for (int g = 0; g < Groups; ++g)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      sum[g][v] = load<kWidth>(p.start + (g * Vectors + v) * kWidth);
#pragma GCC unroll 2
  for (int64_t k = 0; k < p.depth; ++k, b += p.ldb) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
        sum[g][v] += p.a[k] * load<kWidth>(b + g * next + v * kWidth);
  }
#pragma GCC unroll 4
  for (int g = 0; g < Groups; ++g)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store<kWidth>(p.c + (g * Vectors + v) * kWidth, sum[g][v]);
}

// multiply_row for any number of groups.  It computes 8 vectors of sums at once.
template <int Vectors>
void multiply_row(Product p, int64_t next, int64_t groups) {
  constexpr int kGroups = 8 / Vectors;
  for (; groups > 0; groups -= kGroups) {
    switch (std::min<int64_t>(groups, kGroups)) {
      case 1:
        return multiply_row<Vectors, 1>(p, next);
      case 2:
        multiply_row<Vectors, 2>(p, next);
        break;
      case 3:
        multiply_row<Vectors, 3>(p, next);
        break;
      case 4:
        multiply_row<Vectors, 4>(p, next);
        break;
    }
    p.b += kGroups * next;
    p.start += kGroups * Vectors * kWidth;
    p.c += kGroups * Vectors * kWidth;
  }
}

// Vectors per panel.  A panel is a group of columns of a matrix.  The matrix is packed panel by
// panel, so that the inner loop reads it in order.
constexpr int kPanel = 2;

// multiply for a panel of one vector or of kPanel vectors.
inline void multiply_panel(int vectors, const Product& p, int64_t rows) {
  if (vectors == kPanel)
    multiply<kPanel, kWidth, false>(p, rows);
  else
    multiply<1, kWidth, false>(p, rows);
}

}  // namespace REFOLD_VARIANT
}  // namespace refold
