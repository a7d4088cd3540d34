// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/page_copy.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "support/gpu.hpp"
#include "tools/cuda_handles.hpp"

// The copy of state pages that `pleat bench --suite perf` measures: each page of each window, once,
// by any number of blocks.
namespace pleat::test {
namespace {

using tools::DeviceMemory;
using tools::PagedWindows;

constexpr std::int32_t kWindowPages = 16;
constexpr std::int64_t kTableStride = 21;  ///< a request has entries before its window and after it
constexpr std::int64_t kTableStart = 3;
constexpr std::int64_t kPageBytes = 1024;
constexpr std::int64_t kPageStride = 1040;

class PageCopy : public GpuTestWith<std::int32_t> {};
class PageCopyRefusals : public GpuTest {};

/// Pages whose first word is their number, in random order in a table that names no other page.
struct Pages {
  explicit Pages(std::int32_t windows) : order(static_cast<std::size_t>(windows * kWindowPages)) {
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), std::mt19937(7));
    table.assign(static_cast<std::size_t>(windows * kTableStride), -1);
    words.assign(order.size() * kPageStride / 4, 0xFFFFFFFFU);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::size_t window = i / kWindowPages;
      table[window * kTableStride + kTableStart + i % kWindowPages] =
          static_cast<std::int32_t>(order[i]);
      words[i * kPageStride / 4] = static_cast<std::uint32_t>(i);
    }
  }
  std::vector<std::uint32_t> order;  ///< as the windows have them
  std::vector<std::int32_t> table;
  std::vector<std::uint32_t> words;
};

template <class T>
void upload(const DeviceMemory& to, const std::vector<T>& from) {
  must(cudaMemcpy(to.get(), from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice));
}

TEST_P(PageCopy, EachPageOnce) {
  const Pages pages(GetParam());
  const DeviceMemory memory(pages.words.size() * 4);
  const DeviceMemory table(pages.table.size() * 4);
  const DeviceMemory seen(pages.order.size() * 4);
  upload(memory, pages.words);
  upload(table, pages.table);
  upload(seen, std::vector<std::uint32_t>(pages.order.size(), 0xFFFFFFFFU));
  PagedWindows w;
  w.pages = memory.get();
  w.page_stride = kPageStride;
  w.page_bytes = kPageBytes;
  w.table = static_cast<const std::int32_t*>(table.get()) + kTableStart;
  w.table_stride = kTableStride;
  w.window_pages = kWindowPages;
  w.windows = GetParam();
  if (!can_copy_pages(w)) GTEST_SKIP() << "no bulk copies: sm_90 has them";
  const Stream stream;
  must(copy_pages_once(w, static_cast<std::uint32_t*>(seen.get()), stream.get()));
  must(copy_pages_once(w, nullptr, stream.get()));
  stream.wait();
  std::vector<std::uint32_t> got(pages.order.size());
  must(cudaMemcpy(got.data(), seen.get(), got.size() * 4, cudaMemcpyDeviceToHost));
  EXPECT_EQ(got, pages.order);
}

// Fewer pages than multiprocessors, shares that differ by a page, shares of more than the slots and
// of more than the lanes of a warp.
INSTANTIATE_TEST_SUITE_P(Windows, PageCopy, ::testing::Values(1, 9, 64, 257, 700));

TEST_F(PageCopyRefusals, WhatABulkCopyCannotTake) {
  PagedWindows w;
  w.page_stride = kPageStride;
  w.page_bytes = kPageBytes;
  w.window_pages = kWindowPages;
  w.windows = 1;
  if (!can_copy_pages(w)) GTEST_SKIP() << "no bulk copies: sm_90 has them";
  for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{1032}, std::int64_t{1} << 20}) {
    PagedWindows wrong = w;
    wrong.page_bytes = bytes;
    EXPECT_FALSE(can_copy_pages(wrong)) << bytes << " bytes a page";
  }
  PagedWindows apart = w;
  apart.page_stride = 1028;
  EXPECT_FALSE(can_copy_pages(apart));
  PagedWindows off = w;
  off.pages = reinterpret_cast<const void*>(std::uintptr_t{8});
  EXPECT_FALSE(can_copy_pages(off));
  PagedWindows large = w;
  large.page_bytes = 65536;
  EXPECT_FALSE(can_copy_pages(large)) << "six of them are more than any shared memory";
}

}  // namespace
}  // namespace pleat::test
