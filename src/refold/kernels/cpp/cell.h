// The element-wise part of a step, forward and backward: gates, cell state and output.
#pragma once

#include <type_traits>

#include "lstm.h"
#include "simd.h"

namespace refold {
namespace REFOLD_VARIANT {

template <Activation A, int W>
inline Floats<W> activate(Floats<W> x) {
  if constexpr (A == Activation::kTanh) return divide<W>(tanh_quotient<W>(x));
  if constexpr (A == Activation::kSigmoid) return divide<W>(sigmoid_quotient<W>(x));
  if constexpr (A == Activation::kRelu) return x < 0.0f ? fill<W>(0.0f) : x;
  return x;
}

// Two activations at once, because two exponentials can share a division.
template <Activation A, Activation B, int W>
inline void activate(Floats<W> x, Floats<W> y, Floats<W>& x_out, Floats<W>& y_out) {
  constexpr bool kDivide = (A == Activation::kTanh || A == Activation::kSigmoid) &&
                           (B == Activation::kTanh || B == Activation::kSigmoid);
  if constexpr (kDivide) {
    Quotient<W> p, q;
    if constexpr (A == Activation::kTanh)
      p = tanh_quotient<W>(x);
    else
      p = sigmoid_quotient<W>(x);
    if constexpr (B == Activation::kTanh)
      q = tanh_quotient<W>(y);
    else
      q = sigmoid_quotient<W>(y);
    divide<W>(p, q, x_out, y_out);
  } else {
    x_out = activate<A, W>(x);
    y_out = activate<B, W>(y);
  }
}

// The derivative of an activation, computed from the activation's value.
template <Activation A, int W>
inline Floats<W> slope(Floats<W> y) {
  if constexpr (A == Activation::kTanh) return 1.0f - y * y;
  if constexpr (A == Activation::kSigmoid) return y - y * y;
  if constexpr (A == Activation::kRelu) return y > 0.0f ? fill<W>(1.0f) : fill<W>(0.0f);
  return fill<W>(1.0f);
}

// Number of rows of W units that fill one vector register and are computed together.
template <int W>
constexpr int64_t kRowsPerRegister = kWidth / W;

// Calls work(row, std::integral_constant<int, Rows>): first with as many rows as fill a vector
// register, then with the remaining rows one by one.
template <int W, typename Work>
inline void for_register_rows(int64_t rows, const Work& work) {
  constexpr int kRows = kRowsPerRegister<W>;
  int64_t row = 0;
  if constexpr (kRows > 1)
    for (; row + kRows <= rows; row += kRows) work(row, std::integral_constant<int, kRows>());
  for (; row < rows; ++row) work(row, std::integral_constant<int, 1>());
}

// Computes a block of W units, and overwrites its pre-activations `sums` with the gates.  There are
// two loops, because the chain of exponentials of one row is too long to overlap with the next row.
template <Activation A, Activation R, int W>
inline void cell_forward(int64_t rows, float* sums, int64_t ld_sums, float* c, float* h,
                         int64_t ld) {
  for_register_rows<W>(rows, [&](int64_t r, auto together) {
    constexpr int N = decltype(together)::value, V = N * W;
    float* gates = sums + r * ld_sums;
    const auto gate = [&](int i) { return load_rows<W, N>(gates + i * W, ld_sums); };
    Floats<V> input, forget, candidate, output;
    activate<R, R, V>(gate(0), gate(1), input, forget);
    activate<A, R, V>(gate(2), gate(3), candidate, output);
    const Floats<V> state = forget * load_rows<W, N>(c + r * ld, ld) + input * candidate;
    store_rows<W, N>(c + r * ld, ld, state);
    store_rows<W, N>(gates, ld_sums, input);
    store_rows<W, N>(gates + W, ld_sums, forget);
    store_rows<W, N>(gates + 2 * W, ld_sums, candidate);
    store_rows<W, N>(gates + 3 * W, ld_sums, output);
  });
  for_register_rows<W>(rows, [&](int64_t r, auto together) {
    constexpr int N = decltype(together)::value, V = N * W;
    const Floats<V> output = load_rows<W, N>(sums + r * ld_sums + 3 * W, ld_sums);
    store_rows<W, N>(h + r * ld, ld, output * activate<A, V>(load_rows<W, N>(c + r * ld, ld)));
  });
}

// Computes the gradients of the pre-activations from the gates, and changes dc from the gradient of
// c to that of c_before. The row stride is ld_gates for gates and d_sums, ld_dh for dh, and ld for
// the others.
template <Activation A, Activation R, int W>
inline void cell_backward(int64_t rows, const float* gates, float* d_sums, int64_t ld_gates,
                          const float* c_before, const float* c, float* dc, int64_t ld,
                          const float* dh, int64_t ld_dh) {
  for_register_rows<W>(rows, [&](int64_t r, auto together) {
    constexpr int N = decltype(together)::value, V = N * W;
    const auto gate = [&](int i) {
      return load_rows<W, N>(gates + r * ld_gates + i * W, ld_gates);
    };
    const auto write = [&](int i, Floats<V> v) {
      store_rows<W, N>(d_sums + r * ld_gates + i * W, ld_gates, v);
    };
    const Floats<V> input = gate(0), forget = gate(1), candidate = gate(2), output = gate(3);
    const Floats<V> activated_c = activate<A, V>(load_rows<W, N>(c + r * ld, ld));
    const Floats<V> d_output = load_rows<W, N>(dh + r * ld_dh, ld_dh);
    const Floats<V> d_state =
        load_rows<W, N>(dc + r * ld, ld) + d_output * output * slope<A, V>(activated_c);
    write(0, d_state * candidate * slope<R, V>(input));
    write(1, d_state * load_rows<W, N>(c_before + r * ld, ld) * slope<R, V>(forget));
    write(2, d_state * input * slope<A, V>(candidate));
    write(3, d_output * activated_c * slope<R, V>(output));
    store_rows<W, N>(dc + r * ld, ld, d_state * forget);
  });
}

}  // namespace REFOLD_VARIANT
}  // namespace refold
