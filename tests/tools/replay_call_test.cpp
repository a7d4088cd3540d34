// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_call.hpp"

#include <gtest/gtest.h>

#include "support/api_call.hpp"
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
std::size_t kernels_of(Op op, const Call& call) {
  const Stream stream;
  Exec exec;
  exec.backend = Backend::cuda;
  exec.stream = stream.handle;
  must(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeThreadLocal), "capture");
  const Status status = run(op, call, exec);
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
        EXPECT_EQ(static_cast<std::int64_t>(kernels_of(op, call)), launches_of(op, layout))
            << name(op) << (layout == StateLayout::ring ? ", ring" : ", paged");
      }
    }
  }
#else
  GTEST_SKIP() << "built without CUDA";
#endif
}

}  // namespace
}  // namespace pleat::tools
