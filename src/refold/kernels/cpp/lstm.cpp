// The LSTM for one instruction set: compiled once per variant, see simd.h.
#include "lstm.h"

#include "backward.h"
#include "forward.h"
#include "gradients.h"
#include "pages.h"
#include "pooling.h"
#include "products.h"

namespace refold {
namespace REFOLD_VARIANT {
namespace {

// Calls work with the activation as a compile-time constant.
template <typename Work>
void for_activation(Activation activation, const Work& work) {
  switch (activation) {
    case Activation::kTanh:
      return work(std::integral_constant<Activation, Activation::kTanh>());
    case Activation::kSigmoid:
      return work(std::integral_constant<Activation, Activation::kSigmoid>());
    case Activation::kRelu:
      return work(std::integral_constant<Activation, Activation::kRelu>());
    case Activation::kLinear:
      return work(std::integral_constant<Activation, Activation::kLinear>());
  }
}

template <typename Pass>
void run_groups(const Pass& pass, const Call& call, const Plan& plan, const Pool& pool) {
  // The state of a group stays in the cache. Groups never wait for each other between steps.
  constexpr int64_t kGroup = 96;
  const int64_t groups = std::max(pool.threads, (call.shape.batch + kGroup - 1) / kGroup);
  const auto bounds = plan.cut(std::min(groups, call.shape.batch));
  for_activation(call.activation, [&](auto activation) {
    for_activation(call.recurrent_activation, [&](auto recurrent) {
      parallel(pool, static_cast<int64_t>(bounds.size()) - 1, [&](int64_t group) {
        pass.template run<decltype(activation)::value, decltype(recurrent)::value>(
            bounds[group], bounds[group + 1]);
      });
    });
  });
}

// The pool, or one thread if the call has little work.
Pool pool_for_work(const Pool& pool, const Call& call, const Plan& plan) {
  return pool_for_work(pool, static_cast<double>(plan.rows()) * 4.0 * call.shape.units *
                                 (call.shape.features + call.shape.units));
}

void forward(const Forward& call, const Pool& all) {
  const Plan plan(call);
  const Layout layout(call.shape);
  const int64_t rows = call.rows();
  prefer_large_pages(call.gates, rows * layout.gate_row);
  prefer_large_pages(call.cells, rows * layout.units);
  if (call.ld_outputs == call.shape.units) prefer_large_pages(call.outputs, rows * call.ld_outputs);
  const Pool pool = pool_for_work(all, call, plan);
  run_groups(ForwardPass(call, plan, pool), call, plan, pool);
}

void backward(const Backward& call, const Pool& all) {
  const Plan plan(call);
  const Pool pool = pool_for_work(all, call, plan);
  const BackwardOrder order(call.packed || call.d_x ? call.shape.features : 0, call.shape.units);
  const Buffer packed_storage(call.packed ? 0 : order.layout().backward_weights);
  if (!call.packed)
    order.pack({order.features(), call.shape.units, call.kernel, call.recurrent, nullptr}, pool,
               packed_storage);
  const float* packed = call.packed ? call.packed : packed_storage;
  const InputGradient by_input(call, plan, order, packed);
  run_groups(BackwardPass(call, plan, order, packed, by_input), call, plan, pool);
  const WeightGradient by_weights(call, plan, pool);
  const int64_t tiles = by_weights.items();
  parallel(pool, tiles + by_input.items(), [&](int64_t item) {
    if (item < tiles)
      by_weights.run(item);
    else
      by_input.run(item - tiles);
  });
}

void pack_forward(const Weights& weights, float* to) {
  ForwardOrder({1, 1, weights.features, weights.units}).pack(weights, {}, to);
}

void pack_backward(const Weights& weights, float* to) {
  BackwardOrder(weights.features, weights.units).pack(weights, {}, to);
}

template <typename Function>
void map(const float* x, float* y, int64_t count, const Function& function) {
  for (int64_t i = 0; i < count; i += kWidth) {
    float in[kWidth] = {}, out[kWidth];
    const size_t bytes = std::min<int64_t>(kWidth, count - i) * sizeof(float);
    std::memcpy(in, x + i, bytes);
    store<kWidth>(out, function(load<kWidth>(in)));
    std::memcpy(y + i, out, bytes);
  }
}

void map_exp(const float* x, float* y, int64_t count) { map(x, y, count, exp<kWidth>); }
void map_sigmoid(const float* x, float* y, int64_t count) {
  map(x, y, count, activate<Activation::kSigmoid, kWidth>);
}
void map_tanh(const float* x, float* y, int64_t count) {
  map(x, y, count, activate<Activation::kTanh, kWidth>);
}

}  // namespace

extern const Variant kVariant{
    forward,       backward,      pack_forward, pack_backward, product,
    linear_encode, linear_decode, segment_sum,  segment_max,   pooled_convolutions,
    pooled_runs,   map_exp,       map_sigmoid,  map_tanh};

}  // namespace REFOLD_VARIANT
}  // namespace refold
