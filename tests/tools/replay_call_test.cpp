// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_call.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "support/api_call.hpp"
#include "support/api_pair.hpp"
#include "tools/device_call.hpp"
#if PLEAT_HAVE_CUDA
#include <cuda_runtime_api.h>

#include "tools/cuda_handles.hpp"
#endif

namespace pleat::tools {
namespace {

TEST(ReplayCall, SaysWhichOpsAStepIsMadeOf) {
  ASSERT_EQ(ops_of(ReplayOp::step).size(), 1U);
  EXPECT_EQ(ops_of(ReplayOp::step)[0], Op::step);
  ASSERT_EQ(ops_of(ReplayOp::split).size(), 3U);
  EXPECT_EQ(ops_of(ReplayOp::split)[2], Op::norm_rope_store);
}

/// "0 1+3 2+4": groups of layers as the model numbers them.
std::string groups_text(const LayerCounts& layers, ReplayOp op) {
  ReplaySetup setup;
  setup.op = op;
  setup.model = make_model(layers, Recipe::vllm, default_row_formats(Recipe::vllm));
  std::string text;
  for (const LayerGroup& g : groups_of(setup)) {
    if (!text.empty()) text += " ";
    text += std::to_string(g.layer);
    if (g.indexer) text += "+" + std::to_string(*g.indexer);
  }
  return text;
}

TEST(ReplayCall, CallsACsaLayerAndItsIndexerTogether) {
  EXPECT_EQ(groups_text({1, 2, 2}, ReplayOp::step), "0 1+3 2+4");
  EXPECT_EQ(groups_text({0, 3, 1}, ReplayOp::step), "0+3 1 2");
  EXPECT_EQ(groups_text({1, 1, 2}, ReplayOp::step), "0 1+2 3");
  EXPECT_EQ(groups_text({0, 0, 2}, ReplayOp::step), "0 1");
  EXPECT_EQ(groups_text({2, 1, 0}, ReplayOp::step), "0 1 2");
  EXPECT_EQ(groups_text({1, 1, 1}, ReplayOp::split), "0 1 2");
}

TEST(ReplayCall, CountsCallsAndLaunchesOfTheModels) {
  for (const auto& [model, together] : {std::pair{"flash", 20 + 21}, {"pro", 31 + 30}}) {
    ReplaySetup setup;
    setup.model =
        make_model(layers_of_model(model), Recipe::vllm, default_row_formats(Recipe::vllm));
    std::int64_t calls = 0;
    std::int64_t launches = 0;
    for (const LayerGroup& g : groups_of(setup)) {
      calls += calls_of(g, setup.op);
      launches += launches_of(g, setup.op);
    }
    EXPECT_EQ(calls, together) << model;
    EXPECT_EQ(launches, together) << model;
  }
  EXPECT_EQ(calls_of({0}, ReplayOp::split), 3);
  EXPECT_EQ(launches_of({0}, ReplayOp::split), 3);
}

TEST(ReplayCall, PlacesRowsWithinTheirPages) {
  const Model model = make_model({1, 0, 1}, Recipe::vllm, default_row_formats(Recipe::vllm));
  const RowPlace hca = place_of(model.kinds[0], 2 * 3 + 1);  // two rows a page, stride 1728
  EXPECT_EQ(hca.values, 3 * 1728 + 576);
  EXPECT_EQ(hca.scales, 3 * 1728 + 2 * 576 + 8);
  const RowPlace index = place_of(model.kinds[1], 5);
  EXPECT_EQ(index.values, 5 * 128);
  EXPECT_EQ(index.scales, 64 * 128 + 5 * 4);
}

TEST(ReplayCall, KnowsWhichBytesNobodyOwns) {
  ReplaySetup setup;
  setup.model = make_model({1, 0, 0}, Recipe::vllm, default_row_formats(Recipe::vllm));
  setup.state_pages = {5};
  setup.kv_pages = {3};
  const Pages state = state_of(setup, 0);
  EXPECT_EQ(state.bytes(), 5 * 9360 * 4);
  EXPECT_EQ(state.unowned_from(kNullPage), 0);
  EXPECT_EQ(state.unowned_from(4), 8 * 1024 * 4);
  const Pages cache = cache_of(setup, 0);
  EXPECT_EQ(cache.bytes(), 3 * 1728);
  EXPECT_EQ(cache.unowned_from(1), 2 * 584);
}

#if PLEAT_HAVE_CUDA
template <class Run>
std::size_t kernels_of(const Run& run) {
  const Stream stream;
  Exec exec;
  exec.backend = Backend::cuda;
  exec.stream = stream.handle;
  must(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeThreadLocal), "capture");
  const Status status = run(exec);
  cudaGraph_t graph = nullptr;
  must(cudaStreamEndCapture(stream.handle, &graph), "capture");
  EXPECT_TRUE(status.ok()) << status.message();
  std::size_t nodes = 0;
  must(cudaGraphGetNodes(graph, nullptr, &nodes), "nodes");
  must(cudaGraphDestroy(graph), "graph");
  return nodes;
}
#endif

TEST(ReplayCall, LaunchesAreThoseOfAGraph) {
#if PLEAT_HAVE_CUDA
  if (!available(Backend::cuda)) GTEST_SKIP() << "no CUDA device";
  for (const Geometry& g : {Hca::value, Csa::value, Indexer::value}) {
    for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
      test::ApiCallOptions options;
      options.geometry = g;
      options.layout = layout;
      if (g == Indexer::value) options.row_format = RowFormat::index_fp8;
      const test::ApiCall host(options);
      const DeviceCall device(host.call, host.tokens());
      Call call = device.call();
      call.plan = {device.plan_memory(), host.tokens()};
      ASSERT_TRUE(plan(call, {Backend::cuda}).ok());
      for (const Op op : {Op::plan, Op::save_state, Op::compress, Op::norm_rope_store,
                          Op::compress_store, Op::step}) {
        EXPECT_EQ(static_cast<std::int64_t>(
                      kernels_of([&](const Exec& exec) { return run(op, call, exec); })),
                  kLaunchesOfCall)
            << name(op) << (layout == StateLayout::ring ? ", ring" : ", paged");
      }
    }
  }
#else
  GTEST_SKIP() << "built without CUDA";
#endif
}

TEST(ReplayCall, LaunchesOfCsaStepAreThoseOfAGraph) {
#if PLEAT_HAVE_CUDA
  if (!available(Backend::cuda)) GTEST_SKIP() << "no CUDA device";
  for (const StateLayout layout : {StateLayout::paged, StateLayout::ring}) {
    test::ApiPair host(layout);
    const DeviceCall main(host.main(), host.main().batch.positions.shape[0]);
    const DeviceCall other(host.indexer(), host.indexer().batch.positions.shape[0]);
    Call indexer = other.call();
    indexer.batch.positions = main.call().batch.positions;
    indexer.batch.token_to_req = main.call().batch.token_to_req;
    ASSERT_TRUE(csa_step(main.call(), indexer, {Backend::cuda}).ok());
    const std::size_t kernels =
        kernels_of([&](const Exec& exec) { return csa_step(main.call(), indexer, exec); });
    EXPECT_EQ(static_cast<std::int64_t>(kernels), kLaunchesOfCall);
  }
#else
  GTEST_SKIP() << "built without CUDA";
#endif
}

}  // namespace
}  // namespace pleat::tools
