// The C symbols that JAX calls.
#include "xla/ffi/api/ffi.h"

#include <exception>
#include <string>

#include "lstm.h"

namespace ffi = xla::ffi;

namespace refold {
namespace {

using Floats = ffi::Buffer<ffi::F32>;
using Flags = ffi::Buffer<ffi::PRED>;
using Result = ffi::Result<Floats>;

// An empty buffer means that the argument or result is absent.
float* data_or_null(Floats buffer) {
  return buffer.element_count() ? buffer.typed_data() : nullptr;
}

// Sets the arguments that both passes have, and checks their shapes.
ffi::Error fill_call(Call& call, Floats x, Floats kernel, Floats recurrent, Floats h, Floats c,
                     Flags mask, int32_t activation, int32_t recurrent_activation,
                     bool go_backwards) {
  const auto input = x.dimensions(), state = h.dimensions();
  if (input.size() != 3 || state.size() != 2)
    return ffi::Error::InvalidArgument("x must be (B, T, F) and h must be (B, H)");
  call.shape = {input[0], input[1], input[2], state[1]};
  const auto [batch, steps, features, units] = call.shape;
  const auto is = [](int64_t count, int64_t expected) { return count == expected; };
  if (!is(kernel.element_count(), features * 4 * units) ||
      !is(recurrent.element_count(), units * 4 * units) || !is(state[0], batch) ||
      !is(c.element_count(), batch * units) ||
      !(is(mask.element_count(), batch * steps) || is(mask.element_count(), 0)))
    return ffi::Error::InvalidArgument("shapes of the LSTM's arguments do not fit each other");
  call.activation = static_cast<Activation>(activation);
  call.recurrent_activation = static_cast<Activation>(recurrent_activation);
  call.go_backwards = go_backwards;
  call.ld_x = features;
  call.ld_outputs = units;
  call.x = x.typed_data();
  call.kernel = kernel.typed_data();
  call.recurrent = recurrent.typed_data();
  call.h0 = h.typed_data();
  call.c0 = c.typed_data();
  call.mask = mask.element_count() ? reinterpret_cast<const uint8_t*>(mask.typed_data()) : nullptr;
  return ffi::Error::Success();
}

// Calls work(variant, pool) with the threads of JAX; an exception becomes an error.
template <typename Work>
ffi::Error run_with_pool(ffi::ThreadPool& threads, const Work& work) {
  const NamedVariant* named = chosen_variant();
  if (!named) return ffi::Error::Internal("no variant of the LSTM runs on this machine");
  const Pool pool{threads.num_threads(),
                  [&](std::function<void()> task) { threads.Schedule(std::move(task)); }};
  try {
    work(*named->variant, pool);
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string("the LSTM stopped: ") + error.what());
  }
  return ffi::Error::Success();
}

ffi::Error forward(ffi::ThreadPool threads, Floats x, Floats kernel, Floats recurrent, Floats bias,
                   Floats h, Floats c, Flags mask, Result outputs, Result last_h, Result last_c,
                   Result gates, Result cells, int32_t activation, int32_t recurrent_activation,
                   bool go_backwards, bool return_sequences) {
  Forward call;
  ffi::Error error = fill_call(call, x, kernel, recurrent, h, c, mask, activation,
                               recurrent_activation, go_backwards);
  if (error.failure()) return error;
  call.bias = bias.typed_data();
  call.outputs = data_or_null(*outputs);
  call.h = last_h->typed_data();
  call.c = last_c->typed_data();
  call.repeat = return_sequences;
  call.gates = data_or_null(*gates);
  call.cells = data_or_null(*cells);
  return run_with_pool(
      threads, [&](const Variant& variant, const Pool& pool) { variant.forward(call, pool); });
}

ffi::Error backward(ffi::ThreadPool threads, Floats x, Floats kernel, Floats recurrent, Floats h,
                    Floats c, Flags mask, Floats outputs, Floats gates, Floats cells,
                    Floats d_outputs, Floats d_h, Floats d_c, Result d_x, Result d_kernel,
                    Result d_recurrent, Result d_bias, Result d_h0, Result d_c0, Result d_sums,
                    int32_t activation, int32_t recurrent_activation, bool go_backwards) {
  Backward call;
  ffi::Error error = fill_call(call, x, kernel, recurrent, h, c, mask, activation,
                               recurrent_activation, go_backwards);
  if (error.failure()) return error;
  call.outputs = outputs.typed_data();
  call.activated = gates.typed_data();
  call.cells = cells.typed_data();
  call.gates = d_sums->typed_data();
  call.d_outputs = data_or_null(d_outputs);
  call.d_h = d_h.typed_data();
  call.d_c = d_c.typed_data();
  call.d_x = data_or_null(*d_x);
  call.d_kernel = d_kernel->typed_data();
  call.d_recurrent = d_recurrent->typed_data();
  call.d_bias = d_bias->typed_data();
  call.d_h0 = d_h0->typed_data();
  call.d_c0 = d_c0->typed_data();
  return run_with_pool(
      threads, [&](const Variant& variant, const Pool& pool) { variant.backward(call, pool); });
}

}  // namespace
}  // namespace refold

REFOLD_EXPORT XLA_FFI_Error* RefoldLstmForward(XLA_FFI_CallFrame* frame);
REFOLD_EXPORT XLA_FFI_Error* RefoldLstmBackward(XLA_FFI_CallFrame* frame);

XLA_FFI_DEFINE_HANDLER_SYMBOL(RefoldLstmForward, refold::forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<refold::Floats>()  // x
                                  .Arg<refold::Floats>()  // kernel
                                  .Arg<refold::Floats>()  // recurrent kernel
                                  .Arg<refold::Floats>()  // bias
                                  .Arg<refold::Floats>()  // h
                                  .Arg<refold::Floats>()  // c
                                  .Arg<refold::Flags>()   // mask
                                  .Ret<refold::Floats>()  // outputs
                                  .Ret<refold::Floats>()  // h
                                  .Ret<refold::Floats>()  // c
                                  .Ret<refold::Floats>()  // gates, ranked
                                  .Ret<refold::Floats>()  // cells, ranked
                                  .Attr<int32_t>("activation")
                                  .Attr<int32_t>("recurrent_activation")
                                  .Attr<bool>("go_backwards")
                                  .Attr<bool>("return_sequences"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(RefoldLstmBackward, refold::backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<refold::Floats>()  // x
                                  .Arg<refold::Floats>()  // kernel
                                  .Arg<refold::Floats>()  // recurrent kernel
                                  .Arg<refold::Floats>()  // h
                                  .Arg<refold::Floats>()  // c
                                  .Arg<refold::Flags>()   // mask
                                  .Arg<refold::Floats>()  // outputs
                                  .Arg<refold::Floats>()  // gates, ranked
                                  .Arg<refold::Floats>()  // cells, ranked
                                  .Arg<refold::Floats>()  // gradient of outputs
                                  .Arg<refold::Floats>()  // gradient of h
                                  .Arg<refold::Floats>()  // gradient of c
                                  .Ret<refold::Floats>()  // gradient of x
                                  .Ret<refold::Floats>()  // gradient of kernel
                                  .Ret<refold::Floats>()  // gradient of recurrent kernel
                                  .Ret<refold::Floats>()  // gradient of bias
                                  .Ret<refold::Floats>()  // gradient of the initial h
                                  .Ret<refold::Floats>()  // gradient of the initial c
                                  .Ret<refold::Floats>()  // gradient of the pre-activations, ranked
                                  .Attr<int32_t>("activation")
                                  .Attr<int32_t>("recurrent_activation")
                                  .Attr<bool>("go_backwards"));
