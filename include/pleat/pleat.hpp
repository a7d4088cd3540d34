// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/geometry.hpp>
#include <pleat/layout.hpp>
#include <pleat/recipe.hpp>
#include <pleat/status.hpp>
#include <pleat/views.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

/// The compressor's ops. T is the number of tokens of a step; a token closes a window when
/// (position + 1) % ratio == 0. All pointers of a call live where Exec::backend computes: host
/// memory for cpu and reference, device memory for cuda. An op that is refused has written nothing.
namespace pleat {

/// Who computes. All three return the same bytes (docs/numerics.md).
enum class Backend : std::int32_t {
  cpu = 0,        ///< SIMD, chosen at run time, over a thread pool
  reference = 1,  ///< the definition: scalar, one thread
  cuda = 2,
};

/// What is computed; fixed for the life of a layer.
struct Compressor {
  Geometry geometry = Hca::value;
  Recipe recipe = Recipe::vllm;
  RowFormat row_format = RowFormat::fp8_mla;
  float eps = 1e-6F;  ///< added to the mean square; > 0 and finite
};

/// One step's tokens. Tokens of one request are contiguous and in order; padding may stand
/// between requests.
struct Batch {
  TensorView positions;     ///< i64 [T]: 0-based position of the token in its request
  TensorView token_to_req;  ///< i32 [T]: row of the block table
  /// i64 [T]: page * page_rows + row of the token's state row. < 0: the token is padding and does
  /// nothing, whatever its other fields and its projection hold.
  TensorView state_slots;
  /// i64 [T]: page * page_rows + row of the cache row that the token closes, row floor(p / ratio)
  /// of its request. < 0: none is written. A token that closes no window may have anything here.
  TensorView kv_slots;
};

/// How a position finds its state row. A ring has its last page_rows positions: compress and
/// compress_store, after all of a request's tokens up to L are saved, need L - max(0, p - W + 1) <
/// page_rows of a window closing at p; step may bring more.
enum class StateLayout : std::int32_t {
  paged = 0,  ///< page block_table[req][p / page_rows], row p % page_rows
  ring = 1,   ///< page block_table[req][0] (the request's slot), row p % page_rows (its capacity)
};

struct StateView {
  TensorView pages;        ///< f32 or bf16 [pages, page_rows, 2S]; each row [kv S | score S]
  TensorView block_table;  ///< i32 [requests, blocks]; not needed by save_state
  StateLayout layout = StateLayout::paged;
};

/// Which state rows a step writes.
enum class StatePolicy : std::int32_t {
  all = 0,   ///< every token's (a ring: the last page_rows of each request)
  tail = 1,  ///< the rows a later step may need: with n the request's length after the step,
             ///< positions >= R * floor((n - rollback) / R) - (overlap ? R : 0). Not for compress
             ///< and compress_store, which read every row of a window from the state and refuse it
};

struct StateWrite {
  StatePolicy policy = StatePolicy::all;
  /// Tokens that a later step may take back, rejected drafts for instance; >= 0. To take back more
  /// gives wrong rows, which nothing sees.
  std::int32_t rollback = 0;
};

struct Weights {
  /// f32 [R, S]; given when the geometry has APE and the op adds it (save_state and step; with
  /// recipe sglang compress and compress_store instead of save_state).
  TensorView ape;
  TensorView norm;  ///< f32 or bf16 [D]
  /// f32 [positions, rope_dim]: cos and sin, arranged as the recipe says. A cache row is rotated by
  /// table row R * floor(p / R): the first position of the closing token's group.
  TensorView rope;
  TensorView fp8_scale;  ///< f32 [1], > 0; row format fp8_tensor only
};

/// A plan in memory that the caller owns: the step's closing tokens in token order, and with policy
/// tail or a ring the tokens whose state is written. One plan serves every layer of a step that has
/// the same ratio, overlap, policy, rollback, state layout (a ring: page_rows) and padding. Opaque;
/// see plan().
///
/// A plan of another step: cpu and reference always refuse one for another T, ratio or window, and
/// in ops that write state for another policy, layout, (tail) rollback or capacity; one whose lists
/// are not this batch's they refuse in checked mode. cuda looks at a plan in checked mode alone,
/// and then at all of this. What is not looked at is the caller's duty: a plan that does not belong
/// to the batch gives wrong rows, or indices beyond the views.
struct PlanView {
  void* data = nullptr;       ///< 64-byte aligned, plan_bytes(capacity) bytes
  std::int64_t capacity = 0;  ///< tokens it has room for, the same as when it was made
};

/// One call. Which op reads and writes what:
///
///   op               reads                                               writes
///   plan             batch (not kv_slots), geometry, write, state.layout,  plan
///                    state.pages.shape (ring)
///   save_state       batch, projection, ape (not sglang)                 state.pages
///   compress         batch, state, ape (sglang)                          compressed
///   norm_rope_store  batch, compressed, norm, rope, fp8_scale            cache
///   compress_store   batch, state, ape (sglang), norm, rope, fp8_scale   cache
///   step             batch, projection, state, ape, norm, rope, fp8_scale  state.pages, cache
///
/// Outputs must not overlap inputs or each other, except that step reads and writes state.pages,
/// and that state.pages and cache may be one block pool (equal page strides in bytes) when the
/// pages that this call reads or writes are disjoint.
struct Call {
  Compressor compressor;
  Batch batch;
  TensorView projection;  ///< f32 or bf16 [T, 2S]: [kv S | score S]
  StateView state;
  TensorView compressed;  ///< f32 [T, D]; rows of tokens that close no window are not touched
  TensorView cache;       ///< u8 [pages, page_rows, row_bytes]: a page is values, then scales
  Weights weights;
  StateWrite write;
  PlanView plan;  ///< optional; made by plan() from the same batch, geometry and write
};

/// SIMD target of the cpu backend; widest that the machine has, unless a test asks for less.
enum class SimdTarget : std::int32_t { best = 0, scalar = 1, neon = 2, avx2 = 3, avx512 = 4 };

/// cuda only. fast uses the hardware's approximate exp2: same order, same invariances, other bits.
enum class Variant : std::int32_t { exact = 0, fast = 1 };

/// cuda, sm_90 up: programmatic dependent launch. The kernel may start while its predecessor on the
/// stream, the last kernel or copy before it, still runs; what it reads before that has ended is
/// what the caller says is complete. Nothing is written earlier, and the bytes are the same.
enum class Chain : std::int32_t {
  none = 0,  ///< it starts when its predecessor has ended
  /// Before that it reads weights.ape and weights.norm alone: no kernel that may then still run
  /// writes these two.
  late = 1,
  /// Before that it reads all but the rows that it is given: projection (step, save_state), state
  /// (compress, compress_store) or compressed (norm_rope_store). So no kernel that may then still
  /// run writes weights, batch, plan, block table or, with step, state rows of earlier steps. Not
  /// for the first call after the plan, or after a copy that brought the batch. Op plan: as late.
  early = 2,
};

struct Exec {
  Backend backend = Backend::cpu;
  std::int32_t threads = 0;  ///< cpu: 0 = one per core. The bytes do not depend on it
  SimdTarget simd = SimdTarget::best;
  Variant variant = Variant::exact;
  /// Validate what lies in positions, token_to_req, slots and block table before anything is
  /// written, and name the first bad token. On cuda this synchronises the stream.
  bool checked = false;
  void* stream = nullptr;  ///< cuda: a cudaStream_t; null is the default stream
  Chain chain = Chain::none;
};

/// Bytes of a plan for up to `tokens` tokens; a multiple of 64. 0 if tokens is negative.
std::int64_t plan_bytes(std::int64_t tokens);

/// Makes call.plan from call.batch. Deterministic: closing tokens in token order. T up to 2^20.
Status plan(const Call& call, const Exec& exec);
/// Writes state rows: [kv | score + ape[p % R]] (recipe sglang: the raw score).
Status save_state(const Call& call, const Exec& exec);
/// Pools each closing token's window from the state: compressed[t] = sum softmax(score) * kv. The
/// state has every row of it: policy tail is refused.
Status compress(const Call& call, const Exec& exec);
/// Norm, RoPE, quantise, store: compressed[t] to the cache, for each closing token.
Status norm_rope_store(const Call& call, const Exec& exec);
/// compress and norm_rope_store in one pass; same bytes.
Status compress_store(const Call& call, const Exec& exec);
/// save_state and compress_store in one pass, with rows of the current step taken from the
/// projection: the cache rows that those two give with policy all, under either policy. A ring may
/// be shorter than the step's chunk. cuda: one launch, but two of a geometry other than Hca, Csa
/// and Indexer, where with device_error the cache rows may have been written.
Status step(const Call& call, const Exec& exec);

/// step of a CSA layer and of its indexer in one call (cuda: one launch); the bytes are those of
/// step(main), then step(indexer). Each call is that of a step, in any dtypes, recipes and row
/// formats:
///
///   main     geometry Csa; projection [T, 2048], its own state and cache (rows of 512 channels)
///   indexer  geometry Indexer; projection [T, 512], its own state and cache (rows of 128)
///
/// What they share: the arrays positions and token_to_req (the same pointers), the write policy and
/// rollback, the state's layout (a ring: its page_rows too), the plan, or none. What may differ:
/// state_slots and kv_slots, block tables, page sizes; padding is the same tokens in both. No
/// output of one overlaps anything of the other, but pages of one block pool may be dealt to all.
///
/// A refusal names the call: "main.cache: ...", "indexer.state.pages: ...", as step would have
/// refused it; invalid_argument too where the two do not fit together, out_of_range (checked mode)
/// where their padding or their pages do not. With device_error main may have been done: calls
/// whose dtypes differ are two launches.
Status csa_step(const Call& main, const Call& indexer, const Exec& exec);

enum class Op : std::int32_t {
  plan = 0,
  save_state = 1,
  compress = 2,
  norm_rope_store = 3,
  compress_store = 4,
  step = 5,
};

/// The same, with the op as a value.
Status run(Op op, const Call& call, const Exec& exec);

/// Whether this build, on this machine, can run a backend.
bool available(Backend backend);
/// Names the code that would run, for instance "cpu/avx512 2 threads" or "cuda/hca-special, ...";
/// why it was chosen when the special kernel was not. A layout that the special kernel does not
/// know is no reason to refuse a call: the generic one serves it, slower, with the same bytes. Nor
/// is a geometry other than Hca, Csa and Indexer, for which kernels are compiled: any that
/// is_valid() has "cuda/any-geometry, ...". The status says what is wrong when the call would be
/// refused.
Status describe(Op op, const Call& call, const Exec& exec, std::string* text);
/// The same of csa_step; on cuda also, why two launches were needed, when they are.
Status describe_csa_step(const Call& main, const Call& indexer, const Exec& exec,
                         std::string* text);

/// Fills table [positions, rope_dim] f32 with the model's RoPE: theta 160000, YaRN factor 16 over
/// 65536, beta 32 and 1, no magnitude factor; angle = fp32(position * fp32 frequency). Host memory.
/// Any row stride from rope_dim up is filled, but the ops take a table only at a multiple of 16
/// bytes, with a row stride of a multiple of 4 floats: a packed one has that where rope_dim is a
/// multiple of 4; with rope_dim 2 or 6, for instance, give stride 4 or 8.
Status build_rope_table(Recipe recipe, const TensorView& table);

const char* name(Backend b);
const char* name(Op op);
const char* name(Recipe r);
const char* name(RowFormat f);
const char* name(SimdTarget t);
const char* name(StateLayout l);
const char* name(StatePolicy p);
const char* name(Variant v);
const char* name(Chain c);
const char* name(StatusCode c);
const char* version();

}  // namespace pleat
