// Large arrays on large pages.
#pragma once

#include <cstdint>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace refold {

// Asks for large pages under `count` floats that are about to be written for the first time.
// Memory that the C library takes from the system anew for every call costs a fault a page:
// where a call needs tens of megabytes, a sixth of its time.  A request; nothing hangs on it.
inline void prefer_large_pages([[maybe_unused]] float* floats, [[maybe_unused]] int64_t count) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kLarge = 1 << 21;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  // Outwards to whole pages, so that neighbours in one block of memory make one range.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(floats) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(floats + count) + page - 1) / page * page;
  if (floats && end - begin >= 2 * kLarge)
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace refold
