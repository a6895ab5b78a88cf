// One step of one sequence between the products: gates, state and output, and back.
#pragma once

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

// Two at once: exponentials share a division.
template <Activation A, Activation B, int W>
inline void activate(Floats<W> x, Floats<W> y, Floats<W>& x_out, Floats<W>& y_out) {
  constexpr bool kDivide = (A == Activation::kTanh || A == Activation::kSigmoid) &&
                           (B == Activation::kTanh || B == Activation::kSigmoid);
  if constexpr (kDivide) {
    Quotient<W> p, q;
    if constexpr (A == Activation::kTanh) p = tanh_quotient<W>(x); else p = sigmoid_quotient<W>(x);
    if constexpr (B == Activation::kTanh) q = tanh_quotient<W>(y); else q = sigmoid_quotient<W>(y);
    divide<W>(p, q, x_out, y_out);
  } else {
    x_out = activate<A, W>(x);
    y_out = activate<B, W>(y);
  }
}

// The derivative, from the activation's value.
template <Activation A, int W>
inline Floats<W> slope(Floats<W> y) {
  if constexpr (A == Activation::kTanh) return 1.0f - y * y;
  if constexpr (A == Activation::kSigmoid) return y - y * y;
  if constexpr (A == Activation::kRelu) return y > 0.0f ? fill<W>(1.0f) : fill<W>(0.0f);
  return fill<W>(1.0f);
}

// A block of W units of some sequences: `sums` are the gates' weighted sums, overwritten by the
// gates.  Two loops, because a row's whole chain of exponentials is too long to overlap with the
// next row's.
template <Activation A, Activation R, int W>
inline void cell_forward(int64_t rows, float* sums, int64_t ld_sums, float* c, float* h,
                         int64_t ld) {
  for (int64_t r = 0; r < rows; ++r) {
    float* gates = sums + r * ld_sums;
    Floats<W> input, forget, candidate, output;
    activate<R, R, W>(load<W>(gates), load<W>(gates + W), input, forget);
    activate<A, R, W>(load<W>(gates + 2 * W), load<W>(gates + 3 * W), candidate, output);
    store<W>(c + r * ld, forget * load<W>(c + r * ld) + input * candidate);
    store<W>(gates, input);
    store<W>(gates + W, forget);
    store<W>(gates + 2 * W, candidate);
    store<W>(gates + 3 * W, output);
  }
  for (int64_t r = 0; r < rows; ++r)
    store<W>(h + r * ld, load<W>(sums + r * ld_sums + 3 * W) * activate<A, W>(load<W>(c + r * ld)));
}

// From the gates to the gradients by their sums; dc goes from this step to the one before.
template <Activation A, Activation R, int W>
inline void cell_backward(const float* gates, float* d_sums, const float* c_before, const float* c, const float* dh,
                          float* dc) {
  const Floats<W> input = load<W>(gates), forget = load<W>(gates + W);
  const Floats<W> candidate = load<W>(gates + 2 * W), output = load<W>(gates + 3 * W);
  const Floats<W> squashed = activate<A, W>(load<W>(c));
  const Floats<W> d_output = load<W>(dh);
  const Floats<W> d_state = load<W>(dc) + d_output * output * slope<A, W>(squashed);
  store<W>(d_sums, d_state * candidate * slope<R, W>(input));
  store<W>(d_sums + W, d_state * load<W>(c_before) * slope<R, W>(forget));
  store<W>(d_sums + 2 * W, d_state * input * slope<A, W>(candidate));
  store<W>(d_sums + 3 * W, d_output * squashed * slope<R, W>(output));
  store<W>(dc, d_state * forget);
}

}  // namespace REFOLD_VARIANT
}  // namespace refold
