// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/trace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string error_of(const std::string& text) {
  try {
    parse_trace(text, "t");
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Trace, AFirstLineWithNumbersIsNoHeader) {
  for (const char* first : {"x0,10,10\n", "ten,10,10\n"}) {
    EXPECT_THAT(error_of(std::string(first) + "5,3,3\n"), StartsWith("t:1: arrival: expected"));
  }
  EXPECT_EQ(error_of("\"0\",\"10\",\"10\"\n5,3,3\n"),
            "t:1: expected fields without quotes, got \"\\\"0\\\",\\\"10\\\",\\\"10\\\"\"");
  EXPECT_EQ(parse_trace("\"at\",\"in\",\"out\"\n5,3,3\n", "t").requests.size(), 1U);
}

TEST(Trace, ReadsMooncakeLines) {
  const Trace t = parse_trace(
      "{\"timestamp\": 3000, \"input_length\": 7, \"output_length\": 2, \"hash_ids\": [1, 2]}\n"
      "{\"output_length\": 0, \"timestamp\": 3027.5, \"input_length\": 9}\n",
      "t");
  ASSERT_EQ(t.format, TraceFormat::mooncake);
  ASSERT_EQ(t.requests.size(), 2U);
  EXPECT_EQ(t.requests[0].arrival_us, 0);
  EXPECT_EQ(t.requests[0].input_tokens, 7);
  EXPECT_EQ(t.requests[0].output_tokens, 2);
  EXPECT_EQ(t.requests[1].arrival_us, 27'500);
  EXPECT_EQ(t.requests[1].id, 1);
}

TEST(Trace, ReadsAzureTimestampsWithFractionsAndZones) {
  const Trace t = parse_trace(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
      "2023-11-16 23:59:59.9999999,374,44\r\n"
      "2023-11-17 00:00:00.0005000,396,109\r\n"
      "2023-11-17T02:00:01.25+02:00,1,0",
      "t");
  ASSERT_EQ(t.format, TraceFormat::azure);
  ASSERT_EQ(t.requests.size(), 3U);
  EXPECT_EQ(t.requests[1].arrival_us, 501);  // 100 ns digits are cut, not rounded
  EXPECT_EQ(t.requests[1].output_tokens, 109);
  EXPECT_EQ(t.requests[2].arrival_us, 1'250'001);
}

TEST(Trace, ZonesEastAndWestAndOfHalfHours) {
  const Trace t = parse_trace(
      "2023-11-16 18:00:00Z,1,0\n2023-11-16 12:30:01-05:30,1,0\n2023-11-16 23:30:02+05:30,1,0\n",
      "t");
  ASSERT_EQ(t.requests.size(), 3U);
  EXPECT_EQ(t.requests[1].arrival_us, 1'000'000);
  EXPECT_EQ(t.requests[2].arrival_us, 2'000'000);
}

TEST(Trace, TabsAreBlanks) {
  const Trace t = parse_trace("\t0,\t300\t,20\t\n", "t");
  ASSERT_EQ(t.requests.size(), 1U);
  EXPECT_EQ(t.requests[0].input_tokens, 300);
}

TEST(Trace, ReadsPlainCsvWithAndWithoutHeader) {
  for (const char* header : {"", "arrival_ms,input_tokens,output_tokens\n", "\xEF\xBB\xBF"}) {
    const Trace t = parse_trace(std::string(header) + "0, 300 ,20\n\n5.0625,1000,4\n", "t");
    ASSERT_EQ(t.format, TraceFormat::csv);
    ASSERT_EQ(t.requests.size(), 2U);
    EXPECT_EQ(t.requests[0].input_tokens, 300);
    EXPECT_EQ(t.requests[1].arrival_us, 5062);
  }
}

TEST(Trace, TellsTheCsvsApartByTheirFirstRequest) {
  for (const char* header :
       {"timestamp_ms,input_tokens,output_tokens\n", "timestamp,a,b\n", "Timestamp , x , y\n"}) {
    const Trace plain = parse_trace(std::string(header) + "0,300,20\n2023,1,1\n", "t");
    EXPECT_EQ(plain.format, TraceFormat::csv) << header;
    EXPECT_EQ(plain.requests.size(), 2U);
    const Trace dated = parse_trace(std::string(header) + "\n2023-11-16 18:15:46,300,20\n", "t");
    EXPECT_EQ(dated.format, TraceFormat::azure) << header;
  }
  EXPECT_EQ(parse_trace("arrival,in,out\n2023-11-16 18:15:46,3,2\n", "t").format,
            TraceFormat::azure);
}

TEST(Trace, TakesNoOtherOrderOfColumns) {
  EXPECT_EQ(error_of("TIMESTAMP,GeneratedTokens,ContextTokens\n2023-11-16 18:15:46,44,374\n"),
            "t:1: column 2: expected the input tokens (Azure: ContextTokens), got "
            "\"GeneratedTokens\"");
  EXPECT_EQ(error_of("output_tokens,input_tokens,arrival_ms\n1,2,3\n"),
            "t:1: column 1: expected the arrival, got \"output_tokens\"");
  EXPECT_EQ(error_of("\"id\",\"prompt\",\"time\"\n1,2,3\n"),
            "t:1: column 3: expected the output tokens (Azure: GeneratedTokens), got "
            "\"\\\"time\\\"\"");
  EXPECT_EQ(error_of("when,prompt_tokens,response_time\n1,2,3\n"), "no error")
      << "a name that says two things says nothing";
  EXPECT_EQ(error_of("time,prompt_token_count,candidates_token_count\n1,2,3\n"), "no error");
}

TEST(Trace, TakesNoSpoiledRequestForAHeader) {
  const std::string good = "{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 1}\n";
  for (const char* spoilt : {"x", "[", "\""})
    EXPECT_THAT(error_of(spoilt + good + good), StartsWith("t:1: expected ")) << spoilt;
}

TEST(Trace, RefusesAKeyNamedTwice) {
  EXPECT_EQ(error_of("{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 1, "
                     "\"input_length\": 6}"),
            "t:1: expected each key once, got \"input_length\" twice");
  EXPECT_EQ(error_of("{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 1, "
                     "\"more\": [{\"timestamp\": 1}, {\"timestamp\": 2}]}"),
            "no error");
}

TEST(Trace, SaysWhereALineIsNoJson) {
  const std::string good = "{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 1}\n";
  EXPECT_EQ(error_of(good + "\n  {\"timestamp\": x}\n"),
            "t:3: expected a JSON object, got what is not JSON at column 17: "
            "\"{\\\"timestamp\\\": x}\"");
  EXPECT_THAT(error_of(good + "{\"timestamp\": 1e999}\n"),
              StartsWith("t:2: expected a JSON object, got a number that no double holds"));
}

TEST(Trace, SortsByArrivalAndKeepsTheFilesOrderOtherwise) {
  const Trace t = parse_trace("20,1,1\n10,2,1\n20,3,1\n10,4,1\n", "t");
  std::vector<std::int64_t> ids;
  for (const TraceRequest& r : t.requests)
    ids.push_back(r.id);
  EXPECT_EQ(ids, (std::vector<std::int64_t>{1, 3, 0, 2}));
  EXPECT_EQ(t.requests[0].arrival_us, 0);
  EXPECT_EQ(t.requests[2].arrival_us, 10'000);
}

struct BadTrace {
  const char* text;
  const char* where;  ///< "label:line: ", or "label: " for the whole file
  const char* what;
  const char* got;
};

class BadTraces : public ::testing::TestWithParam<BadTrace> {};

TEST_P(BadTraces, AreRefusedWithLineExpectedAndGot) {
  const BadTrace& bad = GetParam();
  EXPECT_THAT(error_of(bad.text), AllOf(StartsWith(bad.where), HasSubstr("expected"),
                                        HasSubstr(bad.what), HasSubstr(bad.got)));
}

INSTANTIATE_TEST_SUITE_P(
    Trace, BadTraces,
    ::testing::Values(
        BadTrace{"", "t: ", "at least one request", "none"},
        BadTrace{"\n \r\n", "t: ", "at least one request", "none"},
        BadTrace{"arrival_ms,input_tokens,output_tokens\n", "t: ", "at least one request", "none"},
        BadTrace{"a,b\n1,2,3\n", "t:1: ", "3 fields", "a,b"},
        BadTrace{"1,2,3\n1,2\n", "t:2: ", "3 fields", "1,2"},
        BadTrace{"1,2,3\n1,\"2\",3\n", "t:2: ", "without quotes", "2"},
        BadTrace{"1,2,3,4\n", "t:1: ", "3 fields", "1,2,3,4"},
        BadTrace{"1,0,3\n", "t:1: ", "input tokens", "0"},
        BadTrace{"1,-5,3\n", "t:1: ", "input tokens", "-5"},
        BadTrace{"1,5,-1\n", "t:1: ", "output tokens", "-1"},
        BadTrace{"-1,5,1\n", "t:1: ", "arrival", "-1"},
        BadTrace{"-0.5,5,1\n", "t:1: ", "arrival", "-0.5"},
        BadTrace{"1e3,5,1\n", "t:1: ", "arrival", "1e3"},
        BadTrace{"1.,5,1\n", "t:1: ", "arrival", "1."},
        BadTrace{"nan,5,1\n0,x,1\n", "t:1: ", "arrival", "nan"},
        BadTrace{"arrival,input,output\n0,x,1\n", "t:2: ", "input tokens", "x"},
        BadTrace{"1,5,1\n99999999999999999999999,5,1\n", "t:2: ", "arrival", "99999999"},
        BadTrace{"1,99999999999999999999,1\n", "t:1: ", "input tokens", "99999999"},
        BadTrace{"1,1048576,1\n", "t:1: ", "at most 1048576 together", "1048576 + 1"},
        BadTrace{"1,12.5,1\n", "t:1: ", "input tokens", "12.5"},
        BadTrace{"1,\xff\xfe,1\n", "t:1: ", "input tokens", "got"},
        BadTrace{"{}\n", "t:1: ", "timestamp", "none"},
        BadTrace{"{\"timestamp\": 1}\n", "t:1: ", "input_length", "none"},
        BadTrace{"{\"timestamp\": -1, \"input_length\": 1, \"output_length\": 1}",
                 "t:1: ", "timestamp", "-1"},
        BadTrace{"{\"timestamp\": 1e300, \"input_length\": 1, \"output_length\": 1}",
                 "t:1: ", "timestamp", "1e+300"},
        BadTrace{"{\"timestamp\": \"1\", \"input_length\": 1, \"output_length\": 1}",
                 "t:1: ", "timestamp", "1"},
        BadTrace{"{\"timestamp\": 1, \"input_length\": 1.5, \"output_length\": 1}",
                 "t:1: ", "input_length", "1.5"},
        BadTrace{"{\"timestamp\": 1, \"input_length\": 18446744073709551616, \"output_length\": 1}",
                 "t:1: ", "input_length", "1.8446744073709552e+19"},
        BadTrace{"{\"timestamp\": 1, \"input_length\": 1, \"output_length\": null}",
                 "t:1: ", "output_length", "null"},
        BadTrace{"{\"timestamp\": 1, \"input_length\": 1, \"output_length\": 1}\n[1]\n",
                 "t:2: ", "JSON object", "[1]"},
        BadTrace{"{\"timestamp\": 1, \"input_leng", "t:1: ", "JSON object", "input_leng"},
        BadTrace{"{\"timestamp\": \"\xff\", \"input_length\": 1}", "t:1: ", "JSON object", "got"},
        BadTrace{"2023-02-29 00:00:00,1,1\n", "t:1: ", "date and time", "2023-02-29"},
        BadTrace{"2023-11-16 24:00:00,1,1\n", "t:1: ", "date and time", "24:00:00"},
        BadTrace{"2023-11-16 18:15:46.,1,1\n", "t:1: ", "date and time", "46."},
        BadTrace{"2023-11-16 18:15:46.68x,1,1\n", "t:1: ", "date and time", "68x"},
        BadTrace{"2023-11-16 18:15:46+2,1,1\n", "t:1: ", "date and time", "+2"},
        BadTrace{"2023-11-16 18:15:46+02x00,1,1\n", "t:1: ", "date and time", "+02x00"},
        BadTrace{"2023-11-16 18:15:61,1,1\n", "t:1: ", "date and time", "15:61"},
        BadTrace{"{\"timestamp\": 1000000000001, \"input_length\": 1, \"output_length\": 1}",
                 "t:1: ", "timestamp: expected milliseconds from 0 to 1000000000000",
                 "1000000000001"},
        BadTrace{"2023-11-16 18:15:-6,1,1\n", "t:1: ", "date and time", "-6"}));

TEST(Trace, ReadsTheShippedExcerpt) {
  const Trace t = read_trace(PLEAT_SOURCE_DIR "/data/mooncake_excerpt.jsonl");
  EXPECT_EQ(t.format, TraceFormat::mooncake);
  EXPECT_EQ(t.requests.size(), 300U);
  EXPECT_EQ(t.requests[0].input_tokens, 6758);
}

TEST(Trace, ReadsTheWholeTracesWhereTheyAre) {
  const std::string folder = PLEAT_SOURCE_DIR "/../shared/traces/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder << " here";
  const Trace mooncake = read_trace(folder + "mooncake_conversation.jsonl");
  EXPECT_EQ(mooncake.requests.size(), 12031U);
  EXPECT_EQ(mooncake.requests.back().arrival_us, 3'536'999'000);
  const Trace azure = read_trace(folder + "azure_conv_2023.csv");
  EXPECT_EQ(azure.format, TraceFormat::azure);
  EXPECT_EQ(azure.requests.size(), 19366U);
  EXPECT_EQ(azure.requests[1].arrival_us, 4'314'579);
}

TEST(Trace, IsNoPipe) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe(ends), 0);
  const std::string name = "/dev/fd/" + std::to_string(ends[0]);
  try {
    read_trace(name);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.what(), name + ": expected a regular file, got a pipe; save it to a file first");
  }
  close(ends[0]);
  close(ends[1]);
  EXPECT_THROW(read_trace("/dev/null"), Error);
}

TEST(Trace, MessagesAreAscii) {
  EXPECT_EQ(error_of("1,\xc3\xa4\x9b,1\n"),
            "t:1: input tokens: expected a whole number from 0 to 1048576, got "
            "\"\\xc3\\xa4\\x9b\"");
}

TEST(Trace, NamesAFileThatIsNotThere) {
  EXPECT_THROW(read_trace("/nonexistent/trace.csv"), Error);
}

}  // namespace
}  // namespace pleat::tools
