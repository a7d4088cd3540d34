// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_cuda.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "tools/cuda_handles.hpp"
#include "tools/error.hpp"
#include "tools/generator.hpp"
#include "tools/replay_call.hpp"
#include "tools/replay_cuda_rows.hpp"
#include "tools/replay_kernels.cuh"
#include "tools/replay_upload.hpp"

namespace pleat::tools {
namespace {

/// Longer than the host takes to queue a generator's launch, two events and an op; see hold().
constexpr std::uint32_t kHoldMicroseconds = 10;
constexpr std::uint32_t kHoldPerOp = 6;
/// Pages change hands between two steps at most once in each direction.
std::int64_t most_updates(const ReplaySetup& setup, std::size_t kind) {
  return 2 * setup.state_pages[kind];
}

std::size_t step_room(const ReplaySetup& setup) {
  const std::int64_t tokens = setup.max_tokens;
  std::size_t bytes = 2 * Upload::room_for(tokens, 8) + 2 * Upload::room_for(tokens, 4);
  for (std::size_t k = 0; k < setup.model.kinds.size(); ++k) {
    bytes += 2 * Upload::room_for(tokens, 8) +
             Upload::room_for(most_updates(setup, k), sizeof(TableUpdate));
  }
  return bytes;
}

DeviceMemory device_memory(std::int64_t bytes) {
  return DeviceMemory(static_cast<std::size_t>(bytes));
}

class CudaDevice final : public ReplayDevice {
 public:
  explicit CudaDevice(const ReplaySetup& setup);

  void begin_step(const StepInput& input) override;
  void run(const LayerGroup& group) override;
  StepSeconds finish_step() override;
  void add_digests(std::span<const RowList> lists) override { rows_.add_digests(lists); }
  std::vector<std::uint64_t> digests(DigestOf which) override { return rows_.digests(which); }
  void read_rows(std::size_t layer, std::span<const RowRef> rows, std::uint8_t* out) override {
    rows_.read(layer, rows, out);
  }
  std::int64_t stray_bytes() override;
  std::string describe(std::size_t kind) override;

 private:
  struct KindMemory {
    DeviceMemory projection;
    DeviceMemory compressed;
    DeviceMemory table;
    std::vector<std::int32_t> table_on_host;
    std::size_t plan;
    std::int64_t* state_slots;  ///< of this step, as the next
    std::int64_t* kv_slots;
  };
  struct LayerMemory {
    DeviceMemory state, cache, ape, norm;
  };
  struct Timed {
    Event generate, begin, end;
  };

  [[nodiscard]] const KindSpec& kind_of(std::size_t layer) const {
    return setup_.model.kind_of(setup_.model.layers[layer]);
  }
  [[nodiscard]] Call call(std::size_t layer) const;
  void generate(std::size_t layer);
  [[nodiscard]] std::vector<LayerMemory> make_layers() const;
  [[nodiscard]] std::vector<const void*> caches() const;
  void poison(const DeviceMemory& memory, const Pages& pages) const;
  void update_tables(const StepInput& input);

  ReplaySetup setup_;
  Stream stream_;
  Upload step_;
  DeviceMemory rope_;
  DeviceMemory fp8_scale_;
  std::vector<KindMemory> kinds_;
  std::vector<LayerMemory> layers_;
  CudaRows rows_;
  std::vector<DeviceMemory> plans_;
  std::vector<LayerGroup> groups_;
  std::vector<Timed> times_;  ///< of the groups, each at the place of its first layer
  Event plans_begin_;
  Event plans_end_;
  TokenArrays tokens_{};
  std::int32_t* token_to_req_ = nullptr;
};

CudaDevice::CudaDevice(const ReplaySetup& setup)
    : setup_(setup),
      step_(step_room(setup)),
      rope_(copy_of(*setup.rope)),
      fp8_scale_(copy_of(std::vector<float>{kFp8TensorScale})),
      layers_(make_layers()),
      rows_(setup_, caches(), stream_.handle),
      groups_(groups_of(setup)),
      times_(setup.model.layers.size()) {
  setup_.exec.stream = stream_.handle;
  const std::vector<std::size_t> plans = setup_.plan_of_kinds();
  for (std::size_t k = 0; k < setup_.model.kinds.size(); ++k) {
    std::vector<std::int32_t> table(static_cast<std::size_t>(setup.slots * setup.state_blocks[k]),
                                    kNullPage);
    kinds_.push_back({device_memory(projection_bytes(setup_, k)),
                      device_memory(compressed_bytes(setup_, k)), copy_of(table), std::move(table),
                      plans[k], nullptr, nullptr});
  }
  for (std::size_t i = 0; i < planning_layers(setup_).size(); ++i)
    plans_.push_back(device_memory(plan_bytes(setup_.max_tokens)));
  // Not the stream alone: see copy_of().
  must(cudaDeviceSynchronize(), "setting up");
}

std::vector<CudaDevice::LayerMemory> CudaDevice::make_layers() const {
  std::vector<LayerMemory> layers;
  std::int64_t poisoned = 0;
  for (const Layer& layer : setup_.model.layers) {
    const Pages state = state_of(setup_, layer.kind);
    const Pages cache = cache_of(setup_, layer.kind);
    const LayerWeights weights = make_weights(setup_.model, layer, setup_.seed);
    layers.push_back({device_memory(state.bytes()), device_memory(cache.bytes()),
                      copy_of(weights.ape), copy_of(weights.norm)});
    poison(layers.back().state, state);
    poison(layers.back().cache, cache);
    poisoned += state.bytes() + cache.bytes();
    if (setup_.preparing) setup_.preparing(poisoned, page_bytes(setup_));
  }
  return layers;
}

std::vector<const void*> CudaDevice::caches() const {
  std::vector<const void*> caches;
  for (const LayerMemory& layer : layers_)
    caches.push_back(layer.cache.get());
  return caches;
}

void CudaDevice::poison(const DeviceMemory& memory, const Pages& pages) const {
  must(fill_words(static_cast<std::uint32_t*>(memory.get()),
                  static_cast<std::size_t>(pages.bytes() / 4), pages.poison, stream_.handle),
       "poisoning pages");
}

Call CudaDevice::call(std::size_t layer) const {
  const KindMemory& kind = kinds_[setup_.model.layers[layer].kind];
  const LayerMemory& memory = layers_[layer];
  CallMemory m;
  m.positions = const_cast<std::int64_t*>(tokens_.positions);
  m.token_to_req = token_to_req_;
  m.state_slots = kind.state_slots;
  m.kv_slots = kind.kv_slots;
  m.projection = kind.projection.get();
  m.compressed = kind.compressed.get();
  m.table = kind.table.get();
  m.plan = plans_[kind.plan].get();
  m.state = memory.state.get();
  m.cache = memory.cache.get();
  m.ape = memory.ape.get();
  m.norm = memory.norm.get();
  m.rope = rope_.get();
  m.fp8_scale = fp8_scale_.get();
  return call_of(setup_, layer, tokens_.tokens, m);
}

/// Updates of one place, which the kernel takes in any order, must agree: each brings what the
/// place holds in the end.
void CudaDevice::update_tables(const StepInput& input) {
  std::array<TableUpdate*, kKinds.size()> on_device{};
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    std::vector<std::int32_t>& table = kinds_[k].table_on_host;
    const auto place = [&](const TableUpdate& u) -> std::int32_t& {
      return table[static_cast<std::size_t>(u.slot * setup_.state_blocks[k] + u.block)];
    };
    const std::span<const TableUpdate> updates = input.kinds[k].updates;
    for (const TableUpdate& u : updates)
      place(u) = u.page;
    const auto [host, device] = step_.add<TableUpdate>(std::ssize(updates));
    std::transform(updates.begin(), updates.end(), host.begin(), [&](const TableUpdate& u) {
      return TableUpdate{u.slot, u.block, place(u)};
    });
    on_device[k] = device;
  }
  step_.send(stream_.handle);
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    must(update_table(static_cast<std::int32_t*>(kinds_[k].table.get()), setup_.state_blocks[k],
                      on_device[k], std::ssize(input.kinds[k].updates), stream_.handle),
         "updating a block table");
  }
}

void CudaDevice::begin_step(const StepInput& input) {
  step_.begin();
  tokens_ = {step_.add_copy(input.positions), step_.add_copy(input.attempts),
             step_.add_copy(input.requests), input.tokens};
  token_to_req_ = step_.add_copy(input.token_to_req);
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    kinds_[k].state_slots = step_.add_copy(input.kinds[k].state_slots);
    kinds_[k].kv_slots = step_.add_copy(input.kinds[k].kv_slots);
  }
  update_tables(input);
  must(hold(kHoldMicroseconds + kHoldPerOp, stream_.handle), "hold");
  plans_begin_.record(stream_.handle);
  for (const std::size_t layer : planning_layers(setup_))
    make_plan(setup_, call(layer));
  plans_end_.record(stream_.handle);
}

void CudaDevice::generate(std::size_t layer) {
  const Layer& l = setup_.model.layers[layer];
  must(generate_projections(tokens_, layer_key(setup_.seed, setup_.model.identity(l)),
                            kind_of(layer).compressor.geometry.row_width(),
                            setup_.projection == DType::bf16, kinds_[l.kind].projection.get(),
                            stream_.handle),
       "generating projections");
}

void CudaDevice::run(const LayerGroup& group) {
  const Timed& times = times_[group.layer];
  const auto calls =
      static_cast<std::uint32_t>(calls_of(group, setup_.op) + (group.indexer ? 1 : 0));
  const Call main = call(group.layer);
  const Call indexer = group.indexer ? call(*group.indexer) : Call{};
  must(hold(kHoldMicroseconds + kHoldPerOp * calls, stream_.handle), "hold");
  times.generate.record(stream_.handle);
  generate(group.layer);
  if (group.indexer) generate(*group.indexer);
  times.begin.record(stream_.handle);
  if (group.indexer) {
    run_ops(setup_, main, indexer);
  } else {
    run_ops(setup_, main);
  }
  times.end.record(stream_.handle);
}

StepSeconds CudaDevice::finish_step() {
  step_.end(stream_.handle);
  must(cudaStreamSynchronize(stream_.handle), "replaying a step");
  StepSeconds seconds;
  seconds.ops.assign(kinds_.size(), 0.0);
  seconds.plans = seconds_between(plans_begin_, plans_end_);
  for (const LayerGroup& group : groups_) {
    const Timed& t = times_[group.layer];
    seconds.generator += seconds_between(t.generate, t.begin);
    add_seconds(setup_, group, seconds_between(t.begin, t.end), &seconds.ops);
  }
  return seconds;
}

std::int64_t CudaDevice::stray_bytes() {
  const DeviceMemory count(sizeof(std::uint64_t));
  std::uint64_t strays = 0;
  must(cudaMemsetAsync(count.get(), 0, sizeof strays, stream_.handle), "counting strays");
  const auto add = [&](const DeviceMemory& memory, const Pages& pages) {
    const auto* first = static_cast<const std::uint8_t*>(memory.get());
    const auto from = [&](std::int64_t page, std::int64_t last) {
      must(count_strays(first + page * pages.stride, pages.unowned_from(page), pages.stride,
                        pages.stride, last - page, pages.poison,
                        static_cast<std::uint64_t*>(count.get()), stream_.handle),
           "counting strays");
    };
    from(kNullPage, kNullPage + 1);
    from(kNullPage + 1, pages.pages);
  };
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    const std::size_t kind = setup_.model.layers[layer].kind;
    add(layers_[layer].state, state_of(setup_, kind));
    add(layers_[layer].cache, cache_of(setup_, kind));
  }
  must(cudaMemcpyAsync(&strays, count.get(), sizeof strays, cudaMemcpyDeviceToHost, stream_.handle),
       "counting strays");
  must(cudaStreamSynchronize(stream_.handle), "counting strays");
  return static_cast<std::int64_t>(strays);
}

std::string CudaDevice::describe(std::size_t kind) {
  if (tokens_.tokens == 0) return "nothing ran";
  return describe_kind(setup_, kind, [this](std::size_t layer) { return call(layer); });
}

}  // namespace

std::unique_ptr<ReplayDevice> make_cuda_device(const ReplaySetup& setup) {
  return std::make_unique<CudaDevice>(setup);
}

}  // namespace pleat::tools
