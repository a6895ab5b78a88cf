// Work shared between threads of a pool that belongs to somebody else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

namespace refold {

// A pool as the kernels see it: how many threads may work (the caller among them), and a way to
// hand it a task that may start at any time, or only after the call that scheduled it is over.
struct Pool {
  int64_t threads = 1;
  std::function<void(std::function<void()>)> schedule;
};

// Runs work(0) ... work(items - 1), each once, and returns when all are done; throws what an
// item threw.
//
// Items are claimed from one counter, by tasks of the pool and by the caller.  The caller waits
// for items that are claimed, never for a task that has not started, so that any number of calls
// may share a pool that has no free thread.
inline void parallel(const Pool& pool, int64_t items, const std::function<void(int64_t)>& work) {
  const int64_t helpers = (pool.threads < items ? pool.threads : items) - 1;
  if (helpers <= 0) {
    for (int64_t item = 0; item < items; ++item) work(item);
    return;
  }
  struct Job {
    std::atomic<int64_t> next{0};
    std::atomic<int64_t> done{0};
    std::exception_ptr error;
    std::mutex mutex;
    std::condition_variable all_done;
  };
  auto job = std::make_shared<Job>();
  // A task that starts late finds no item left and touches nothing of the caller's.
  auto run = [job, items, &work] {
    for (int64_t item; (item = job->next.fetch_add(1)) < items;) {
      try {
        work(item);
      } catch (...) {
        std::lock_guard<std::mutex> lock(job->mutex);
        job->error = std::current_exception();
      }
      if (job->done.fetch_add(1) + 1 == items) {
        std::lock_guard<std::mutex> lock(job->mutex);
        job->all_done.notify_all();
      }
    }
  };
  for (int64_t helper = 0; helper < helpers; ++helper) pool.schedule(run);
  run();
  for (int spin = 0; spin < 4000 && job->done.load() < items; ++spin) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  std::unique_lock<std::mutex> lock(job->mutex);
  job->all_done.wait(lock, [&] { return job->done.load() == items; });
  if (job->error) std::rethrow_exception(job->error);
}

}  // namespace refold
