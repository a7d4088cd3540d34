/* SPDX-FileCopyrightText: 2026 The Pleat authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Layers called as an engine would, on the CPU: the code that docs/integration.md shows
 * (tests/docs_test.cpp compares them), and the steps that it runs on. */
#include <pleat/pleat.h>
#include <stdio.h>
#include <stdlib.h>

enum { kLayers = 2, kTokens = 16, kRequests = 2, kBlocks = 4, kPages = 8, kPositions = 16 };
enum { kPageFloats = 9360, kCachePage = 37440, kWidth = 2048 };

/* What the engine has allocated. On a GPU all of it is device memory. */
struct layer_memory {
  float *state, *ape, *norm;
  unsigned char* cache;
};
struct step_memory {
  int64_t *positions, *state_slots, *kv_slots;
  int32_t *token_to_req, *block_table;
  float *projection, *rope;
  void* plan;
};

/* [layer] */
/* Once per layer: what stays the same from step to step. */
static pleat_call call_of_layer(const struct layer_memory* m, const struct step_memory* s) {
  pleat_call call = pleat_call_init(); /* recipe vllm, rows fp8_mla, paged state */
  call.geometry = pleat_csa();
  call.state_pages = pleat_paged(m->state, PLEAT_F32, kPages, 4, kWidth, kPageFloats);
  call.block_table = pleat_packed2(s->block_table, PLEAT_I32, kRequests, kBlocks);
  call.cache = pleat_paged(m->cache, PLEAT_U8, 1, 64, 584, kCachePage);
  call.ape = pleat_packed2(m->ape, PLEAT_F32, 4, 1024);
  call.norm = pleat_packed1(m->norm, PLEAT_F32, 512);
  call.rope = pleat_packed2(s->rope, PLEAT_F32, kPositions, 64);
  call.state_policy = PLEAT_TAIL; /* write only what a later step may need ... */
  call.rollback = 3;              /* ... after up to 3 rejected drafts */
  call.plan = s->plan;            /* pleat_plan_bytes(kTokens), 64-byte aligned */
  call.plan_capacity = kTokens;
  return call;
}
/* [/layer] */

/* [batch] */
/* Once per step and layer: T tokens, padding included. Layers of one kind share all of these; HCA
 * and CSA have positions and token_to_req in common, and slots of their own. */
static void set_batch(pleat_call* call, const struct step_memory* s, int64_t tokens) {
  call->positions = pleat_packed1(s->positions, PLEAT_I64, tokens);
  call->token_to_req = pleat_packed1(s->token_to_req, PLEAT_I32, tokens);
  call->state_slots = pleat_packed1(s->state_slots, PLEAT_I64, tokens);
  call->kv_slots = pleat_packed1(s->kv_slots, PLEAT_I64, tokens);
  call->projection = pleat_packed2(s->projection, PLEAT_F32, tokens, kWidth);
}
/* [/batch] */

/* Stands for the layer's matrix product. */
static void project(const struct step_memory* s, int layer) {
  for (int i = 0; i < kTokens * kWidth; ++i)
    s->projection[i] = (float)((i * 31 + layer * 7) % 101 - 50) / 32.0F;
}

/* [step] */
static pleat_status run_step(pleat_call* calls, const struct step_memory* s, int64_t tokens,
                             const pleat_exec* exec) {
  for (int layer = 0; layer < kLayers; ++layer) {
    pleat_status status = PLEAT_OK;
    project(s, layer);
    set_batch(&calls[layer], s, tokens);
    if (layer == 0) status = pleat_plan(&calls[layer], exec); /* once, for all layers */
    if (status == PLEAT_OK) status = pleat_step(&calls[layer], exec);
    if (status != PLEAT_OK) {
      fprintf(stderr, "layer %d: %s\n", layer, pleat_last_error());
      return status;
    }
  }
  return PLEAT_OK;
}
/* [/step] */

struct model_layer {
  const pleat_call *hca, *csa, *indexer;
};

/* [model] */
/* A step of the whole model: two plans, then a call a layer (HCA, or CSA and its indexer). */
static pleat_status run_model(const struct model_layer* layers, int count,
                              const pleat_call* any_hca, const pleat_call* any_csa,
                              const pleat_exec* exec) {
  pleat_status status = pleat_plan(any_hca, exec); /* all HCA layers' calls name this plan */
  if (status == PLEAT_OK) status = pleat_plan(any_csa, exec); /* all others' this one */
  for (int i = 0; i < count && status == PLEAT_OK; ++i) {
    status = layers[i].hca != NULL ? pleat_step(layers[i].hca, exec)
                                   : pleat_csa_step(layers[i].csa, layers[i].indexer, exec);
  }
  return status;
}
/* [/model] */

static void* zeroed(size_t bytes) {
  void* p = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (p == NULL) exit(3);
  return memset(p, 0, bytes);
}

/* Request 0 brings 9 tokens and request 1 5; two tokens of padding follow. */
static void fill_batch(const struct step_memory* s) {
  for (int t = 0; t < kTokens; ++t) {
    const int r = t < 9 ? 0 : 1;
    const int64_t p = r == 0 ? t : t - 9;
    s->positions[t] = p;
    s->token_to_req[t] = r;
    s->state_slots[t] = t < 14 ? s->block_table[r * kBlocks + p / 4] * 4 + p % 4 : -1;
    s->kv_slots[t] = t < 14 && p % 4 == 3 ? r * 2 + p / 4 : -1;
  }
}

static struct layer_memory new_layer(void) {
  struct layer_memory m;
  m.state = zeroed(sizeof(float) * kPages * kPageFloats);
  m.ape = zeroed(sizeof(float) * 128 * 512);
  m.norm = zeroed(sizeof(float) * 512);
  m.cache = zeroed(kCachePage);
  for (int i = 0; i < 512; ++i)
    m.norm[i] = 1.0F;
  return m;
}

/* The CSA call of a layer as its indexer's: the same batch and plan, the rest its own. */
static pleat_call as_indexer(pleat_call call, const struct layer_memory* m) {
  call.geometry = pleat_indexer();
  call.row_format = PLEAT_INDEX_FP8;
  call.projection = pleat_packed2(call.projection.data, PLEAT_F32, kTokens, 512);
  call.state_pages = pleat_paged(m->state, PLEAT_F32, kPages, 4, 512, kPageFloats);
  call.cache = pleat_paged(m->cache, PLEAT_U8, 1, 64, 132, kCachePage);
  call.ape = pleat_packed2(m->ape, PLEAT_F32, 4, 256);
  call.norm = pleat_packed1(m->norm, PLEAT_F32, 128);
  return call;
}

/* ... and as that of an HCA layer, whose pages of 8 rows need slots of their own, and a plan. */
static pleat_call as_hca(pleat_call call, const struct layer_memory* m,
                         const struct step_memory* s) {
  int64_t* slots = zeroed(kTokens * sizeof(int64_t));
  for (int t = 0; t < kTokens; ++t) {
    const int64_t p = s->positions[t];
    slots[t] = t < 14 ? s->block_table[s->token_to_req[t] * kBlocks + p / 8] * 8 + p % 8 : -1;
  }
  call.geometry = pleat_hca();
  call.state_slots = pleat_packed1(slots, PLEAT_I64, kTokens);
  call.projection = pleat_packed2(call.projection.data, PLEAT_F32, kTokens, 1024);
  call.state_pages = pleat_paged(m->state, PLEAT_F32, kPages, 8, 1024, kPageFloats);
  call.cache = pleat_paged(m->cache, PLEAT_U8, 1, 2, 584, kCachePage);
  call.ape = pleat_packed2(m->ape, PLEAT_F32, 128, 512);
  call.plan = zeroed((size_t)pleat_plan_bytes(kTokens));
  return call;
}

/* An HCA layer, and a CSA layer with its indexer. */
static int model_steps(const pleat_call* csa, const struct step_memory* s, const pleat_exec* exec) {
  const struct layer_memory of_hca = new_layer();
  const struct layer_memory of_indexer = new_layer();
  const pleat_call hca = as_hca(*csa, &of_hca, s);
  const pleat_call indexer = as_indexer(*csa, &of_indexer);
  const struct model_layer layers[2] = {{&hca, NULL, NULL}, {NULL, csa, &indexer}};
  if (run_model(layers, 2, &hca, csa, exec) != PLEAT_OK) {
    fprintf(stderr, "%s\n", pleat_last_error());
    return 0;
  }
  /* Nobody has 128 tokens yet; of the indexer's rows 0 to 2 are there, row 3 is nobody's. */
  return of_hca.cache[0] == 0 && of_indexer.cache[2 * 128] != 0 && of_indexer.cache[3 * 128] == 0;
}

int main(void) {
  struct step_memory s;
  struct layer_memory m[kLayers];
  pleat_call calls[kLayers];
  pleat_exec exec = pleat_exec_init(); /* cpu; PLEAT_CUDA and a stream on a GPU */
  pleat_tensor rope;
  s.positions = zeroed(kTokens * sizeof(int64_t));
  s.state_slots = zeroed(kTokens * sizeof(int64_t));
  s.kv_slots = zeroed(kTokens * sizeof(int64_t));
  s.token_to_req = zeroed(kTokens * sizeof(int32_t));
  s.block_table = zeroed(kRequests * kBlocks * sizeof(int32_t));
  s.projection = zeroed(sizeof(float) * kTokens * kWidth);
  s.rope = zeroed(sizeof(float) * kPositions * 64);
  s.plan = zeroed((size_t)pleat_plan_bytes(kTokens));
  for (int i = 0; i < kRequests * kBlocks; ++i)
    s.block_table[i] = i;
  fill_batch(&s);
  rope = pleat_packed2(s.rope, PLEAT_F32, kPositions, 64);
  if (pleat_build_rope_table(PLEAT_VLLM, &rope) != PLEAT_OK) return 1;
  for (int layer = 0; layer < kLayers; ++layer) {
    m[layer] = new_layer();
    calls[layer] = call_of_layer(&m[layer], &s);
  }
  exec.checked = 1; /* while integrating: slots, pages and positions are looked at */
  if (run_step(calls, &s, kTokens, &exec) != PLEAT_OK) return 1;
  /* Rows 0 and 1 are request 0's, row 2 request 1's; row 3 is nobody's. */
  for (int layer = 0; layer < kLayers; ++layer) {
    const unsigned char* scales = m[layer].cache + 64 * 576;
    if (scales[0] == 0 || scales[8] == 0 || scales[16] == 0 || scales[24] != 0) return 1;
  }
  if (!model_steps(&calls[1], &s, &exec)) return 1;
  s.state_slots[3] = 1000; /* no such page: refused before anything is written */
  if (run_step(calls, &s, kTokens, &exec) != PLEAT_OUT_OF_RANGE) return 1;
  printf("an engine's step from C\n");
  return 0;
}
