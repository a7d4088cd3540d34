/* SPDX-FileCopyrightText: 2026 The Pleat authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two CSA layers called as an engine would, on the CPU: the code that docs/integration.md shows
 * (tests/docs_test.cpp compares them), and a step that it runs on. */
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
/* Once per step and layer: T tokens, padding included. The arrays are shared by all layers. */
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
    m[layer].state = zeroed(sizeof(float) * kPages * kPageFloats);
    m[layer].ape = zeroed(sizeof(float) * 4 * 1024);
    m[layer].norm = zeroed(sizeof(float) * 512);
    m[layer].cache = zeroed(kCachePage);
    for (int i = 0; i < 512; ++i)
      m[layer].norm[i] = 1.0F;
    calls[layer] = call_of_layer(&m[layer], &s);
  }
  exec.checked = 1; /* while integrating: slots, pages and positions are looked at */
  if (run_step(calls, &s, kTokens, &exec) != PLEAT_OK) return 1;
  /* Rows 0 and 1 are request 0's, row 2 request 1's; row 3 is nobody's. */
  for (int layer = 0; layer < kLayers; ++layer) {
    const unsigned char* scales = m[layer].cache + 64 * 576;
    if (scales[0] == 0 || scales[8] == 0 || scales[16] == 0 || scales[24] != 0) return 1;
  }
  s.state_slots[3] = 1000; /* no such page: refused before anything is written */
  if (run_step(calls, &s, kTokens, &exec) != PLEAT_OUT_OF_RANGE) return 1;
  printf("an engine's step from C\n");
  return 0;
}
