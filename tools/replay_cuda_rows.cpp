// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_cuda_rows.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "tools/replay_call.hpp"
#include "tools/row_turns.hpp"

namespace pleat::tools {
namespace {

/// Digested in one go, in all layers. A step of 8192 tokens makes 4160 rows final; a request of
/// 128k tokens ends with 66560.
constexpr std::int64_t kRowsDigested = 1 << 17;
/// Read in one go, from one layer.
constexpr std::size_t kRowsRead = 8192;
static_assert(kRowsRead <= kRowsDigested, "the upload has room for the latter");

std::size_t largest_row(const ReplaySetup& setup) {
  std::int32_t bytes = 0;
  for (const KindSpec& k : setup.model.kinds)
    bytes = std::max(bytes, k.row().row_bytes());
  return static_cast<std::size_t>(bytes);
}

std::size_t upload_room(const ReplaySetup& setup) {
  return Upload::room_for(kRowsDigested, sizeof(DeviceRow)) +
         Upload::room_for(std::ssize(setup.model.kinds), sizeof(RowRange));
}

std::size_t digest_bytes(const ReplaySetup& setup) {
  return 2 * static_cast<std::size_t>(setup.requests) * sizeof(std::uint64_t);
}

std::vector<DeviceCache> caches_of(const ReplaySetup& setup,
                                   const std::vector<const void*>& memory) {
  std::vector<DeviceCache> caches;
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const Layer& layer = setup.model.layers[i];
    const RowLayout row = setup.model.kind_of(layer).row();
    caches.push_back({static_cast<const std::uint8_t*>(memory[i]), setup.model.identity(layer),
                      row.value_bytes, row.scale_bytes, static_cast<std::int32_t>(layer.kind), 0});
  }
  return caches;
}

/// Returns the end of what it filled.
DeviceRow* fill(const KindSpec& spec, std::span<const RowRef> rows, DigestOf which,
                DeviceRow* out) {
  return std::transform(rows.begin(), rows.end(), out, [&](const RowRef& r) {
    const RowPlace place = place_of(spec, r.kv_slot);
    return DeviceRow{place.values, place.scales, r.row, r.request,
                     static_cast<std::int32_t>(which)};
  });
}

}  // namespace

CudaRows::CudaRows(const ReplaySetup& setup, const std::vector<const void*>& caches,
                   cudaStream_t stream)
    : setup_(setup),
      most_bytes_(kRowsRead * largest_row(setup)),
      stream_(stream),
      caches_(caches_of(setup, caches)),
      caches_on_device_(copy_of(caches_)),
      upload_(upload_room(setup)),
      gathered_(most_bytes_),
      on_host_(most_bytes_),
      digests_(digest_bytes(setup)) {
  must(cudaMemsetAsync(digests_.get(), 0, digest_bytes(setup), stream_), "clearing digests");
}

void CudaRows::add_digests(std::span<const RowList> lists) {
  for (const RowTurn& turn : turns_of(lists, setup_.model.kinds.size(), kRowsDigested)) {
    upload_.begin();
    const auto [rows, rows_on_device] = upload_.add<DeviceRow>(turn.rows);
    DeviceRow* out = rows.data();
    for (const RowList& list : turn.lists)
      out = fill(setup_.model.kinds[list.kind], list.rows, list.which, out);
    const RowRange* ranges = upload_.add_copy(turn.kinds);
    upload_.send(stream_);
    const RowsToDigest all{rows_on_device, ranges,
                           static_cast<const DeviceCache*>(caches_on_device_.get()),
                           std::ssize(caches_), setup_.requests};
    must(add_row_digests(all, turn.longest(), static_cast<std::uint64_t*>(digests_.get()), stream_),
         "digesting rows");
    upload_.end(stream_);
  }
}

std::vector<std::uint64_t> CudaRows::digests(DigestOf which) {
  std::vector<std::uint64_t> out(static_cast<std::size_t>(setup_.requests));
  const auto* sums = static_cast<const std::uint64_t*>(digests_.get()) +
                     static_cast<std::int64_t>(which) * setup_.requests;
  must(cudaMemcpyAsync(out.data(), sums, digest_bytes(setup_) / 2, cudaMemcpyDeviceToHost, stream_),
       "reading digests");
  must(cudaStreamSynchronize(stream_), "reading digests");
  return out;
}

void CudaRows::read(std::size_t layer, std::span<const RowRef> rows, std::uint8_t* out) {
  const KindSpec& spec = setup_.model.kind_of(setup_.model.layers[layer]);
  const auto row_bytes = static_cast<std::size_t>(spec.row().row_bytes());
  while (!rows.empty()) {
    const std::span<const RowRef> some = rows.first(std::min(rows.size(), kRowsRead));
    const std::size_t bytes = some.size() * row_bytes;
    upload_.begin();
    const auto [on_host, on_device] = upload_.add<DeviceRow>(std::ssize(some));
    fill(spec, some, DigestOf::final_rows, on_host.data());
    upload_.send(stream_);
    must(gather_rows(on_device, std::ssize(some), caches_[layer],
                     static_cast<std::uint8_t*>(gathered_.get()), stream_),
         "gathering rows");
    must(cudaMemcpyAsync(on_host_.get(), gathered_.get(), bytes, cudaMemcpyDeviceToHost, stream_),
         "reading rows");
    upload_.end(stream_);
    must(cudaStreamSynchronize(stream_), "reading rows");
    std::memcpy(out, on_host_.get(), bytes);
    out += bytes;
    rows = rows.subspan(some.size());
  }
}

}  // namespace pleat::tools
