// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "cpu/thread_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <new>
#include <thread>

#include "cpu/float_environment.hpp"

namespace pleat::cpu {

namespace {

/// A worker spins this long after its last part, so that back-to-back calls of some 20 us do not
/// pay for a wake-up through the kernel, and then sleeps.
constexpr std::chrono::microseconds kSpin{50};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Pool {
 public:
  void run(int parts, PartFunction part, void* context) noexcept {
    const std::unique_lock<std::mutex> mine(busy_, std::try_to_lock);
    if (!mine.owns_lock()) {
      for (int i = 0; i < parts; ++i)
        part(context, i);
      return;
    }
    grow(parts - 1);
    ++epoch_;
    part_ = part;
    context_ = context;
    done_.store(0, std::memory_order_relaxed);
    ticket_.store(static_cast<std::uint64_t>(epoch_) << 32 | static_cast<std::uint64_t>(parts)
                                                                 << 16,
                  std::memory_order_release);
    for (int i = 0; i < std::min(parts - 1, started_); ++i) {
      signals_[static_cast<std::size_t>(i)].epoch.store(epoch_, std::memory_order_release);
      signals_[static_cast<std::size_t>(i)].epoch.notify_one();
    }
    work(epoch_);
    for (int spins = 0; done_.load(std::memory_order_acquire) != parts; ++spins) {
      if (spins < 4096) {
        relax();
      } else {
        std::this_thread::yield();  // the worker lost its core
      }
    }
  }

 private:
  struct alignas(64) Signal {
    std::atomic<std::uint32_t> epoch{0};
  };

  /// Takes parts of one call until none is left. A part is claimed by counting the ticket up while
  /// it still shows the call's epoch: until that part is done the call, and with it part_ and
  /// context_, stays.
  void work(std::uint32_t epoch) noexcept {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    for (;;) {
      const auto parts = static_cast<int>(ticket >> 16 & 0xFFFF);
      const auto next = static_cast<int>(ticket & 0xFFFF);
      if (static_cast<std::uint32_t>(ticket >> 32) != epoch || next >= parts) return;
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        continue;
      }
      part_(context_, next);
      done_.fetch_add(1, std::memory_order_acq_rel);
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void serve(Signal& signal) noexcept {
    set_default_float_environment();
    std::uint32_t seen = 0;
    for (;;) {
      std::uint32_t epoch = signal.epoch.load(std::memory_order_acquire);
      const auto until = std::chrono::steady_clock::now() + kSpin;
      while (epoch == seen && std::chrono::steady_clock::now() < until) {
        for (int i = 0; i < 32 && epoch == seen; ++i) {
          relax();
          epoch = signal.epoch.load(std::memory_order_acquire);
        }
      }
      if (epoch == seen) {
        signal.epoch.wait(seen, std::memory_order_acquire);
        continue;
      }
      seen = epoch;
      work(epoch);
    }
  }

  /// Workers take no signals: those belong to the program's own threads. Where no thread can be
  /// started the call runs on those there are.
  void grow(int workers) noexcept {
    if (started_ >= workers) return;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      while (started_ < workers) {
        std::thread([this, &signal = signals_[static_cast<std::size_t>(started_)]] {
          serve(signal);
        }).detach();
        ++started_;
      }
    } catch (...) {  // NOLINT(bugprone-empty-catch): no thread or no memory, see above
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  std::mutex busy_;
  std::uint32_t epoch_ = 0;
  int started_ = 0;
  PartFunction part_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<std::uint64_t> ticket_{0};  ///< epoch << 32 | parts << 16 | next part
  alignas(64) std::atomic<int> done_{0};
  std::array<Signal, kMaxThreads> signals_;
};

/// Leaked on purpose: threads may still serve it while the process exits, and a forked child must
/// forget it, since its threads are not there.
std::atomic<Pool*> the_pool{nullptr};

Pool* pool() noexcept {
  Pool* p = the_pool.load(std::memory_order_acquire);
  if (p != nullptr) return p;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { the_pool.store(nullptr); });
  static_cast<void>(registered);
  Pool* fresh = new (std::nothrow) Pool;
  if (fresh == nullptr) return nullptr;
  if (the_pool.compare_exchange_strong(p, fresh, std::memory_order_acq_rel)) return fresh;
  delete fresh;
  return p;
}

}  // namespace

int thread_count(int asked) {
  static const int cores =
      std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
  return asked <= 0 ? cores : std::min(asked, kMaxThreads);
}

void run_parts(int parts, PartFunction part, void* context) noexcept {
  Pool* p = parts > 1 ? pool() : nullptr;
  if (p != nullptr) return p->run(parts, part, context);
  for (int i = 0; i < parts; ++i)
    part(context, i);
}

}  // namespace pleat::cpu
