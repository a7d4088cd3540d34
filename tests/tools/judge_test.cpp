// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/judge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "support/small_case.hpp"
#include "tools/error.hpp"
#include "tools/run_case.hpp"

namespace pleat::tools {
namespace {

using test::make_small_case;
using test::SmallCase;

TensorFile result_of(const SmallCase& shape) {
  Case c = make_case(make_small_case(shape), "x.st");
  Exec exec;
  exec.backend = Backend::reference;
  run_case(c, exec, false);
  return take_results(std::move(c));
}

Tensor copy_of(const Tensor& t, const std::string& name) {
  Tensor c = make_tensor(name, t.element, t.shape);
  std::memcpy(c.bytes.data(), t.bytes.data(), t.bytes.size());
  return c;
}

/// What a case that expects what the reference gives says of a result that `spoil` has changed.
std::vector<Verdict> judged(const SmallCase& shape, const std::function<void(TensorFile&)>& spoil) {
  TensorFile file = make_small_case(shape);
  for (const Tensor& t : result_of(shape).tensors) {
    if (t.name == "compressed") {
      Tensor wide = make_tensor("expect.compressed", Element::f64, t.shape);
      for (std::size_t i = 0; i < t.bytes.size() / 4; ++i) {
        wide.as<double>()[i] = t.as<float>()[i];
      }
      file.tensors.push_back(std::move(wide));
    } else {
      file.tensors.push_back(copy_of(t, "expect." + t.name));
    }
  }
  Case expected = make_case(std::move(file), "x.st");
  TensorFile result = result_of(shape);
  spoil(result);
  return judge(expected, "x.st", result, "result");
}

bool judged_ok(const SmallCase& shape, const std::function<void(TensorFile&)>& spoil) {
  const std::vector<Verdict> all = judged(shape, spoil);
  return std::all_of(all.begin(), all.end(), [](const Verdict& v) { return v.ok; });
}

SmallCase shape_of(Op op) {
  SmallCase c;
  c.op = op;
  return c;
}

const auto kUnchanged = [](TensorFile&) {};

/// The first row that the case of csa writes: slot 1 or another one, found by what changed.
std::uint8_t* written_row(TensorFile& f) {
  Tensor* t = f.find("kv_cache");
  for (std::size_t row = 0;; ++row) {
    std::uint8_t* at = t->bytes.data() + row * 576;
    if (at[0] != 0xA5 || at[1] != 0xA5 || at[2] != 0xA5) return at;
  }
}

TEST(Judge, AResultThatIsAsExpected) {
  for (const Op op :
       {Op::save_state, Op::compress, Op::norm_rope_store, Op::compress_store, Op::step}) {
    EXPECT_TRUE(judged_ok(shape_of(op), kUnchanged)) << name(op);
  }
}

TEST(Judge, ACodeMayBeOneQuantumOffAndNoFurther) {
  const SmallCase shape = shape_of(Op::compress_store);
  EXPECT_TRUE(judged_ok(shape, [](TensorFile& f) { written_row(f)[0] ^= 1; }));
  EXPECT_FALSE(judged_ok(shape, [](TensorFile& f) { written_row(f)[0] += 2; }));
  EXPECT_FALSE(judged_ok(shape, [](TensorFile& f) {
    for (int i = 0; i < 64; ++i)
      written_row(f)[i] ^= 1;  // too many of them
  }));
}

TEST(Judge, GivesOneCountOfCodesAndItsRate) {
  const auto verdicts = judged(shape_of(Op::compress_store), [](TensorFile& f) {
    written_row(f)[0] ^= 1;
    written_row(f)[1] += 2;
  });
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_THAT(verdicts[0].text,
              testing::HasSubstr("2 of 2048 codes differ (9.8e-04), 1 of them by more than one "
                                 "quantum, 0 scales differ"));
}

TEST(Judge, NoStrayByte) {
  const SmallCase shape = shape_of(Op::compress_store);
  EXPECT_FALSE(judged_ok(shape, [](TensorFile& f) { f.find("kv_cache")->bytes.data()[0] ^= 1; }))
      << "row 0 belongs to no token";
  EXPECT_FALSE(judged_ok(shape, [](TensorFile& f) {
    Tensor* t = f.find("kv_cache");
    t->bytes.data()[t->bytes.size() - 1] ^= 1;
  })) << "padding";
}

/// Where token t's state row lies in the bytes of a case's state.
struct StateRow {
  std::int64_t at;
  std::int64_t bytes;
};
StateRow state_row(const Case& c, std::int64_t t) {
  const std::int64_t slot = c.file.find("state_slots")->as<std::int64_t>()[t];
  const std::int64_t rows = c.header.state_page_rows;
  const std::int64_t bytes = c.header.compressor.geometry.row_width() * 4;
  return {slot / rows * c.file.find("state")->shape[1] * 4 + slot % rows * bytes, bytes};
}

/// Whether a result may have token t's state row as it was before the step.
bool may_stay_old(const SmallCase& shape, std::int64_t t) {
  const Case before = make_case(make_small_case(shape), "x.st");
  const auto* old = before.file.find("state")->bytes.data();
  const StateRow row = state_row(before, t);
  return judged_ok(shape, [&](TensorFile& f) {
    std::memcpy(f.find("state")->bytes.data() + row.at, old + row.at,
                static_cast<std::size_t>(row.bytes));
  });
}

TEST(Judge, StateToTheByteButForRowsThatMayStayOld) {
  EXPECT_FALSE(
      judged_ok(shape_of(Op::step), [](TensorFile& f) { f.find("state")->bytes.data()[7] ^= 1; }));
  SmallCase tail = shape_of(Op::step);
  tail.geometry = "hca";
  tail.requests = {{0, 128 + 40}};  // positions 0 to 127 may stay old
  tail.tail = true;
  const TensorFile old = make_small_case(tail);
  const TensorFile all = [&] {
    SmallCase c = tail;
    c.tail = false;
    return result_of(c);
  }();
  EXPECT_TRUE(judged_ok(tail, kUnchanged));
  const StateRow fifth = state_row(make_case(make_small_case(tail), "x.st"), 5);
  EXPECT_FALSE(judged_ok(tail, [&](TensorFile& f) {
    f.find("state")->bytes.data()[fifth.at] ^= 1;  // neither old nor new
  }));
  EXPECT_FALSE(may_stay_old(tail, 150)) << "must be new";
  EXPECT_NE(std::memcmp(all.find("state")->bytes.data(), old.find("state")->bytes.data(),
                        all.find("state")->bytes.size()),
            0);
}

// Rollback 2: of n tokens, all from floor((n - 2) / R) * R on are new, and one group more of CSA.
TEST(Judge, WhereTheTailBegins) {
  struct Tail {
    const char* geometry;
    std::int64_t tokens;
    std::int64_t first;
  };
  for (const Tail& c :
       {Tail{"csa", 30, 24}, Tail{"csa", 29, 20}, Tail{"hca", 131, 128}, Tail{"hca", 129, 0}}) {
    SCOPED_TRACE(std::string(c.geometry) + ", " + std::to_string(c.tokens) + " tokens");
    SmallCase shape = shape_of(Op::step);
    shape.geometry = c.geometry;
    shape.tail = true;
    shape.requests = {{0, c.tokens}};
    EXPECT_FALSE(may_stay_old(shape, c.first));
    if (c.first > 0) {
      EXPECT_TRUE(may_stay_old(shape, c.first - 1));
    }
  }
}

TEST(Judge, OneScaleMayDifferAndTwoMayNot) {
  const auto ok = [](int scales) {
    return judged_ok(shape_of(Op::compress_store), [&](TensorFile& f) {
      constexpr std::int64_t rows = 4;  // of a page
      Tensor* t = f.find("kv_cache");
      int left = scales;
      for (std::int64_t row = 0; left > 0; ++row) {
        std::uint8_t* page = t->bytes.data() + row / rows * t->shape[1];
        const std::uint8_t* values = page + row % rows * 576;
        if (values[0] == 0xA5 && values[1] == 0xA5 && values[2] == 0xA5) continue;
        page[rows * 576 + row % rows * 8] ^= 1;
        --left;
      }
    });
  };
  EXPECT_TRUE(ok(1));
  EXPECT_FALSE(ok(2));
}

TEST(Judge, PooledRowsWithinTheLimit) {
  const SmallCase shape = shape_of(Op::compress);
  const auto scaled = [&](float factor) {
    return judged_ok(shape, [&](TensorFile& f) {
      Tensor* t = f.find("compressed");
      for (std::size_t i = 0; i < t->bytes.size() / 4; ++i)
        t->as<float>()[i] *= factor;
    });
  };
  EXPECT_TRUE(scaled(1.00001F));
  EXPECT_FALSE(scaled(1.00003F));
  EXPECT_FALSE(judged_ok(shape, [](TensorFile& f) { f.find("compressed")->as<float>()[0] = 1; }))
      << "token 0 closes nothing";
}

TEST(Judge, FourCodesOfTwoThousandMayDifferAndFiveMayNot) {
  const auto with = [](int codes) {
    return judged_ok(shape_of(Op::compress_store), [&](TensorFile& f) {
      for (int i = 0; i < codes; ++i)
        written_row(f)[i] ^= 1;
    });
  };
  EXPECT_TRUE(with(4));
  EXPECT_FALSE(with(5));
}

TEST(Judge, PooledRowsAreFinite) {
  for (const float bad : {NAN, INFINITY}) {
    EXPECT_FALSE(judged_ok(shape_of(Op::compress), [&](TensorFile& f) {
      Tensor* t = f.find("compressed");
      for (std::size_t i = 0; i < t->bytes.size() / 4; ++i) {
        if (t->as<float>()[i] != 0) t->as<float>()[i] = bad;
      }
    }));
  }
}

TEST(Judge, WhatCannotBeComparedIsAnError) {
  const SmallCase shape = shape_of(Op::step);
  EXPECT_THROW(judged_ok(shape, [](TensorFile& f) { f.tensors.pop_back(); }), Error);
  EXPECT_THROW(judged_ok(shape,
                         [](TensorFile& f) {
                           f.tensors.back() = make_tensor("kv_cache", Element::u8, {1, 4});
                         }),
               Error);
  Case bare = make_case(make_small_case(shape), "x.st");
  TensorFile result = result_of(shape);
  try {
    judge(bare, "x.st", result, "result");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "x.st: carries no expect.* tensor to judge by");
  }
}

}  // namespace
}  // namespace pleat::tools
