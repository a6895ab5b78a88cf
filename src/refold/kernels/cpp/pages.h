// Large memory pages for large arrays.
#pragma once

#include <cstdint>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace refold {

// Requests large pages for `count` floats before they are written for the first time.  Fresh memory
// costs one page fault per page, which took a sixth of the time of a call that needed tens of
// megabytes.  The result does not depend on the request.
inline void prefer_large_pages([[maybe_unused]] float* floats, [[maybe_unused]] int64_t count) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kLarge = 1 << 21;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  // Round outwards to whole pages, so that adjacent arrays form one range.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(floats) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(floats + count) + page - 1) / page * page;
  if (floats && end - begin >= 2 * kLarge)
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace refold
