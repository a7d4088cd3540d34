// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <pleat/pleat.hpp>

#include "api/checked.hpp"
#include "api/guarded.hpp"
#include "api/pair.hpp"
#include "api/plan_check.hpp"
#include "api/plan_layout.hpp"
#include "api/refuse.hpp"
#include "api/validate.hpp"
#include "cpu/backend.hpp"
#include "reference/backend.hpp"

#if PLEAT_HAVE_CUDA
#include "cuda/backend.hpp"
#endif

#include <string>

namespace pleat {
namespace {

struct BackendCalls {
  Status (*usable)(const Exec&);  ///< whether this machine can run it as asked
  Status (*run)(Op, const Call&, const Exec&);
  std::string (*describe)(Op, const Call&, const Exec&);
  Status (*run_pair)(const Call& main, const Call& indexer, const Exec&);
  std::string (*describe_pair)(const Call& main, const Call& indexer, const Exec&);
  const char* missing;  ///< why this build has none, or null
};

constexpr BackendCalls calls_of(Backend backend) {
  switch (backend) {
    case Backend::cpu:
      return {cpu::usable, cpu::run, cpu::describe, cpu::run_pair, cpu::describe_pair, nullptr};
    case Backend::reference:
      return {reference::usable,   reference::run,           reference::describe,
              reference::run_pair, reference::describe_pair, nullptr};
    case Backend::cuda:
#if PLEAT_HAVE_CUDA
      return {cuda::usable,   cuda::run,           cuda::describe,
              cuda::run_pair, cuda::describe_pair, nullptr};
#else
      return {nullptr, nullptr, nullptr, nullptr, nullptr, "this build has no CUDA backend"};
#endif
  }
  return {nullptr, nullptr, nullptr, nullptr, nullptr, "no such backend"};
}

/// A backend that is here and can run as asked.
Status admit_backend(const Exec& exec) {
  const BackendCalls backend = calls_of(exec.backend);
  if (backend.missing != nullptr) {
    return api::refusal(StatusCode::unsupported, "exec.backend", "cpu or reference",
                        std::string(name(exec.backend)) + ": " + backend.missing);
  }
  return backend.usable(exec);
}

/// A valid call that a present backend can take.
Status admit(Op op, const Call& call, const Exec& exec) {
  if (Status s = api::validate(op, call, exec); !s.ok()) return s;
  return admit_backend(exec);
}

Status admit_pair(const Call& main, const Call& indexer, const Exec& exec) {
  if (Status s = api::validate_pair(main, indexer, exec); !s.ok()) return s;
  return admit_backend(exec);
}

Status run_admitted(Op op, const Call& call, const Exec& exec) {
  if (call.batch.positions.shape[0] == 0 && op != Op::plan) return {};
  const Call used = api::only_used(op, call);
  if (exec.backend != Backend::cuda) {
    if (Status s = api::check_plan_header(op, used); !s.ok()) return s;
    if (exec.checked) {
      if (Status s = api::check_indices(op, used); !s.ok()) return s;
    }
  }
  return calls_of(exec.backend).run(op, used, exec);
}

Status run_admitted_pair(const Call& main, const Call& indexer, const Exec& exec) {
  if (main.batch.positions.shape[0] == 0) return {};
  const Call first = api::only_used(Op::step, main);
  const Call second = api::only_used(Op::step, indexer);
  if (exec.backend != Backend::cuda) {
    if (Status s = api::check_pair_plan(first, second); !s.ok()) return s;
    if (exec.checked) {
      if (Status s = api::check_pair_indices(first, second); !s.ok()) return s;
    }
  }
  return calls_of(exec.backend).run_pair(first, second, exec);
}

}  // namespace

std::int64_t plan_bytes(std::int64_t tokens) {
  if (tokens < 0 || tokens > api::kMaxTokens) return 0;
  const auto saves = tokens * static_cast<std::int64_t>(sizeof(std::int32_t));
  return static_cast<std::int64_t>(sizeof(PlanHeader)) + plan_entries_bytes(tokens) +
         (saves + 63) / 64 * 64;
}

Status run(Op op, const Call& call, const Exec& exec) {
  return api::guarded([&] {
    if (Status s = admit(op, call, exec); !s.ok()) return s;
    return run_admitted(op, call, exec);
  });
}

Status plan(const Call& call, const Exec& exec) {
  return run(Op::plan, call, exec);
}
Status save_state(const Call& call, const Exec& exec) {
  return run(Op::save_state, call, exec);
}
Status compress(const Call& call, const Exec& exec) {
  return run(Op::compress, call, exec);
}
Status norm_rope_store(const Call& call, const Exec& exec) {
  return run(Op::norm_rope_store, call, exec);
}
Status compress_store(const Call& call, const Exec& exec) {
  return run(Op::compress_store, call, exec);
}
Status step(const Call& call, const Exec& exec) {
  return run(Op::step, call, exec);
}

Status csa_step(const Call& main, const Call& indexer, const Exec& exec) {
  return api::guarded([&] {
    if (Status s = admit_pair(main, indexer, exec); !s.ok()) return s;
    return run_admitted_pair(main, indexer, exec);
  });
}

bool available(Backend backend) {
  const BackendCalls calls = calls_of(backend);
  return calls.missing == nullptr && calls.usable({backend}).ok();
}

Status describe(Op op, const Call& call, const Exec& exec, std::string* text) {
  return api::guarded([&] {
    if (text == nullptr) return api::invalid("text", "a string to fill", "null");
    if (Status s = admit(op, call, exec); !s.ok()) return s;
    *text = calls_of(exec.backend).describe(op, api::only_used(op, call), exec);
    return Status{};
  });
}

Status describe_csa_step(const Call& main, const Call& indexer, const Exec& exec,
                         std::string* text) {
  return api::guarded([&] {
    if (text == nullptr) return api::invalid("text", "a string to fill", "null");
    if (Status s = admit_pair(main, indexer, exec); !s.ok()) return s;
    *text =
        calls_of(exec.backend)
            .describe_pair(api::only_used(Op::step, main), api::only_used(Op::step, indexer), exec);
    return Status{};
  });
}

}  // namespace pleat
