// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "support/index_refusals.hpp"

namespace pleat::test {
namespace {

/// Element i of an index array; the arrays are the test's own.
std::int64_t& wide(const TensorView& v, std::int64_t i) {
  return static_cast<std::int64_t*>(v.data)[i];
}
std::int32_t& narrow(const TensorView& v, std::int64_t i) {
  return static_cast<std::int32_t*>(v.data)[i];
}

constexpr auto kOut = StatusCode::out_of_range;

}  // namespace

// The call (ApiCall): csa, tokens 0..5 of request 0 at positions 4..9, tokens 6..9 of request 1 at
// positions 0..3, padding at 10 and 11; pages of 4 rows, 6 of them; block table {5,4,3},{2,1,0};
// windows close at tokens 3 and 9, with KV slots 1 and 2 of 6.
const std::vector<Refusal>& index_refusals() {
  static const std::vector<Refusal> all = {
      {"position_negative",
       Op::plan,
       SPOIL(wide(c.batch.positions, 2) = -3),
       {"batch.positions[2]: expected from 0 to 2147483646 (a position), got -3"},
       kOut},
      {"position_past_32_bits",
       Op::save_state,
       SPOIL(wide(c.batch.positions, 0) = kHuge),
       {"batch.positions[0]: expected from 0 to 2147483646", "got 9223372036854775807"},
       kOut},
      {"the_first_bad_token_is_named",
       Op::step,
       SPOIL(wide(c.batch.positions, 9) = -1; wide(c.batch.positions, 4) = -2),
       {"batch.positions[4]", "got -2"},
       kOut},
      {"request_past_the_table",
       Op::compress,
       SPOIL(narrow(c.batch.token_to_req, 6) = 2),
       {"batch.token_to_req[6]: expected from 0 to 1 (rows of state.block_table), got 2"},
       kOut},
      {"request_negative",
       Op::save_state,
       SPOIL(narrow(c.batch.token_to_req, 1) = -1),
       {"batch.token_to_req[1]: expected from 0 to", "got -1"},
       kOut},
      {"state_slot_past_the_pages",
       Op::save_state,
       SPOIL(wide(c.batch.state_slots, 5) = 24),
       {"batch.state_slots[5]: expected less than 24 (6 pages of 4 rows), got 24"},
       kOut},
      {"state_slot_in_another_page",
       Op::step,
       SPOIL(wide(c.batch.state_slots, 0) = 17),
       {"batch.state_slots[0]: expected 16 (what state.block_table says of request 0, position 4), "
        "got 17"},
       kOut},
      {"ring_slot_in_another_row",
       Op::step,
       SPOIL(wide(c.batch.state_slots, 0) += 1),
       {"batch.state_slots[0]: expected 256 (what state.block_table says of request 0, position "
        "124)",
        "got 257"},
       kOut,
       kHcaRing},
      {"two_tokens_one_ring_row",
       Op::save_state,
       SPOIL(wide(c.batch.state_slots, 1) = wide(c.batch.state_slots, 0)),
       {"batch.state_slots[1]: expected one in row 125 of a ring of 132 rows, as its position is "
        "125, got 256 in row 124"},
       kOut,
       kHcaRing},
      {"ring_that_has_lost_rows",
       Op::compress,
       SPOIL(c.state.pages.shape[1] = 129;
             for (int t = 0; t < 6; ++t) wide(c.batch.state_slots, t) = 129 + (124 + t) % 129),
       {"batch.positions[3]: expected a window that begins at position 1 or later, as a ring of "
        "129 "
        "rows has no older ones after token 5 (position 129), got 127, whose window begins at 0"},
       kOut,
       kHcaRing},
      {"table_page_past_the_pages",
       Op::compress,
       SPOIL(narrow(c.state.block_table, 0) = 6),
       {"state.block_table[0][0]: expected from 0 to 5 (pages), got 6, needed by token 3 for "
        "position 0"},
       kOut},
      {"table_page_negative",
       Op::compress_store,
       SPOIL(narrow(c.state.block_table, 3) = -1),
       {"state.block_table[1][0]: expected from 0 to 5 (pages), got -1, needed by token 9"},
       kOut},
      {"table_too_short",
       Op::compress,
       SPOIL(c.state.block_table.shape[1] = 1),
       {"batch.positions[3]: expected a position whose window lies in the 1 blocks of "
        "state.block_table, got 7, which needs block 1 for position 4"},
       kOut},
      {"kv_slot_past_the_cache",
       Op::norm_rope_store,
       SPOIL(wide(c.batch.kv_slots, 3) = 6),
       {"batch.kv_slots[3]: expected less than 6 (rows of the cache), got 6"},
       kOut},
      {"rope_too_short",
       Op::compress_store,
       SPOIL(c.weights.rope.shape[0] = 4),
       {"weights.rope: expected a row for position 4, where the window of token 3 begins, got 4 "
        "rows"},
       kOut},
      {"scale_zero",
       Op::step,
       SPOIL(*static_cast<float*>(c.weights.fp8_scale.data) = 0),
       {"weights.fp8_scale[0]: expected greater than 0 and finite, got 0"},
       kOut,
       kTensorFp8},
      {"scale_infinite",
       Op::step,
       SPOIL(*static_cast<float*>(c.weights.fp8_scale.data) = __builtin_inff()),
       {"weights.fp8_scale[0]: expected greater than 0 and finite, got inf"},
       kOut,
       kTensorFp8},
      {"position_at_the_bound",
       Op::plan,
       SPOIL(wide(c.batch.positions, 0) = 2147483647),
       {"batch.positions[0]: expected from 0 to 2147483646 (a position), got 2147483647"},
       kOut},
      {"positions_skip_in_save_state_tail",
       Op::save_state,
       SPOIL(c.write.policy = StatePolicy::tail; wide(c.batch.positions, 4) = 9),
       {"batch.positions[4]: expected 8, after token 3 of the same request, got 9"},
       kOut},
      // Tokens against each other.
      {"positions_skip",
       Op::plan,
       SPOIL(wide(c.batch.positions, 4) = 9),
       {"batch.positions[4]: expected 8, after token 3 of the same request, got 9"},
       kOut},
      {"request_comes_again",
       Op::plan,
       SPOIL(narrow(c.batch.token_to_req, 9) = 0),
       {"batch.token_to_req[9]: expected the tokens of request 0 to stand together, from token 0 "
        "on, got token 8 of request 1 between them"},
       kOut},
      {"padding_in_place_of_a_token",
       Op::step,
       SPOIL(wide(c.batch.state_slots, 7) = -1),
       {"batch.state_slots[7]: expected no padding between two tokens of request 1, got -1"},
       kOut},
      {"padding_inside_a_request",
       Op::step,
       SPOIL(wide(c.batch.state_slots, 7) = -1; wide(c.batch.positions, 8) = 1;
             wide(c.batch.positions, 9) = 2; wide(c.batch.state_slots, 8) = 9;
             wide(c.batch.state_slots, 9) = 10),
       {"batch.state_slots[7]: expected no padding between two tokens of request 1, got -1"},
       kOut},
      {"two_tokens_one_state_slot",
       Op::save_state,
       SPOIL(wide(c.batch.state_slots, 8) = wide(c.batch.state_slots, 1)),
       {"batch.state_slots[8]: expected a slot of its own, got slot 17, which token 1 has"},
       kOut},
      {"two_requests_one_ring",
       Op::step,
       SPOIL(narrow(c.state.block_table, 1) = 1;
             for (int t = 6; t < 134; ++t) wide(c.batch.state_slots, t) = 132 + t - 6),
       {"batch.state_slots[6]: expected a ring of its own for each request, got ring 1, which "
        "token",
        "has"},
       kOut,
       kHcaRing},
      {"a_row_that_another_request_reads",
       Op::step,
       SPOIL(narrow(c.state.block_table, 3) = 5;
             for (int t = 6; t < 10; ++t) wide(c.batch.state_slots, t) = 20 + t - 6),
       {"batch.state_slots[6]: expected a slot that no window of this step reads as an older row, "
        "got slot 20, where the window of token 3 has position 0"},
       kOut},
      {"two_windows_one_kv_slot",
       Op::step,
       SPOIL(wide(c.batch.kv_slots, 9) = 1),
       {"batch.kv_slots[9]: expected a slot of its own, got slot 1, which token 3 has"},
       kOut},
  };
  return all;
}

}  // namespace pleat::test
