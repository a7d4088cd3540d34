/* SPDX-FileCopyrightText: 2026 The Pleat authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The C ABI of Pleat, the KV-cache compressor of DeepSeek-V4. The same ops as pleat.hpp.
 *
 *   pleat_call call = pleat_call_init();
 *   call.positions = pleat_packed1(positions, PLEAT_I64, tokens);
 *   ...
 *   if (pleat_step(&call, NULL) != PLEAT_OK) fprintf(stderr, "%s\n", pleat_last_error());
 *
 * Words: T tokens of a step; R ratio; W window (R, or 2R with overlap); D head dim; S state width
 * (D, or 2D with overlap). A token closes a window when (position + 1) % R == 0.
 *
 * Every function may be called from any thread; calls that write the same memory must not run at
 * the same time. No function throws, prints, or keeps a pointer after it returns (cuda: after the
 * stream has passed the call). A call that is refused has written nothing.
 */
#ifndef PLEAT_PLEAT_H
#define PLEAT_PLEAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define PLEAT_API
#else
#define PLEAT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns. The text behind it: pleat_last_error(). */
typedef enum pleat_status {
  PLEAT_OK = 0,
  PLEAT_INVALID_ARGUMENT = 1, /* a pointer, shape, stride, dtype or value the op does not take */
  PLEAT_UNSUPPORTED = 2,      /* well formed, but the chosen backend was not built for it */
  PLEAT_OUT_OF_RANGE = 3,     /* checked mode: a bad slot, page, position or request in an array */
  PLEAT_DEVICE_ERROR = 4,     /* the CUDA runtime reported an error */
  PLEAT_INTERNAL = 5          /* out of memory, or a fault of Pleat itself */
} pleat_status;

/* The enums below are stored in int32_t members: no compiler's choice of enum size matters. */
enum pleat_dtype {
  PLEAT_NONE = 0, /* the view is not given */
  PLEAT_F32 = 1,
  PLEAT_BF16 = 2,
  PLEAT_I64 = 3,
  PLEAT_I32 = 4,
  PLEAT_U8 = 5
};

enum pleat_backend {
  PLEAT_CPU = 0,       /* SIMD, chosen at run time, over a thread pool */
  PLEAT_REFERENCE = 1, /* the definition: scalar, one thread */
  PLEAT_CUDA = 2       /* all pointers of the call are device memory */
};

/* Whose roundings to follow. */
enum pleat_recipe {
  PLEAT_DEEPSEEK = 0,
  PLEAT_VLLM = 1,
  PLEAT_VLLM_TRITON = 2,
  PLEAT_SGLANG = 3 /* the state keeps the raw score; the APE is added when pooling */
};

/* Bytes of one cache row. A page holds the values of all its rows, then all their scales. No format
 * holds rows of D = 64: only plan, save_state and compress take that geometry. */
enum pleat_row_format {
  PLEAT_FP8_MLA = 0,    /* 448 E4M3, 64 bf16 | 7 UE8M0, one 0: 584 bytes at D = 512, the least */
  PLEAT_ROW_BF16 = 1,   /* D >= 256: D bf16 */
  PLEAT_FP8_TENSOR = 2, /* D >= 256: D E4M3 of bf16(x) / fp8_scale[0] */
  PLEAT_INDEX_FP8 = 3,  /* D = 128: 128 E4M3 | one fp32: 132 bytes */
  PLEAT_INDEX_MXFP4 = 4 /* D = 128: 64 bytes of E2M1 pairs | 4 UE8M0: 68 bytes */
};

enum pleat_state_layout {
  PLEAT_PAGED = 0, /* position p: page block_table[req][p / page_rows], row p % page_rows */
  /* position p: page block_table[req][0], row p % page_rows. pleat_compress and _compress_store, of
   * a request with tokens up to L: L - max(0, p - W + 1) < page_rows for a window closing at p */
  PLEAT_RING = 1
};

enum pleat_state_policy {
  PLEAT_ALL = 0, /* every token's state row is written (a ring: the last page_rows of a request) */
  /* The rows that a later step may need: with n tokens of a request after this one, positions from
   * R * floor((n - rollback) / R) on, less R with overlap. So not for pleat_compress and
   * pleat_compress_store, which read every row of a window from the state and refuse it. To take
   * back more than `rollback` tokens gives wrong rows, which nothing sees. */
  PLEAT_TAIL = 1
};

/* SIMD of the cpu backend; a test may ask for less than the machine has. */
enum pleat_simd {
  PLEAT_SIMD_BEST = 0,
  PLEAT_SIMD_SCALAR = 1,
  PLEAT_SIMD_NEON = 2,
  PLEAT_SIMD_AVX2 = 3,
  PLEAT_SIMD_AVX512 = 4
};

enum pleat_variant {
  PLEAT_EXACT = 0,
  PLEAT_FAST = 1 /* cuda only: the hardware's approximate exp2 */
};

/* cuda, sm_90 up: programmatic dependent launch. What a kernel may read while its predecessor on
 * the stream still runs; it writes nothing before that has ended. The bytes are the same. */
enum pleat_chain {
  PLEAT_CHAIN_NONE = 0, /* it starts when its predecessor has ended */
  PLEAT_CHAIN_LATE = 1, /* ape and norm: no kernel that may then still run writes these two */
  PLEAT_CHAIN_EARLY = 2 /* all but the rows it is given: projection (step, save_state), state
                         * (compress, compress_store), compressed (norm_rope_store). So no kernel
                         * that may then still run writes weights, batch, plan, block table or, with
                         * step, state rows of earlier steps. Not for the first call after the plan
                         * or after a copy that brought the batch. Op plan: as late */
};

enum pleat_op {
  PLEAT_OP_PLAN = 0,
  PLEAT_OP_SAVE_STATE = 1,
  PLEAT_OP_COMPRESS = 2,
  PLEAT_OP_NORM_ROPE_STORE = 3,
  PLEAT_OP_COMPRESS_STORE = 4,
  PLEAT_OP_STEP = 5
};

/* A view of the caller's memory. Strides are in elements; the last one is 1. All zero: not given.
 *
 * Multiples of 16 bytes: where a floating-point view starts (fp8_scale: 4) and the strides of its
 * rows and pages; where a cache starts, in every row format, and the stride of its pages (index
 * formats: 4). Arrays of integers: of their element. The rows of a cache follow each other without
 * gaps. */
typedef struct pleat_tensor {
  void* data;    /* may be NULL when the view has no elements or the step no tokens */
  int32_t dtype; /* enum pleat_dtype */
  int32_t rank;  /* 1 to 3 */
  int64_t shape[3];
  int64_t stride[3];
} pleat_tensor;

/* How tokens fold into rows. The members may not change; a successor would be a new struct. */
typedef struct pleat_geometry {
  int32_t ratio;    /* R: tokens folded into one row; a power of two up to 1024 */
  int32_t overlap;  /* 1: each window also looks at the R tokens before; else 0 */
  int32_t head_dim; /* D: channels of a row; a power of two from 64 to 4096 */
  int32_t rope_dim; /* the last channels of a row, rotated in pairs; even, 2 to 64 */
  int32_t ape;      /* 1: scores carry a learned position bias [R, S]; else 0 */
} pleat_geometry;

/* One call. Only what the op uses is looked at:
 *
 *   op               reads                                                    writes
 *   plan             positions, token_to_req, state_slots; a ring: the shape  plan
 *                    of state_pages
 *   save_state       positions, token_to_req, state_slots, projection, ape    state_pages
 *   compress         positions, token_to_req, state_slots, state_pages,       compressed
 *                    block_table, ape (sglang)
 *   norm_rope_store  positions, state_slots, kv_slots, compressed, norm,      cache
 *                    rope, fp8_scale
 *   compress_store   positions, token_to_req, state_slots, kv_slots,          cache
 *                    state_pages, block_table, ape (sglang), norm, rope,
 *                    fp8_scale
 *   step             all of positions ... kv_slots, projection, state_pages,  state_pages, cache
 *                    block_table, ape, norm, rope, fp8_scale
 *
 * ape: only with geometry.ape; save_state takes it with every recipe but sglang. fp8_scale: only
 * with PLEAT_FP8_TENSOR. Outputs may not overlap inputs or each other, except that state_pages and
 * cache may be one block pool (equal page strides in bytes) when the pages that this call reads or
 * writes are disjoint. Whose pages the others are, Pleat does not know.
 *
 * struct_size is the version: a caller built with an older, shorter struct is served with the
 * defaults of what it lacks; a longer one is served when what this library does not know is 0. */
typedef struct pleat_call {
  size_t struct_size; /* sizeof(pleat_call); pleat_call_init() sets it */
  pleat_geometry geometry;
  int32_t recipe;     /* enum pleat_recipe */
  int32_t row_format; /* enum pleat_row_format */
  float eps;          /* added to the mean square; > 0 and finite */

  pleat_tensor positions;    /* i64 [T]: 0-based position of the token in its request */
  pleat_tensor token_to_req; /* i32 [T]: row of the block table; a request's tokens adjoin */
  pleat_tensor state_slots;  /* i64 [T]: page * page_rows + row; < 0: padding, does nothing;
                                may stand between requests, not inside one's tokens */
  pleat_tensor kv_slots;     /* i64 [T]: page * page_rows + row of the cache row that the token
                                closes, row floor(p / R) of its request; < 0: none is written. A
                                token that closes no window may have anything here */

  pleat_tensor projection;  /* f32 or bf16 [T, 2S]: kv S, score S */
  pleat_tensor state_pages; /* f32 or bf16 [pages, page_rows, 2S] */
  pleat_tensor block_table; /* i32 [requests, blocks] */
  int32_t state_layout;     /* enum pleat_state_layout; a ring has page_rows >= W + rollback */
  int32_t state_policy;     /* enum pleat_state_policy */
  pleat_tensor compressed;  /* f32 [T, D]; rows of tokens that close nothing are not touched */
  pleat_tensor cache; /* u8 [pages, page_rows, row bytes], page stride >= the bytes of a page */

  pleat_tensor ape;       /* f32 [R, S] */
  pleat_tensor norm;      /* f32 or bf16 [D] */
  pleat_tensor rope;      /* f32 [positions, rope_dim], arranged as the recipe says; see
                           * pleat_build_rope_table(). A cache row is rotated by table row
                           * R * floor(p / R): the first position of the closing token's group */
  pleat_tensor fp8_scale; /* f32 [1], > 0 */

  int32_t rollback;      /* draft tokens that a later step may reject; >= 0 */
  int32_t reserved;      /* 0 */
  void* plan;            /* 64-byte aligned, pleat_plan_bytes(plan_capacity) bytes. Optional but for
                          * pleat_plan(); made from the same batch, geometry, policy, rollback */
  int64_t plan_capacity; /* tokens the plan has room for; >= T; as when the plan was made */
} pleat_call;

/* Who computes, and how. struct_size as in pleat_call. */
typedef struct pleat_exec {
  size_t struct_size; /* sizeof(pleat_exec); pleat_exec_init() sets it */
  int32_t backend;    /* enum pleat_backend */
  int32_t threads;    /* cpu: 0 = one per core. The bytes do not depend on it */
  int32_t simd;       /* enum pleat_simd */
  int32_t variant;    /* enum pleat_variant */
  int32_t checked;    /* 1: validate the index arrays before anything is written; else 0 */
  int32_t chain;      /* enum pleat_chain */
  void* stream;       /* cuda: a cudaStream_t; NULL is the default stream */
} pleat_exec;

/* HCA, recipe vllm, row format fp8_mla, eps 1e-6, paged, policy all; no views. */
static inline pleat_call pleat_call_init(void) {
  pleat_call call;
  memset(&call, 0, sizeof call);
  call.struct_size = sizeof(pleat_call);
  call.geometry.ratio = 128;
  call.geometry.head_dim = 512;
  call.geometry.rope_dim = 64;
  call.geometry.ape = 1;
  call.recipe = PLEAT_VLLM;
  call.eps = 1e-6F;
  return call;
}

/* cpu, all cores, widest SIMD, unchecked. */
static inline pleat_exec pleat_exec_init(void) {
  pleat_exec exec;
  memset(&exec, 0, sizeof exec);
  exec.struct_size = sizeof(pleat_exec);
  return exec;
}

static inline pleat_geometry pleat_geometry_of(int32_t ratio, int32_t overlap, int32_t head_dim,
                                               int32_t rope_dim, int32_t ape) {
  pleat_geometry g;
  g.ratio = ratio;
  g.overlap = overlap;
  g.head_dim = head_dim;
  g.rope_dim = rope_dim;
  g.ape = ape;
  return g;
}
/* The three geometries of DeepSeek-V4. Every backend takes any other too (a ratio that is a power
 * of two up to 1024, a head dim that is one from 64 to 4096, an even rope dim up to 64); cuda has
 * kernels of their own for these, and slower ones for the rest. */
static inline pleat_geometry pleat_hca(void) {
  return pleat_geometry_of(128, 0, 512, 64, 1);
}
static inline pleat_geometry pleat_csa(void) {
  return pleat_geometry_of(4, 1, 512, 64, 1);
}
static inline pleat_geometry pleat_indexer(void) {
  return pleat_geometry_of(4, 1, 128, 64, 1);
}

/* Pages of rows, with pages page_stride elements apart. Here and below `data` of an input may be
 * const: no op writes to one. */
static inline pleat_tensor pleat_paged(const void* data, int32_t dtype, int64_t pages, int64_t rows,
                                       int64_t row_elements, int64_t page_stride) {
  pleat_tensor t;
  t.data = (void*)data;
  t.dtype = dtype;
  t.rank = 3;
  t.shape[0] = pages;
  t.shape[1] = rows;
  t.shape[2] = row_elements;
  t.stride[0] = page_stride;
  t.stride[1] = row_elements;
  t.stride[2] = 1;
  return t;
}

/* Contiguous [n0, n1]. */
static inline pleat_tensor pleat_packed2(const void* data, int32_t dtype, int64_t n0, int64_t n1) {
  pleat_tensor t = pleat_paged(data, dtype, n0, n1, 0, n1);
  t.rank = 2;
  t.stride[1] = 1;
  t.stride[2] = 0;
  return t;
}

/* Contiguous [n]. */
static inline pleat_tensor pleat_packed1(const void* data, int32_t dtype, int64_t n) {
  pleat_tensor t = pleat_packed2(data, dtype, n, 0);
  t.rank = 1;
  t.stride[0] = 1;
  t.stride[1] = 0;
  return t;
}

/* Bytes of a plan for up to `tokens` tokens, a multiple of 64. 0 if that is < 0 or > 2^31-1. */
PLEAT_API int64_t pleat_plan_bytes(int64_t tokens);

/* The ops. `call` is not NULL; `exec` NULL stands for pleat_exec_init(). With T = 0 all but
 * pleat_plan() do nothing. On cuda they are asynchronous on exec->stream, unless checked.
 * Return PLEAT_OK, or why nothing was written. */

/* Makes call->plan: the step's closing tokens in token order, and the tokens whose state is
 * written. One plan serves every layer of a step with the same ratio, overlap, policy, rollback,
 * layout and, with a ring, page_rows, whose padding is the same tokens. T up to 2^20.
 *
 * A plan of another step: cpu and reference always refuse one for another T, ratio or window, and
 * in ops that write state for another policy, layout, (tail) rollback or capacity; one whose lists
 * are not this batch's they refuse when checked. cuda looks at a plan when checked alone, and then
 * at all of this. What is not looked at is the caller's duty: a plan that does not belong to the
 * batch gives wrong rows, or indices beyond the views. */
PLEAT_API pleat_status pleat_plan(const pleat_call* call, const pleat_exec* exec);
/* Writes state rows: [kv | score + ape[p % R]] (recipe sglang: the raw score). */
PLEAT_API pleat_status pleat_save_state(const pleat_call* call, const pleat_exec* exec);
/* Pools each closing token's window from the state: compressed[t] = sum softmax(score) * kv. The
 * state has every row of it: policy PLEAT_TAIL is refused. */
PLEAT_API pleat_status pleat_compress(const pleat_call* call, const pleat_exec* exec);
/* Norm, RoPE, quantise, store: compressed[t] to the cache, for each closing token. */
PLEAT_API pleat_status pleat_norm_rope_store(const pleat_call* call, const pleat_exec* exec);
/* pleat_compress and pleat_norm_rope_store in one pass; same bytes. */
PLEAT_API pleat_status pleat_compress_store(const pleat_call* call, const pleat_exec* exec);
/* pleat_save_state and pleat_compress_store in one pass, with rows of this step taken from the
 * projection: the cache rows that those two give with PLEAT_ALL, under either policy. A ring may be
 * shorter than the step's chunk. */
PLEAT_API pleat_status pleat_step(const pleat_call* call, const pleat_exec* exec);
/* pleat_step of a CSA layer and of its indexer in one call (cuda: one launch), with the bytes of
 * the two. `main` has geometry pleat_csa(), `indexer` pleat_indexer(); neither is NULL. Both have
 * the same positions and token_to_req (pointers), state policy, rollback, state layout (a ring:
 * rows) and plan; state_slots and kv_slots, and all else, are each call's own. Padding is the same
 * tokens in both. What a call is refused for begins with "main." or "indexer.". */
PLEAT_API pleat_status pleat_csa_step(const pleat_call* main, const pleat_call* indexer,
                                      const pleat_exec* exec);
/* Any op but pleat_csa_step() as a value of enum pleat_op. */
PLEAT_API pleat_status pleat_run(int32_t op, const pleat_call* call, const pleat_exec* exec);

/* 1 if this build, on this machine, can run the backend; else 0. */
PLEAT_API int32_t pleat_available(int32_t backend);

/* Names the code that would run the call, as NUL-terminated text in buffer[0, size). Refused when
 * the text does not fit (pleat_last_error() says the size; 256 hold one op's, 512 a pair's), and as
 * the op when that would be.
 * cuda: a layout that the special kernel does not know is no reason to refuse a call. The generic
 * kernel serves it, slower, with the same bytes; the text says which it is, and why. The same holds
 * of a geometry that is none of the model's three ("cuda/any-geometry, ..."). */
PLEAT_API pleat_status pleat_describe(int32_t op, const pleat_call* call, const pleat_exec* exec,
                                      char* buffer, size_t size);

/* The same of pleat_csa_step(). */
PLEAT_API pleat_status pleat_describe_csa_step(const pleat_call* main, const pleat_call* indexer,
                                               const pleat_exec* exec, char* buffer, size_t size);

/* Fills table, f32 [positions, rope_dim] in host memory, with the model's RoPE: theta 160000, YaRN
 * factor 16 over 65536 positions, beta 32 and 1. sglang: cos, sin interleaved; else all cos, then
 * all sin. Any row stride from rope_dim up is filled, but the ops take a table only at a multiple
 * of 16 bytes, with a row stride of a multiple of 4 floats: a packed one has that where rope_dim is
 * a multiple of 4; with rope_dim 2 or 6, for instance, give stride 4 or 8. */
PLEAT_API pleat_status pleat_build_rope_table(int32_t recipe, const pleat_tensor* table);

/* Version of the library, "major.minor.patch". Static. */
PLEAT_API const char* pleat_version(void);

/* Why this thread's last call that returns pleat_status was refused: argument, expected, got. ""
 * after PLEAT_OK. Never NULL; valid until this thread's next such call. Arguments have pleat.hpp's
 * names: batch.positions is positions here, state.pages state_pages, compressor.eps eps,
 * write.rollback rollback, weights.norm norm. */
PLEAT_API const char* pleat_last_error(void);

/* "ok", "invalid_argument", ...; "unknown" for any other value. Static. */
PLEAT_API const char* pleat_status_name(int32_t status);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* PLEAT_PLEAT_H */
