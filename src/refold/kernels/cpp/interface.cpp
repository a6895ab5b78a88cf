// The C symbols that ctypes calls.  They need no header of XLA.
//
// Functions that allocate memory return 0, or 1 if there is not enough.
#include <cmath>
#include <new>
#include <optional>

#include "buffer.h"
#include "lstm.h"

namespace {

// The functions of the variant that runs.
const refold::Variant& functions() { return *refold::chosen_variant()->variant; }

// Calls work(pool); returns 1 if there was not enough memory, and else 0.
template <typename Work>
int run_with_threads(int64_t threads, const Work& work) {
  try {
    refold::CallThreads call_threads(threads);
    work(call_threads.pool());
  } catch (const std::bad_alloc&) {
    return 1;
  }
  return 0;
}

// Sets the arguments that both passes have.
void fill_call(refold::Call& call, int64_t sequences, int64_t features, int64_t units,
               const int64_t* offsets, bool go_backwards) {
  call.shape = {sequences, 0, features, units};
  call.activation = refold::Activation::kTanh;
  call.recurrent_activation = refold::Activation::kSigmoid;
  call.go_backwards = go_backwards;
  call.offsets = offsets;
}

}  // namespace

// Returns the name of the variant that runs, or null if none can run.
REFOLD_EXPORT const char* refold_variant() {
  const refold::NamedVariant* named = refold::chosen_variant();
  return named ? named->name : nullptr;
}

// Returns whether the variant was built and this machine can run it.
REFOLD_EXPORT int refold_supported(const char* name) {
  return refold::find_variant(name) != nullptr;
}

// Writes the lengths of a ranked row of gates, of a ranked row of cells, and of the weights that
// refold_pack_lstm and refold_pack_lstm_gradient write.
REFOLD_EXPORT void refold_lstm_layout(int64_t features, int64_t units, int64_t* lengths) {
  const refold::Layout layout({1, 1, features, units});
  lengths[0] = layout.gate_row;
  lengths[1] = layout.units;
  lengths[2] = layout.forward_weights;
  lengths[3] = layout.backward_weights;
}

REFOLD_EXPORT void refold_exp(const float* x, float* y, int64_t count) {
  functions().exp(x, y, count);
}
REFOLD_EXPORT void refold_sigmoid(const float* x, float* y, int64_t count) {
  functions().sigmoid(x, y, count);
}
REFOLD_EXPORT void refold_tanh(const float* x, float* y, int64_t count) {
  functions().tanh(x, y, count);
}

// The distribution function of the standard normal distribution.
REFOLD_EXPORT void refold_normal_cdf(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    y[i] = static_cast<float>(0.5 * std::erfc(-x[i] * 0.70710678118654752));
}

// Packs the weights of an LSTM for refold_lstm_forward.  `packed` is aligned to a cache line.
REFOLD_EXPORT int refold_pack_lstm(int64_t features, int64_t units, const float* kernel,
                                   const float* recurrent, const float* bias, float* packed) {
  return run_with_threads(1, [&](const refold::Pool&) {
    functions().pack_forward({features, units, kernel, recurrent, bias}, packed);
  });
}

// Packs the weights of an LSTM for refold_lstm_backward.  `features` are those whose gradient is
// needed, and `packed` is aligned to a cache line.
REFOLD_EXPORT int refold_pack_lstm_gradient(int64_t features, int64_t units, const float* kernel,
                                            const float* recurrent, float* packed) {
  return run_with_threads(1, [&](const refold::Pool&) {
    functions().pack_backward({features, units, kernel, recurrent, nullptr}, packed);
  });
}

// Runs an LSTM with Keras's default activations over packed rows.  `sequence_sums` and `step_sums`
// take the place of the bias, see lstm.h; or both are null.  `gates` (rows, gate_row) and `cells`
// (rows, units) are for refold_lstm_backward, or both null.
REFOLD_EXPORT int refold_lstm_forward(int64_t sequences, int64_t features, int64_t units,
                                      const int64_t* offsets, const float* x, int64_t ld_x,
                                      const float* sequence_sums, const float* step_sums,
                                      const float* packed, const float* h0, const float* c0,
                                      int go_backwards, float* outputs, int64_t ld_outputs,
                                      float* h, float* c, float* gates, float* cells,
                                      int64_t threads) {
  return run_with_threads(threads, [&](const refold::Pool& pool) {
    refold::Forward call;
    fill_call(call, sequences, features, units, offsets, go_backwards);
    call.ld_x = ld_x;
    call.ld_outputs = ld_outputs;
    call.x = x;
    call.kernel = call.recurrent = call.bias = nullptr;
    call.sequence_sums = sequence_sums;
    call.step_sums = step_sums;
    call.packed = packed;
    call.h0 = h0;
    call.c0 = c0;
    call.outputs = outputs;
    call.repeat = false;
    call.h = h;
    call.c = c;
    call.gates = gates;
    call.cells = cells;
    functions().forward(call, pool);
  });
}

// Computes gradients of refold_lstm_forward.  It reads the gradients of the outputs and of the last
// state (null for zeros).  It writes those of the first features of the input (`d_x`, or null), of
// `sequence_sums` (`d_sequence_sums`, or null) and of the initial state.
REFOLD_EXPORT int refold_lstm_backward(int64_t sequences, int64_t features, int64_t units,
                                       const int64_t* offsets, const float* packed, const float* c0,
                                       int go_backwards, const float* gates, const float* cells,
                                       const float* d_outputs, int64_t ld_outputs, const float* d_h,
                                       const float* d_c, float* d_x, int64_t ld_x,
                                       float* d_sequence_sums, float* d_h0, float* d_c0,
                                       int64_t threads) {
  return run_with_threads(threads, [&](const refold::Pool& pool) {
    refold::Backward call;
    fill_call(call, sequences, features, units, offsets, go_backwards);
    std::optional<refold::Buffer> d_sums;
    if (d_x && !refold::gradient_at_once(call.shape))
      d_sums.emplace(call.rows() * refold::Layout(call.shape).gate_row);
    call.ld_x = ld_x;
    call.ld_outputs = ld_outputs;
    call.x = nullptr;
    call.kernel = call.recurrent = nullptr;
    call.packed = packed;
    call.h0 = nullptr;
    call.c0 = c0;
    call.outputs = nullptr;
    call.cells = cells;
    call.activated = gates;
    call.gates = d_sums ? static_cast<float*>(*d_sums) : nullptr;
    call.d_outputs = d_outputs;
    call.d_h = d_h;
    call.d_c = d_c;
    call.d_x = d_x;
    call.d_sequence_sums = d_sequence_sums;
    call.d_kernel = call.d_recurrent = call.d_bias = nullptr;
    call.d_h0 = d_h0;
    call.d_c0 = d_c0;
    functions().backward(call, pool);
  });
}

// The arguments of the following functions are those of the structures in packed.h.

REFOLD_EXPORT int refold_product(int64_t rows, int64_t depth, int64_t width, const float* x,
                                 int64_t ld_x, const float* w, int64_t ld_w, const float* start,
                                 int64_t ld_start, float* y, int64_t ld_y, int64_t threads) {
  return run_with_threads(threads, [&](const refold::Pool& pool) {
    functions().product({rows, depth, width, x, ld_x, w, ld_w, start, ld_start, y, ld_y}, pool);
  });
}

REFOLD_EXPORT int refold_linear_encode(int64_t sequences, int64_t channels, int64_t width,
                                       int64_t max_steps, const int64_t* offsets, const float* x,
                                       const float* w, const float* start, int64_t ld_start,
                                       float* y, int64_t threads) {
  return run_with_threads(threads, [&](const refold::Pool& pool) {
    functions().linear_encode(
        {sequences, channels, width, max_steps, offsets, x, w, start, ld_start, y}, pool);
  });
}

REFOLD_EXPORT int refold_linear_decode(int64_t sequences, int64_t depth, int64_t width,
                                       int64_t max_steps, const int64_t* offsets, const float* x,
                                       const float* w, const float* start, float* y,
                                       int64_t threads) {
  return run_with_threads(threads, [&](const refold::Pool& pool) {
    functions().linear_decode({sequences, depth, width, max_steps, offsets, x, w, start, y}, pool);
  });
}

REFOLD_EXPORT void refold_segment_sum(int64_t sequences, int64_t width, const int64_t* offsets,
                                      const float* x, int64_t ld_x, float* y) {
  functions().segment_sum({sequences, width, offsets, x, ld_x, y});
}

REFOLD_EXPORT void refold_segment_max(int64_t sequences, int64_t width, const int64_t* offsets,
                                      const float* x, int64_t ld_x, float* y) {
  functions().segment_max({sequences, width, offsets, x, ld_x, y});
}

REFOLD_EXPORT int refold_pooled_convolutions(int64_t sequences, int64_t kernels,
                                             const int64_t* offsets, const float* x, int64_t ld_x,
                                             const float* taps, const float* bias, int64_t num_taps,
                                             int64_t dilation, int64_t stride, float steepness,
                                             float* positive, float* highest, int64_t threads) {
  return run_with_threads(threads, [&](const refold::Pool& pool) {
    functions().pooled_convolutions({sequences, kernels, offsets, x, ld_x, taps, bias, num_taps,
                                     dilation, stride, steepness, positive, highest},
                                    pool);
  });
}

REFOLD_EXPORT int refold_pooled_runs(int64_t sequences, int64_t kernels, const int64_t* offsets,
                                     const float* x, int64_t ld_x, const float* taps,
                                     const float* bias, int64_t num_taps, int64_t dilation,
                                     float margin, float* share, float* mean_position,
                                     float* longest, int64_t threads) {
  return run_with_threads(threads, [&](const refold::Pool& pool) {
    functions().pooled_runs({sequences, kernels, offsets, x, ld_x, taps, bias, num_taps, dilation,
                             margin, share, mean_position, longest},
                            pool);
  });
}
