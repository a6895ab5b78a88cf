// Work shared between the threads of a pool.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace refold {

// A thread pool: the number of threads that may work, including the caller, and a function that
// schedules a task.  A task may start at any time, even after the call that scheduled it returned.
struct Pool {
  int64_t threads = 1;
  std::function<void(std::function<void()>)> schedule;
  double min_work = 2e5;  // multiplications that take as long as waking up a thread
};

// The pool, or one thread if the caller would be done before another thread wakes up.
inline Pool pool_for_work(const Pool& pool, double multiplications) {
  return multiplications < pool.min_work ? Pool{} : pool;
}

// Runs work(0) ... work(items - 1), each once, and returns when all are done.  Rethrows an
// exception of an item.
//
// Pool tasks and the caller claim items from one counter.  The caller waits only for claimed items,
// never for a task that has not started, so that any number of calls can share a pool that has no
// free thread.
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
  // A task that starts late finds no item left and does not touch the caller's data.
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

// Threads of one call, which start when there is work and have ended when the call returns, so that
// a process can fork between calls.
class CallThreads {
 public:
  explicit CallThreads(int64_t threads) : threads_(threads) {}
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;
  ~CallThreads() {
    for (std::thread& thread : running_) thread.join();
  }

  Pool pool() {
    return {threads_, [this](std::function<void()> task) { start(std::move(task)); }, kMinWork};
  }

 private:
  static constexpr double kMinWork = 4e6;  // starting a thread takes longer than waking one up

  void start(std::function<void()> task) {
    try {
      running_.emplace_back(std::move(task));
    } catch (const std::system_error&) {
      // The system has no further thread.  The caller does the work of those that do not start.
    }
  }

  int64_t threads_;
  std::vector<std::thread> running_;
};

}  // namespace refold
