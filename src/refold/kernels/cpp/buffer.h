// Scratch memory of a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace refold {

// Uninitialized floats, aligned to a cache line. Nothing is cleared, neither here nor in the
// residuals: padded units and the rows of masked steps hold any number. jax_debug_nans inspects all
// results, and may report NaN in such memory if a gradient is computed outside of jit.
class Buffer {
 public:
  explicit Buffer(int64_t count)
      : floats_(static_cast<float*>(
            ::operator new(static_cast<size_t>(count > 0 ? count : 1) * sizeof(float), kLine))) {}
  operator float*() const { return floats_.get(); }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(float* floats) const { ::operator delete(floats, kLine); }
  };
  std::unique_ptr<float, Free> floats_;
};

}  // namespace refold
