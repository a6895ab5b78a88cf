// The variants that were built, and the choice among them when the library is used.
#include <cstring>

#include "lstm.h"

namespace refold {

namespace baseline { extern const Variant kVariant; }
#if defined(__x86_64__)
namespace avx2 { extern const Variant kVariant; }
namespace avx512 { extern const Variant kVariant; }
#endif

namespace {

int64_t padded(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

// An odd number of cache lines: rows of a multiple of 4096 bytes would share few places in a cache.
int64_t odd_lines(int64_t floats) {
  const int64_t lines = padded(floats, 16) / 16;
  return 16 * (lines | 1);
}

int64_t padded_units(int64_t units) {
  const int64_t rest = units % 16;
  return units - rest + (rest == 0 ? 0 : rest <= 4 ? 4 : rest <= 8 ? 8 : 16);
}

constexpr int64_t kKeptFeatures = 128;

}  // namespace

Layout::Layout(const Shape& shape)
    : units(padded_units(shape.units)),
      inputs(shape.features <= kKeptFeatures ? shape.features : 0),
      input_row(odd_lines(inputs + shape.units + 1)),
      gate_row(odd_lines(4 * units)) {}

const Named* find_variant(const char* name) {
  struct Choice {
    Named named;
    bool runs;
  };
#if defined(__x86_64__)
  __builtin_cpu_init();
  static const Choice choices[] = {
      {{"avx512", &avx512::kVariant},
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma")},
      {{"avx2", &avx2::kVariant},
       __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
      {{"x86-64", &baseline::kVariant}, true},
  };
#elif defined(__aarch64__)
  static const Choice choices[] = {{{"neon", &baseline::kVariant}, true}};
#else
  static const Choice choices[] = {{{"plain", &baseline::kVariant}, true}};
#endif
  for (const Choice& choice : choices)
    if (choice.runs && (!name || !*name || !std::strcmp(name, choice.named.name)))
      return &choice.named;
  return nullptr;
}

}  // namespace refold
