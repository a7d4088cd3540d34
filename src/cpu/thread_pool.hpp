// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

namespace pleat::cpu {

/// Threads that a call may ask for.
inline constexpr int kMaxThreads = 256;

/// How many threads a call uses that asks for this many: 0 means one per core that this process may
/// use.
int thread_count(int asked);

/// One part of a call, on whichever thread takes it. Must not throw.
using PartFunction = void (*)(void* context, int part);

/// Runs part(context, i) for each i in [0, parts) and returns when all are done; the caller takes
/// part in the work. Threads are started on demand, kept, and spin briefly between calls. Which
/// thread runs a part is open, so a part may depend on its index alone.
///
/// Safe from several threads at once: while one of them has the pool, the others run all their
/// parts themselves. After fork() the child gets a pool of its own. The threads are never joined:
/// do not unload the library while the process goes on.
void run_parts(int parts, PartFunction part, void* context) noexcept;

template <class F>
void run_parts(int parts, F&& f) noexcept {
  using Function = std::remove_reference_t<F>;
  run_parts(
      parts, [](void* context, int part) { (*static_cast<Function*>(context))(part); }, &f);
}

/// Part `i` of `n` items split into `parts` contiguous ranges that differ by at most one.
template <class Int>
struct Range {
  Int first;
  Int last;  ///< one past
};
template <class Int>
constexpr Range<Int> part_of(Int n, int parts, int i) {
  const Int each = n / parts;
  const Int rest = n % parts;
  const auto start = [&](Int k) { return k * each + (k < rest ? k : rest); };
  return {start(i), start(i + 1)};
}

}  // namespace pleat::cpu
