// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pleat/pleat.hpp>

#include "numerics/order.hpp"

namespace pleat::reference {

/// Typed access to a call's views, in 64-bit offsets. Nothing is checked here.
template <class T>
T* at(const TensorView& v, std::int64_t i, std::int64_t j = 0, std::int64_t k = 0) {
  return static_cast<T*>(v.data) + i * v.stride[0] + j * v.stride[1] + k * v.stride[2];
}

inline std::int64_t position_of(const Batch& b, std::int64_t t) {
  return *at<std::int64_t>(b.positions, t);
}
inline std::int32_t request_of(const Batch& b, std::int64_t t) {
  return *at<std::int32_t>(b.token_to_req, t);
}
inline bool is_live(const Batch& b, std::int64_t t) {
  return *at<std::int64_t>(b.state_slots, t) >= 0;
}
inline bool closes(const Batch& b, std::int64_t t, std::int32_t ratio) {
  return is_live(b, t) && (position_of(b, t) + 1) % ratio == 0;
}

/// Element i of a row of fp32 or bf16.
float element(const TensorView& v, std::int64_t i, std::int64_t j = 0, std::int64_t k = 0);

/// How many of the last `window` positions up to token t's are tokens of this step: they stand
/// directly before t, live, of the same request, with consecutive positions.
std::int32_t fresh_rows(const Batch& b, std::int64_t t, std::int32_t window);

/// The request's length after the step, seen from its live token t.
std::int64_t length_after(const Batch& b, std::int64_t t);

/// Whether live token t's state row is written (policy, and what a ring can hold).
bool is_saved(const Call& call, std::int64_t t);

/// State row of a position: {page, row}.
struct Place {
  std::int64_t page;
  std::int64_t row;
};
Place state_place(const StateView& s, std::int32_t request, std::int64_t position);

/// What a state of this dtype keeps of a value.
float kept(DType state, float x);

/// kv and score of one row of a window, as the state has it or would have it.
struct RowSource {
  const Call& call;
  bool from_state_only;  ///< compress, compress_store: no projection

  /// Channel c (of 2S halves already resolved by the caller: 0 <= c < S) of the row at distance
  /// `back` before closing token t.
  float kv(std::int64_t t, std::int32_t back, std::int32_t fresh, std::int32_t c) const;
  numerics::Score score(std::int64_t t, std::int32_t back, std::int32_t fresh,
                        std::int32_t c) const;
};

}  // namespace pleat::reference
