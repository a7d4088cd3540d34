// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/graph_timer.hpp"

#include <algorithm>
#include <vector>

#include "tools/cuda_handles.hpp"

namespace pleat::tools {

Quantiles time_graph(cudaStream_t stream, std::int64_t count,
                     const std::function<void(std::int64_t)>& launch) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  launch(0);  // modules load outside the capture
  must(cudaStreamSynchronize(stream), "first launch");
  must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (std::int64_t i = 0; i < count; ++i)
    launch(i);
  must(cudaStreamEndCapture(stream, &graph), "capture");
  must(cudaGraphInstantiate(&exec, graph, 0), "instantiate");
  const Event begin;
  const Event end;
  std::vector<double> us;
  double spent = 0;
  for (int i = 0; i < 203 && (i < 13 || spent < 60e3); ++i) {
    begin.record(stream);
    must(cudaGraphLaunch(exec, stream), "launch");
    end.record(stream);
    end.wait();
    const double took = seconds_between(begin, end) * 1e6;
    spent += took;
    if (i >= 3) us.push_back(took / static_cast<double>(count));
  }
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  return quantiles_of(us);
}

Quantiles time_in_turn(cudaStream_t stream, std::int64_t count,
                       const std::function<void(std::int64_t)>& launch) {
  return time_graph(stream, std::max<std::int64_t>(count, 20),
                    [&](std::int64_t i) { launch(i % count); });
}

}  // namespace pleat::tools
