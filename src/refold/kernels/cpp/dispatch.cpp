// Choice of the kernel variant at run time.
#include <cstdlib>
#include <cstring>

#include "lstm.h"

#if defined(_MSC_VER) && defined(__x86_64__)
// __builtin_cpu_supports needs this library, and clang++ for MSVC does not link it by default.
#pragma comment(lib, "clang_rt.builtins-x86_64.lib")
#endif

namespace refold {

namespace baseline {
extern const Variant kVariant;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Variant kVariant;
}
namespace avx512 {
extern const Variant kVariant;
}
#endif

namespace {

int64_t whole_lines(int64_t floats) { return (floats + 15) / 16 * 16; }

int64_t padded_units(int64_t units) {
  const int64_t remainder = units % 16;
  return units - remainder + (remainder == 0 ? 0 : remainder <= 4 ? 4 : remainder <= 8 ? 8 : 16);
}

}  // namespace

Layout::Layout(const Shape& shape)
    : units(padded_units(shape.units)),
      gate_row(odd_lines(4 * units)),
      forward_weights(4 * units * (shape.features + shape.units + 1)),
      backward_weights(4 * units * (whole_lines(shape.units) + whole_lines(shape.features))) {}

const NamedVariant* find_variant(const char* name) {
  struct Choice {
    NamedVariant named;
    bool runs;
  };
#if defined(__x86_64__)
  __builtin_cpu_init();
  static const Choice choices[] = {
      {{"avx512", &avx512::kVariant},
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma")},
      {{"avx2", &avx2::kVariant}, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
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

const NamedVariant* chosen_variant() {
  static const NamedVariant* named = find_variant(std::getenv("REFOLD_KERNEL"));
  return named;
}

}  // namespace refold
