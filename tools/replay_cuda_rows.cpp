// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_cuda_rows.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "tools/replay_call.hpp"

namespace pleat::tools {
namespace {

/// Digested or read in one go.
constexpr std::size_t kRowsAtOnce = 8192;

std::size_t largest_row(const ReplaySetup& setup) {
  std::int32_t bytes = 0;
  for (const KindSpec& k : setup.model.kinds)
    bytes = std::max(bytes, k.row().row_bytes());
  return static_cast<std::size_t>(bytes);
}

std::size_t digest_bytes(std::int64_t requests) {
  return 2 * static_cast<std::size_t>(requests) * sizeof(std::uint64_t);
}

RowBytesCounts bytes_of(const CacheOnDevice& cache) {
  const RowLayout row = cache.spec->row();
  return {row.value_bytes, row.scale_bytes};
}

/// Calls use(some) for all rows, at most kRowsAtOnce at a time.
template <typename Use>
void in_turns(std::span<const RowRef> rows, Use use) {
  while (!rows.empty()) {
    const std::size_t n = std::min(rows.size(), kRowsAtOnce);
    use(rows.first(n));
    rows = rows.subspan(n);
  }
}

}  // namespace

CudaRows::CudaRows(const ReplaySetup& setup, cudaStream_t stream)
    : requests_(setup.requests),
      most_bytes_(kRowsAtOnce * largest_row(setup)),
      stream_(stream),
      upload_(Upload::room_for(kRowsAtOnce, sizeof(DeviceRow))),
      gathered_(most_bytes_),
      on_host_(most_bytes_),
      digests_(digest_bytes(requests_)) {
  must(cudaMemsetAsync(digests_.get(), 0, digest_bytes(requests_), stream_), "clearing digests");
}

const DeviceRow* CudaRows::send(const CacheOnDevice& cache, std::span<const RowRef> rows) {
  const auto* memory = static_cast<const std::uint8_t*>(cache.memory);
  upload_.begin();
  const auto [host, device] = upload_.add<DeviceRow>(std::ssize(rows));
  std::transform(rows.begin(), rows.end(), host.begin(), [&](const RowRef& r) {
    const RowPlace place = place_of(*cache.spec, r.kv_slot);
    return DeviceRow{memory + place.values, memory + place.scales, r.row, r.request, 0};
  });
  upload_.send(stream_);
  return device;
}

void CudaRows::add_digests(const CacheOnDevice& cache, std::span<const RowRef> rows,
                           DigestOf which) {
  in_turns(rows, [&](std::span<const RowRef> some) {
    must(add_row_digests(send(cache, some), std::ssize(some), bytes_of(cache), cache.identity,
                         sums(which), stream_),
         "digesting rows");
    upload_.end(stream_);
  });
}

std::vector<std::uint64_t> CudaRows::digests(DigestOf which) {
  std::vector<std::uint64_t> out(static_cast<std::size_t>(requests_));
  must(cudaMemcpyAsync(out.data(), sums(which), digest_bytes(requests_) / 2, cudaMemcpyDeviceToHost,
                       stream_),
       "reading digests");
  must(cudaStreamSynchronize(stream_), "reading digests");
  return out;
}

void CudaRows::read(const CacheOnDevice& cache, std::span<const RowRef> rows, std::uint8_t* out) {
  const auto row_bytes = static_cast<std::size_t>(cache.spec->row().row_bytes());
  in_turns(rows, [&](std::span<const RowRef> some) {
    const std::size_t bytes = some.size() * row_bytes;
    must(gather_rows(send(cache, some), std::ssize(some), bytes_of(cache),
                     static_cast<std::uint8_t*>(gathered_.get()), stream_),
         "gathering rows");
    must(cudaMemcpyAsync(on_host_.get(), gathered_.get(), bytes, cudaMemcpyDeviceToHost, stream_),
         "reading rows");
    upload_.end(stream_);
    must(cudaStreamSynchronize(stream_), "reading rows");
    std::memcpy(out, on_host_.get(), bytes);
    out += bytes;
  });
}

}  // namespace pleat::tools
