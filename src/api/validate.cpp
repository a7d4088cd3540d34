// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "api/validate.hpp"

#include "api/arguments.hpp"
#include "api/enum_check.hpp"
#include "api/names.hpp"
#include "api/overlap.hpp"
#include "api/refuse.hpp"
#include "api/view_check.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string_view>

namespace pleat::api {
namespace {

constexpr std::uintptr_t kPlanAlignment = 64;

Status check_exec(const Exec& exec) {
  if (Status s = check_enum("exec.backend", exec.backend, Backend::cuda); !s.ok()) return s;
  if (Status s = check_enum("exec.simd", exec.simd, SimdTarget::avx512); !s.ok()) return s;
  if (Status s = check_enum("exec.variant", exec.variant, Variant::fast); !s.ok()) return s;
  if (Status s = check_enum("exec.chain", exec.chain, Chain::early); !s.ok()) return s;
  if (exec.threads < 0) return invalid("exec.threads", "at least 0", exec.threads);
  if (exec.variant == Variant::fast && exec.backend != Backend::cuda) {
    return refusal(StatusCode::unsupported, "exec.variant",
                   fmt::format("exact on backend {}", name(exec.backend)), name(exec.variant));
  }
  return {};
}

Status check_geometry(const Geometry& g) {
  if (!is_valid(g)) {
    return invalid("compressor.geometry",
                   "ratio a power of two up to 1024, head dim a power of two from 64 to 4096, "
                   "rope dim even and from 2 to 64",
                   std::string_view(describe_geometry(g)));
  }
  return {};
}

Status check_rows(const Compressor& c) {
  if (Status s = check_enum("compressor.row_format", c.row_format, RowFormat::index_mxfp4); !s.ok())
    return s;
  if (!row_format_fits(c.row_format, c.geometry)) {
    return invalid("compressor.row_format",
                   fmt::format("a format that holds rows of {}", geometry_name(c.geometry)),
                   name(c.row_format));
  }
  if (!(std::isfinite(c.eps) && c.eps > 0)) {
    return invalid("compressor.eps", "greater than 0 and finite", c.eps);
  }
  return {};
}

Status check_compressor(Op op, const Compressor& c) {
  if (Status s = check_enum("compressor.recipe", c.recipe, Recipe::sglang); !s.ok()) return s;
  if (Status s = check_geometry(c.geometry); !s.ok()) return s;
  return stores_rows(op) ? check_rows(c) : Status{};
}

Status check_tokens(Op op, std::int64_t tokens) {
  const std::int64_t most = op == Op::plan ? kMaxPlanTokens : kMaxTokens;
  if (tokens <= most) return {};
  return invalid("batch.positions", fmt::format("at most {} tokens for {}", most, name(op)),
                 tokens);
}

Status check_views(Op op, const Call& call) {
  for (int i = 0; i < kArgs; ++i) {
    const auto arg = static_cast<Arg>(i);
    const Use use = use_of(op, arg, call);
    if (use == Use::no) continue;
    if (Status s = check_view(arg, use, call); !s.ok()) return s;
    if (arg == Arg::positions) {
      if (Status s = check_tokens(op, call.batch.positions.shape[0]); !s.ok()) return s;
    }
  }
  return {};
}

/// A window's rows must lie in the ring together, also after drafts are taken back.
Status check_ring(Op op, const Call& call) {
  const Geometry& g = call.compressor.geometry;
  if (call.state.layout != StateLayout::ring || use_of(op, Arg::state_pages, call) == Use::no) {
    return {};
  }
  const std::int64_t rollback = selects_state(op) ? call.write.rollback : 0;
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  if (call.state.pages.shape[1] > most) {
    return invalid("state.pages", fmt::format("middle dimension at most {} of a ring", most),
                   call.state.pages.shape[1]);
  }
  if (call.state.pages.shape[1] < g.window() + rollback) {
    return invalid("state.pages",
                   fmt::format("middle dimension at least {} (window {} of {} and rollback {}, as "
                               "the state is a ring)",
                               g.window() + rollback, g.window(), geometry_name(g), rollback),
                   call.state.pages.shape[1]);
  }
  const TensorView& table = call.state.block_table;
  if (use_of(op, Arg::block_table, call) != Use::no && table.shape[1] < 1) {
    return invalid("state.block_table", "last dimension at least 1 (column 0 is the ring)",
                   table.shape[1]);
  }
  return {};
}

/// Policy tail leaves out rows of windows that close within the step, and these ops read them all.
Status check_pooled_policy(Op op, const Call& call) {
  if (call.write.policy != StatePolicy::tail) return {};
  return invalid("write.policy",
                 fmt::format("all, as {} reads every row of a window from the state", name(op)),
                 name(call.write.policy));
}

Status check_state(Op op, const Call& call) {
  if (Status s = check_enum("state.layout", call.state.layout, StateLayout::ring); !s.ok())
    return s;
  if (use_of(op, Arg::state_pages, call) == Use::read) return check_pooled_policy(op, call);
  if (!selects_state(op)) return {};
  if (Status s = check_enum("write.policy", call.write.policy, StatePolicy::tail); !s.ok())
    return s;
  if (call.write.rollback < 0) return invalid("write.rollback", "at least 0", call.write.rollback);
  return {};
}

Status check_plan(Op op, const Call& call) {
  const PlanView& plan = call.plan;
  if (plan.data == nullptr) {
    if (op != Op::plan) return {};
    return invalid("plan.data", "memory of plan_bytes(plan.capacity)", "null");
  }
  const std::int64_t tokens = call.batch.positions.shape[0];
  if (plan.capacity < tokens || plan.capacity > kMaxTokens) {
    return invalid("plan.capacity",
                   fmt::format("from {} (T) to {}, the tokens that plan_bytes() was given", tokens,
                               kMaxTokens),
                   plan.capacity);
  }
  const auto address = reinterpret_cast<std::uintptr_t>(plan.data);
  if (address % kPlanAlignment != 0) {
    return invalid("plan.data", fmt::format("aligned to {} bytes", kPlanAlignment),
                   fmt::format("{} (off by {})", fmt::ptr(plan.data), address % kPlanAlignment));
  }
  return {};
}

}  // namespace

Status validate_exec(const Exec& exec) {
  return check_exec(exec);
}

Status validate_call(Op op, const Call& call) {
  if (Status s = check_compressor(op, call.compressor); !s.ok()) return s;
  if (Status s = check_state(op, call); !s.ok()) return s;
  if (Status s = check_views(op, call); !s.ok()) return s;
  if (Status s = check_ring(op, call); !s.ok()) return s;
  if (Status s = check_plan(op, call); !s.ok()) return s;
  return check_overlap(op, call);
}

Status validate(Op op, const Call& call, const Exec& exec) {
  if (Status s = check_enum("op", op, Op::step); !s.ok()) return s;
  if (Status s = validate_exec(exec); !s.ok()) return s;
  return validate_call(op, call);
}

Call only_used(Op op, const Call& call) {
  Call used = call;
  const auto keep = [&](Arg arg, TensorView& view) {
    const Use use = use_of(op, arg, call);
    if (use == Use::no) view = TensorView{};
    if (use == Use::shape) view.data = nullptr;
  };
  keep(Arg::kv_slots, used.batch.kv_slots);
  keep(Arg::token_to_req, used.batch.token_to_req);
  keep(Arg::projection, used.projection);
  keep(Arg::state_pages, used.state.pages);
  keep(Arg::block_table, used.state.block_table);
  keep(Arg::compressed, used.compressed);
  keep(Arg::cache, used.cache);
  keep(Arg::ape, used.weights.ape);
  keep(Arg::norm, used.weights.norm);
  keep(Arg::rope, used.weights.rope);
  keep(Arg::fp8_scale, used.weights.fp8_scale);
  if (!selects_state(op)) used.write = StateWrite{};
  return used;
}

}  // namespace pleat::api
