// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace pleat::tools {

/// Windows in pages of device memory, as a block table names them.
struct PagedWindows {
  const void* pages = nullptr;
  std::int64_t page_stride = 0;         ///< bytes from one page to the next
  std::int64_t page_bytes = 0;          ///< of a page that hold rows, in one piece
  const std::int32_t* table = nullptr;  ///< where it names the first page of the first window
  std::int64_t table_stride = 0;        ///< entries from one window's first page to the next's
  std::int32_t window_pages = 0;
  std::int32_t windows = 0;
};

/// Whether this device has what copy_pages_once() takes: bulk copies (sm_90), to places that are
/// multiples of 16 bytes, and shared memory for six pages a block.
bool can_copy_pages(const PagedWindows& w);

/// Copies each page of the windows to shared memory by one bulk copy, and does nothing with it: as
/// fast as windows in pages were seen to arrive. At most one block a multiprocessor; pages are
/// shared out evenly, with six a block on their way. `first_words`, where not null, gets the first
/// 4 bytes of each page, in the windows' order: for tests, as it is one thing more to do.
cudaError_t copy_pages_once(const PagedWindows& w, std::uint32_t* first_words, cudaStream_t stream);

}  // namespace pleat::tools
