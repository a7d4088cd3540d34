// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/perf_rows.hpp"

namespace pleat::tools {

const std::vector<PerfRow>& perf_rows() {
  constexpr Geometry hca = Hca::value;
  constexpr Geometry csa = Csa::value;
  constexpr Geometry index = Indexer::value;
  constexpr RowFormat mla = RowFormat::fp8_mla;
  constexpr RowFormat fp8 = RowFormat::index_fp8;
  constexpr StatePolicy tail = StatePolicy::tail;
  constexpr StatePolicy all = StatePolicy::all;
  constexpr Op step = Op::step;
  constexpr Op fused = Op::compress_store;
  constexpr Op split = Op::compress;
  constexpr const char* sglang = "SGLang";
  constexpr const char* design = "vLLM C128 design (est.)";
  static const std::vector<PerfRow> rows{
      {"hca fused, 1 window", hca, fused, mla, tail, 1, 1, 1, false, "", 0, 3.3},
      {"hca fused, 32 windows", hca, fused, mla, tail, 32, 32, 32, false, sglang, 8.3, 6.8},
      {"hca fused, 128 windows", hca, fused, mla, tail, 128, 128, 128, false, sglang, 21.3, 18.8},
      {"hca fused, 256 windows", hca, fused, mla, tail, 256, 256, 256, false, sglang, 37.0, 34.0},
      {"hca fused, 1024 windows", hca, fused, mla, tail, 1024, 1024, 1024, false, design, 134, 124},
      {"hca fused, 4096 windows", hca, fused, mla, tail, 4096, 4096, 4096, false, design, 521, 485},
      {"hca step, decode 1, 1 closing", hca, step, mla, tail, 1, 1, 1, false, sglang, 3.6, 3.0},
      {"hca step, decode 64, 1 closing", hca, step, mla, tail, 64, 64, 1, false, sglang, 3.7, 3.1},
      {"hca step, decode 256, 2 closing", hca, step, mla, tail, 256, 256, 2, false, sglang, 10.5,
       3.5},
      {"hca step, decode 512, 4 closing", hca, step, mla, tail, 512, 512, 4, false, sglang, 18.1,
       4.2},
      {"hca step, decode 512, 0 closing", hca, step, mla, tail, 512, 512, 0, false, sglang, 17,
       2.2},
      {"hca step, prefill 1024", hca, step, mla, tail, 1, 1024, 0, true, sglang, 5.5, 3.6},
      {"hca step, prefill 8192", hca, step, mla, tail, 1, 8192, 0, true, sglang, 12.9, 10.2},
      {"hca step, prefill 32768", hca, step, mla, tail, 1, 32768, 0, true, sglang, 35.8, 32.8},
      {"csa step, decode 64", csa, step, mla, tail, 64, 64, 16, false, sglang, 3.4, 2.6},
      {"csa step, decode 512", csa, step, mla, tail, 512, 512, 128, false, sglang, 6.9, 4.4},
      {"csa step, prefill 8192", csa, step, mla, tail, 1, 8192, 0, true, sglang, 25.1, 17.8},
      {"csa step, prefill 32768", csa, step, mla, tail, 1, 32768, 0, true, sglang, 83.9, 63},
      {"indexer step, decode 64", index, step, fp8, tail, 64, 64, 16, false, sglang, 3.2, 2.5},
      {"indexer step, prefill 8192", index, step, fp8, tail, 1, 8192, 0, true, sglang, 10.1, 6.2},
      {"indexer step, prefill 32768", index, step, fp8, tail, 1, 32768, 0, true, sglang, 24.2,
       17.6},
      {"csa + indexer step, decode 64", csa, step, mla, tail, 64, 64, 16, false, sglang, 6.6, 3.2,
       true},
      {"csa + indexer step, prefill 8192", csa, step, mla, tail, 1, 8192, 0, true, sglang, 35.1, 22,
       true},
      {"hca step, prefill 8192, all", hca, step, mla, all, 1, 8192, 0, true, "", 0, 0},
      {"csa step, prefill 8192, all", csa, step, mla, all, 1, 8192, 0, true, "", 0, 0},
      {"indexer step, prefill 8192, all", index, step, fp8, all, 1, 8192, 0, true, "", 0, 0},
      {"hca split pair, 32 windows", hca, split, mla, tail, 32, 32, 32, false, design, 8.8, 8.8,
       false, true},
      {"hca split pair, 128 windows", hca, split, mla, tail, 128, 128, 128, false, design, 22.3,
       22.3, false, true},
      {"hca split pair, 256 windows", hca, split, mla, tail, 256, 256, 256, false, design, 38.5,
       38.5, false, true},
      {"hca split pair, 1024 windows", hca, split, mla, tail, 1024, 1024, 1024, false, design, 134,
       134, false, true},
      {"hca split pair, 4096 windows", hca, split, mla, tail, 4096, 4096, 4096, false, design, 521,
       521, false, true},
      {"hca split save, decode 64", hca, Op::save_state, mla, all, 64, 64, 1, false, "", 0, 0},
      {"hca split compress, decode 64", hca, Op::compress, mla, all, 64, 64, 1, false, "", 0, 0},
      {"hca split store, decode 64", hca, Op::norm_rope_store, mla, all, 64, 64, 1, false, "", 0,
       0},
      {"hca fused, 32 windows, no plan", hca, fused, mla, tail, 32, 32, 32, false, "", 0, 0, false,
       false, false, true},
      {"hca fused, 256 windows, no plan", hca, fused, mla, tail, 256, 256, 256, false, "", 0, 0,
       false, false, false, true},
      {"hca step, decode 64, 1 closing, no plan", hca, step, mla, tail, 64, 64, 1, false, "", 0, 0,
       false, false, false, true},
      {"csa step, decode 512, no plan", csa, step, mla, tail, 512, 512, 128, false, "", 0, 0, false,
       false, false, true},
      {"csa step, prefill 8192, no plan", csa, step, mla, tail, 1, 8192, 0, true, "", 0, 0, false,
       false, false, true},
      {"plan, 512 tokens", hca, Op::plan, mla, tail, 512, 512, 4, false, "", 0, 2.5, false, false,
       true},
      {"plan, 8192 tokens", csa, Op::plan, mla, tail, 4, 8192, 0, true, "", 0, 4, false, false,
       true},
      {"plan, 32768 tokens", csa, Op::plan, mla, tail, 4, 32768, 0, true, "", 0, 8, false, false,
       true},
  };
  return rows;
}

}  // namespace pleat::tools
