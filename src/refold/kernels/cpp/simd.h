// Vectors of float32 with the compiler's vector extensions, and exponentials of them.
//
// Compiled once per variant: REFOLD_VARIANT is the namespace, and the compiler flags choose the
// instruction set.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace refold {
namespace REFOLD_VARIANT {

#if defined(__AVX512F__)
constexpr int kWidth = 16;      // floats per vector
constexpr int kRegisters = 32;  // vector registers
#elif defined(__AVX__)
constexpr int kWidth = 8;
constexpr int kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kWidth = 4;
constexpr int kRegisters = 32;
#else
constexpr int kWidth = 4;
constexpr int kRegisters = 16;
#endif

template <int W>
struct Vector {
  typedef float Floats __attribute__((vector_size(W * sizeof(float))));
  typedef int32_t Ints __attribute__((vector_size(W * sizeof(int32_t))));
};
template <int W>
using Floats = typename Vector<W>::Floats;
template <int W>
using Ints = typename Vector<W>::Ints;

template <int W>
inline Floats<W> load(const float* from) {
  Floats<W> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <int W>
inline void store(float* to, Floats<W> v) {
  std::memcpy(to, &v, sizeof v);
}

// Copies floats.  For short rows, a call of memcpy would take longer than the copy.
inline void copy(float* to, const float* from, int64_t count) {
  if (count > 128) {
    std::memcpy(to, from, count * sizeof(float));
    return;
  }
  for (; count >= kWidth; count -= kWidth, to += kWidth, from += kWidth)
    store<kWidth>(to, load<kWidth>(from));
  if constexpr (kWidth > 8)
    if (count & 8) store<8>(to, load<8>(from)), to += 8, from += 8;
  if constexpr (kWidth > 4)
    if (count & 4) store<4>(to, load<4>(from)), to += 4, from += 4;
  for (count &= 3; count > 0; --count) *to++ = *from++;
}

// Loads rows of W floats with stride `ld` into one vector, so that rows narrower than the machine's
// vectors are computed together in the time of one.
template <int W, int Rows>
inline Floats<W * Rows> load_rows(const float* from, int64_t ld) {
  if constexpr (Rows == 1) {
    return load<W>(from);
  } else {
    const auto low = load_rows<W, Rows / 2>(from, ld);
    const auto high = load_rows<W, Rows / 2>(from + Rows / 2 * ld, ld);
#if defined(__AVX512F__)
    if constexpr (W * Rows == 16)
      return (Floats<16>)_mm512_insertf32x8(_mm512_castps256_ps512((__m256)low), (__m256)high, 1);
#endif
#if defined(__AVX__)
    if constexpr (W * Rows == 8) return (Floats<8>)_mm256_set_m128((__m128)high, (__m128)low);
#endif
  }
}

template <int W, int Rows>
inline void store_rows(float* to, int64_t ld, Floats<W * Rows> v) {
  if constexpr (Rows == 1) {
    store<W>(to, v);
  } else {
    Floats<W * Rows / 2> halves[2];
    std::memcpy(halves, &v, sizeof v);
    store_rows<W, Rows / 2>(to, ld, halves[0]);
    store_rows<W, Rows / 2>(to + Rows / 2 * ld, ld, halves[1]);
  }
}

template <int W>
inline Floats<W> fill(float value) {
  return Floats<W>{} + value;
}

template <int W>
inline float sum(Floats<W> v) {
  if constexpr (W == 4) {
    return (v[0] + v[1]) + (v[2] + v[3]);
  } else {
    Floats<W / 2> halves[2];
    std::memcpy(halves, &v, sizeof v);
    return sum<W / 2>(halves[0] + halves[1]);
  }
}

// Clamps, and passes NaN on.  On AVX-512, GCC compiles the ternary to a comparison and a blend,
// although there is one instruction; this costs a seventh of the time of all activations.
template <int W>
inline Floats<W> clamp(Floats<W> x, float low, float high) {
#if defined(__AVX512F__)
  if constexpr (W == 16)
    return (Floats<W>)_mm512_min_ps(_mm512_set1_ps(high),
                                    _mm512_max_ps(_mm512_set1_ps(low), (__m512)x));
#endif
  x = x < low ? fill<W>(low) : x;
  return x > high ? fill<W>(high) : x;
}

// exp(x) as scale * (1 + rest), for x in [-87, 88].
//
// x = n ln 2 + r with |r| <= ln 2 / 2, scale = 2^n, and rest = exp(r) - 1 by a minimax polynomial
// with relative error 3e-9 before rounding. After rounding, exponentials have a relative error
// below 1e-6.
template <int W>
struct Exponential {
  Floats<W> scale, rest;
};

template <int W>
inline Exponential<W> split_exp(Floats<W> x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const Floats<W> shifted = x * 1.44269504088896f + kRound;
  const Floats<W> n = shifted - kRound;
  Floats<W> r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  Floats<W> p = r * 1.3814539880e-3f + 8.3687451271e-3f;
  p = p * r + 4.1668390790e-2f;
  p = p * r + 1.6666520399e-1f;
  p = p * r + 4.9999993432e-1f;
  Ints<W> bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000;
  Exponential<W> e;
  std::memcpy(&e.scale, &bits, sizeof bits);
  e.rest = p * r * r + r;
  return e;
}

template <int W>
inline Floats<W> exp(Floats<W> x) {
  const Exponential<W> e = split_exp<W>(clamp<W>(x, -87.0f, 88.0f));
  return e.scale * e.rest + e.scale;
}

// A quotient before its division, so that two quotients can share one division.
template <int W>
struct Quotient {
  Floats<W> above, below;
};

// 1 / (1 + exp(-x)); saturates at 2e-19, where the product of two denominators is still finite.
template <int W>
inline Quotient<W> sigmoid_quotient(Floats<W> x) {
  const Exponential<W> e = split_exp<W>(-clamp<W>(x, -43.0f, 43.0f));
  return {fill<W>(1.0f), e.scale * e.rest + (e.scale + 1.0f)};
}

// (exp(2x) - 1) / (exp(2x) + 1), with the difference computed without cancellation.
template <int W>
inline Quotient<W> tanh_quotient(Floats<W> x) {
  const Exponential<W> e = split_exp<W>(clamp<W>(x + x, -20.0f, 20.0f));
  const Floats<W> less_one = e.scale * e.rest + (e.scale - 1.0f);
  return {less_one, less_one + 2.0f};
}

template <int W>
inline Floats<W> divide(Quotient<W> q) {
  return q.above / q.below;
}

// Computes both quotients with one division.
template <int W>
inline void divide(Quotient<W> p, Quotient<W> q, Floats<W>& p_out, Floats<W>& q_out) {
  const Floats<W> r = 1.0f / (p.below * q.below);
  p_out = p.above * q.below * r;
  q_out = q.above * p.below * r;
}

}  // namespace REFOLD_VARIANT
}  // namespace refold
