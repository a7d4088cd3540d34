// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
//
// The program as a user meets it: help, exit statuses, and a case through apply, verify and
// inspect.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "support/small_case.hpp"
#include "tools/safetensors.hpp"

namespace pleat::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int exit = -1;
  std::string text;  ///< stdout and stderr
};

Outcome pleat(const std::string& arguments) {
  Outcome out;
  std::FILE* pipe = popen((PLEAT_PROGRAM " " + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> chunk{};
  while (std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
    out.text.append(chunk.data(), n);
  }
  const int status = pclose(pipe);
  out.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) /
        ("pleat_cli_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }
  std::string write_case(const std::string& name, const SmallCase& shape = {}) const {
    tools::write_safetensors(path(name), make_small_case(shape));
    return path(name);
  }

 private:
  fs::path folder_;
};

TEST_F(Cli, HelpOfEveryCommandEndsWithAnExample) {
  const Outcome top = pleat("--help");
  EXPECT_EQ(top.exit, 0);
  for (const std::string command : {"replay", "apply", "verify", "inspect", "bench"}) {
    EXPECT_THAT(top.text, HasSubstr("\n  " + command + " "));
    const Outcome help = pleat(command + " --help");
    EXPECT_EQ(help.exit, 0);
    const std::size_t example = help.text.rfind("Example");
    ASSERT_NE(example, std::string::npos) << command;
    EXPECT_THAT(help.text.substr(example), HasSubstr("pleat " + command + " "));
    std::size_t begin = 0;
    for (std::size_t end; (end = help.text.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      EXPECT_LE(end - begin, 100U) << help.text.substr(begin, end - begin);
    }
  }
}

TEST_F(Cli, HelpOfReplayNamesFormatsAndShowsLists) {
  // as one line: where it is wrapped says nothing
  std::string help;
  std::istringstream words(pleat("replay --help").text);
  for (std::string word; words >> word;)
    help += word + ' ';
  EXPECT_THAT(help, HasSubstr("hca=20,csa=21,indexer=21"));
  EXPECT_THAT(help, HasSubstr("hca and csa: fp8_mla, bf16, fp8_tensor; indexer: index_fp8, "
                              "index_mxfp4 [hca=fp8_mla,csa=fp8_mla,indexer=index_fp8; recipe "
                              "deepseek: indexer=index_mxfp4]"));
  EXPECT_THAT(help, HasSubstr("at most N tokens together, but at least one request"));
}

TEST_F(Cli, VersionNamesTheBackends) {
  const Outcome out = pleat("--version");
  EXPECT_EQ(out.exit, 0);
  EXPECT_THAT(out.text, testing::MatchesRegex("pleat [0-9.]+ \\(backends: cpu, reference.*\\)\n"));
}

TEST_F(Cli, WrongArgumentsExitWithTwo) {
  for (const char* arguments :
       {"", "fold", "apply", "apply x --out", "verify only_one", "inspect", "bench --suite gpu",
        "apply x --out y --backend fpga", "apply x --out y --threads -1", "inspect x --page one",
        "bench --windows 1", "replay"}) {
    const Outcome out = pleat(arguments);
    EXPECT_EQ(out.exit, 2) << arguments << ": " << out.text;
    EXPECT_FALSE(out.text.empty()) << arguments;
  }
}

TEST_F(Cli, RefusalsNameTheOptionAndWhatCame) {
  std::ofstream(path("t.csv")) << "0,300,3\n";
  const std::string trace = path("t.csv");
  const std::string file = write_case("a.st");
  const std::string long_name(300, 'a');
  const std::array<std::pair<std::string, std::string>, 27> refused{
      {{"fold", "expected replay, apply, verify, inspect or bench, got \"fold\""},
       {"--folds", "got \"--folds\""},
       {"replay " + trace + " --threads 257", "--threads: Value 257 not in range"},
       {"replay " + trace + " --backend cpu --cache-gb 0.001", "MiB (0.001 GiB)"},
       {"apply " + file + " --out " + trace + "/r.st", "--out " + trace + "/r.st: cannot write"},
       {"apply " + file + " --out " + path(long_name), "cannot write: File name too long"},
       {"bench --suite cpu --row hca", "--row: expected with --suite perf or behind alone, got"},
       {"bench --suite cpu --backend cuda", "--backend: expected cpu with --suite cpu, got cuda"},
       {"bench --suite behind --backend cpu", "--backend: expected cuda with --suite behind, got"},
       {"bench --backend cuda --threads 1", "--threads: expected with --suite cpu alone"},
       {"bench --suite perf --geometry hca", "--geometry: expected with --suite cpu alone"},
       {"bench --suite perf --seconds 1", "--seconds: expected with --suite cpu alone"},
       {"bench --threads 257", "--threads: Value 257 not in range"},
       // what would be passed over in silence
       {"replay " + trace + " --reject-rate 0.5", "--reject-rate: expected with --drafts alone"},
       {"replay " + trace + " --backend reference --simd avx2",
        "--simd: expected with --backend cpu or auto alone, got it with --backend reference"},
       {"apply " + file + " --out " + path("r.st") + " --backend reference --threads 2",
        "--threads: expected with --backend cpu or auto alone, got it with --backend reference"},
       {"apply " + file + " --out " + path("r.st") + " --backend reference --simd best", "--simd"},
       {"replay " + trace + " --layers csa=1 --row-format hca=bf16",
        "--row-format: expected kinds that have layers, got hca, which has none"},
       {"replay " + trace + " --row-format ''", "--row-format: expected a list"},
       {"replay " + trace + " --no-verify --sample-rate 0.5", "--sample-rate excludes --no-verify"},
       {"replay " + trace + " --requests 0", "--requests: Value 0 not in range"},
       {"replay " + trace + " --limit-tokens 0", "--limit-tokens: Value 0 not in range"},
       {"replay " + trace + " --json ''", "--json: expected the name of a file, got none"},
       {"replay " + trace + " --commit abc", "--commit requires --json"},
       {"bench --json ''", "--json: expected the name of a file, got none"},
       {"inspect " + file + " --map --row 1", "--row excludes --map"},
       {"inspect " + file + " --row 1 --map", "--row excludes --map"}}};
  for (const auto& [arguments, words] : refused) {
    const Outcome out = pleat(arguments);
    EXPECT_EQ(out.exit, 2) << arguments << ": " << out.text;
    EXPECT_THAT(out.text, HasSubstr(words)) << arguments;
  }
  EXPECT_FALSE(fs::exists(path("r.st")));
  EXPECT_EQ(pleat("replay " + trace + " --simd scalar --threads 1 --requests 1").exit, 0) << "auto";
  EXPECT_EQ(pleat("replay " + trace + " --drafts 0 --reject-rate 0.5 --backend cpu").exit, 0);
}

TEST_F(Cli, ApplyFollowsLinksAndLeavesNeighboursAlone) {
  const std::string file = write_case("a.st");
  std::ofstream(path("r.st.partial")) << "mine";
  fs::create_symlink("r.st", path("link.st"));
  ASSERT_EQ(pleat("apply " + file + " --out " + path("link.st")).exit, 0);
  EXPECT_TRUE(fs::is_symlink(path("link.st")));
  EXPECT_TRUE(fs::is_regular_file(path("r.st")));
  EXPECT_EQ(fs::file_size(path("r.st.partial")), 4U);
}

TEST_F(Cli, BackendsGiveTheSameBytes) {
  const std::string one = write_case("a.st");
  SmallCase hca;
  hca.geometry = "hca";
  hca.tail = true;
  const std::string two = write_case("b.st", hca);
  const std::array<std::string, 4> ways{"reference", "cpu", "cpu --threads 1 --with-plan",
                                        "cpu --checked"};
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const std::string out = path("out" + std::to_string(i));
    const Outcome ran =
        pleat("apply " + one + " " + two + " --out " + out + "/ --backend " + ways[i]);
    ASSERT_EQ(ran.exit, 0) << ran.text;
    EXPECT_THAT(ran.text, HasSubstr("hca     vllm        fp8_mla"));
    for (const std::string name : {"/a.st", "/b.st"}) {
      const Outcome same = pleat("verify " + path("out0") + name + " " + out + name);
      EXPECT_EQ(same.exit, 0) << ways[i] << same.text;
      EXPECT_THAT(same.text, HasSubstr("\nequal\n"));
    }
  }
}

TEST_F(Cli, NumbersAreNumbers) {
  std::ofstream(path("t.csv")) << "0,10,3\n";
  for (const std::string option :
       {"--sample-rate nan", "--reject-rate nan", "--step-ms inf", "--cache-gb nan"}) {
    const Outcome out = pleat("replay " + path("t.csv") + " " + option);
    EXPECT_EQ(out.exit, 2) << option;
    EXPECT_THAT(out.text, HasSubstr("expected a number in [")) << option;
  }
  EXPECT_EQ(pleat("bench --seconds nan").exit, 2);
  for (const std::string seed :
       {"18446744073709551616", "-1", "99999999999999999999999", "1e3", "0x10", "+1", "' 1'"}) {
    const Outcome out = pleat("replay " + path("t.csv") + " --seed " + seed);
    EXPECT_EQ(out.exit, 2) << seed;
    EXPECT_THAT(out.text, HasSubstr("expected a whole number from 0 to 18446744073709551615, got"));
  }
  const std::string last = "replay " + path("t.csv") + " --backend cpu --seed ";
  EXPECT_EQ(pleat(last + "18446744073709551615").exit, 0);
  const auto digest = [](const std::string& text) {
    return text.substr(text.find("\ndigest"), 31);
  };
  EXPECT_EQ(digest(pleat(last + "010").text), digest(pleat(last + "10").text)) << "no octal";
}

TEST_F(Cli, NothingVerifiedIsNotVerified) {
  std::ofstream(path("t.csv")) << "0,300,3\n";
  const Outcome none = pleat("replay " + path("t.csv") + " --backend cpu --sample-rate 0");
  EXPECT_EQ(none.exit, 0) << none.text;
  EXPECT_THAT(none.text, HasSubstr("rows not verified"));
  const Outcome some = pleat("replay " + path("t.csv") + " --backend cpu");
  EXPECT_THAT(some.text, testing::ContainsRegex("verdict +verified"));
}

TEST_F(Cli, RefusedRunsLeaveNoFiles) {
  std::ofstream(path("bad.csv")) << "0,10\n";
  EXPECT_EQ(pleat("replay " + path("bad.csv") + " --json " + path("e.json")).exit, 2);
  EXPECT_FALSE(fs::exists(path("e.json")));
  EXPECT_THAT(pleat("replay " + path("bad.csv") + " --json " + path("bad.csv")).text,
              HasSubstr("would overwrite the trace"));
  EXPECT_EQ(fs::file_size(path("bad.csv")), 5U);
  EXPECT_EQ(pleat("apply " + path("bad.csv") + " --out " + path("folder/")).exit, 2);
  EXPECT_FALSE(fs::exists(path("folder")));
  const Outcome nameless = pleat("apply " + path("bad.csv") + " --out ''");
  EXPECT_EQ(nameless.exit, 2);
  EXPECT_THAT(nameless.text, HasSubstr("--out: expected a file or a folder, got nothing"));
  if (!available(Backend::cuda)) {
    EXPECT_EQ(pleat("bench --suite perf --json " + path("made/x.json")).exit, 2);
    EXPECT_FALSE(fs::exists(path("made")));
  }
}

TEST_F(Cli, OutputThatIsLostIsAnError) {
  for (const std::string command : {"--version", "--help", "replay --help"}) {
    EXPECT_EQ(pleat(command + " >/dev/full").exit, 2) << command;
  }
}

TEST_F(Cli, ReportsGoToStandardOutputBehindTheTable) {
  std::ofstream(path("t.csv")) << "0,300,3\n";
  const std::string replay = "replay " + path("t.csv") + " --backend cpu --json ";
  const Outcome piped = pleat(replay + "/dev/stdout");
  EXPECT_EQ(piped.exit, 0) << piped.text;
  const std::string file = path("f");
  EXPECT_EQ(pleat(replay + "/dev/stdout >" + file).exit, 0);
  EXPECT_EQ(pleat(replay + file + ".named >" + file + ".named").exit, 0);
  for (const std::string& text : {piped.text, text_of(file), text_of(file + ".named")}) {
    const std::size_t verdict = text.find("verdict       verified\n{\n");
    ASSERT_NE(verdict, std::string::npos) << text;
    EXPECT_TRUE(nlohmann::json::accept(text.substr(text.find('{', verdict))));
  }
  const std::string file_case = write_case("a.st");
  const std::string apply = "apply " + file_case + " --quiet --out ";
  EXPECT_EQ(pleat(apply + path("r.st")).exit, 0);
  EXPECT_EQ(pleat(apply + "/dev/stdout").text, text_of(path("r.st")));
  // by a pipe, so that the words on standard error go elsewhere
  pleat("apply " + file_case + " --out /dev/stdout 2>" + path("words") + " | cat >" + path("s.st"));
  EXPECT_EQ(text_of(path("s.st")), text_of(path("r.st")));
  EXPECT_THAT(text_of(path("words")), HasSubstr("fp8_mla"));
}

TEST_F(Cli, VariantFastIsOfCuda) {
  const std::string file = write_case("a.st");
  const Outcome out =
      pleat("apply " + file + " --out " + path("r.st") + " --backend cpu --variant fast");
  EXPECT_EQ(out.exit, 2);
  EXPECT_THAT(out.text, HasSubstr("exec.variant: expected exact on backend cpu, got fast"));
  EXPECT_FALSE(fs::exists(path("r.st")));
  if (!available(Backend::cuda)) return;
  const Outcome ran = pleat("apply " + file + " --out " + path("r.st") + " --variant fast");
  EXPECT_EQ(ran.exit, 0) << ran.text;
  EXPECT_THAT(ran.text, HasSubstr(", fast"));
}

TEST_F(Cli, VerifyExplainsWhatDiffers) {
  const std::string file = write_case("a.st");
  ASSERT_EQ(pleat("apply " + file + " --out " + path("r.st") + " --backend reference").exit, 0);
  tools::TensorFile r = tools::read_safetensors(path("r.st"));
  r.find("kv_cache")->bytes.data()[0] = 0x11;
  r.find("state")->as<float>()[2049] += 1;
  tools::write_safetensors(path("s.st"), r);
  const Outcome out = pleat("verify " + path("r.st") + " " + path("s.st"));
  EXPECT_EQ(out.exit, 1);
  EXPECT_THAT(out.text, HasSubstr("first     page 0, row 0, channel 0: code 0xa5"));
  EXPECT_THAT(out.text, HasSubstr("first     page 0, row 1, kv channel 1: "));
  EXPECT_THAT(out.text, HasSubstr("\ndifferent\n"));
  const Outcome quiet = pleat("verify --quiet " + path("r.st") + " " + path("s.st"));
  EXPECT_EQ(quiet.text, "");
  EXPECT_EQ(quiet.exit, 1);
}

TEST_F(Cli, VerifyJudgesByItsExitStatus) {
  tools::TensorFile expected = make_small_case({});
  ASSERT_EQ(pleat("apply " + write_case("a.st") + " --out " + path("r.st")).exit, 0);
  tools::TensorFile result = tools::read_safetensors(path("r.st"));
  for (const char* tensor : {"state", "kv_cache"}) {
    const tools::Tensor& t = *result.find(tensor);
    expected.tensors.push_back(
        tools::make_tensor(std::string("expect.") + tensor, t.element, t.shape));
    std::memcpy(expected.tensors.back().bytes.data(), t.bytes.data(), t.bytes.size());
  }
  tools::write_safetensors(path("e.st"), expected);
  const std::string judge = "verify --judge " + path("e.st") + " " + path("r.st");
  EXPECT_EQ(pleat(judge).exit, 0);
  result.find("state")->bytes.data()[7] ^= 1;
  tools::write_safetensors(path("r.st"), result);
  const Outcome wrong = pleat(judge);
  EXPECT_EQ(wrong.exit, 1);
  EXPECT_THAT(wrong.text, HasSubstr("FAIL"));
  EXPECT_EQ(pleat(judge + " --quiet").exit, 1);
}

TEST_F(Cli, VerifyRefusesWhatCannotBeCompared) {
  const std::string file = write_case("a.st");
  SmallCase stores;
  stores.op = Op::compress_store;
  const std::string other = write_case("b.st", stores);
  ASSERT_EQ(pleat("apply " + file + " " + other + " --out " + path("r/")).exit, 0);
  const Outcome missing = pleat("verify " + path("r/a.st") + " " + path("r/b.st"));
  EXPECT_EQ(missing.exit, 2);
  EXPECT_THAT(missing.text, HasSubstr("tensor state is missing from"));
  EXPECT_EQ(pleat("verify " + file + " " + path("r/a.st")).exit, 2) << "it expects nothing";
  const Outcome bare = pleat("verify --judge " + file + " " + path("r/a.st"));
  EXPECT_EQ(bare.exit, 2);
  EXPECT_THAT(bare.text, HasSubstr(file + ": carries no expect.* tensor"));
  EXPECT_EQ(pleat("verify " + path("none.st") + " " + path("r/a.st")).exit, 2);
}

TEST_F(Cli, ApplyRefusesAndWritesNothing) {
  const std::string good = write_case("good.st");
  std::ofstream(path("bad.st")) << "not a case";
  const Outcome out = pleat("apply " + path("bad.st") + " " + good + " --out " + path("r/"));
  EXPECT_EQ(out.exit, 2);
  EXPECT_THAT(out.text, HasSubstr("bad.st: byte 0: header length"));
  EXPECT_FALSE(fs::exists(path("r/bad.st")));
  EXPECT_TRUE(fs::exists(path("r/good.st"))) << "one bad case does not stop the others";
  const Outcome over = pleat("apply " + good + " --out " + good);
  EXPECT_EQ(over.exit, 2);
  EXPECT_THAT(over.text, HasSubstr("would overwrite the case"));
}

TEST_F(Cli, CheckedModeNamesTheFirstBadToken) {
  tools::TensorFile f = make_small_case({});
  f.find("token_to_req")->as<std::int32_t>()[3] = 77;
  tools::write_safetensors(path("a.st"), f);
  const Outcome out = pleat("apply " + path("a.st") + " --out " + path("r.st") + " --checked");
  EXPECT_EQ(out.exit, 2);
  EXPECT_THAT(out.text, HasSubstr("token_to_req"));
  EXPECT_THAT(out.text, HasSubstr("77"));
  EXPECT_FALSE(fs::exists(path("r.st")));
}

// Without --checked, too: a file may say anything of slots.
TEST_F(Cli, ApplyLooksAtIndicesFirst) {
  for (const char* plan : {"", " --with-plan"}) {
    for (const char* tensor : {"state_slots", "kv_slots"}) {
      tools::TensorFile f = make_small_case({});
      f.find(tensor)->as<std::int64_t>()[3] = 1LL << 40;
      tools::write_safetensors(path("a.st"), f);
      const Outcome out = pleat("apply " + path("a.st") + " --out " + path("r.st") + plan);
      EXPECT_EQ(out.exit, 2) << tensor;
      EXPECT_THAT(out.text, HasSubstr(std::string(tensor) + "[3]"));
      EXPECT_FALSE(fs::exists(path("r.st")));
    }
  }
}

TEST_F(Cli, InspectShowsPagesRowsAndMaps) {
  const std::string file = write_case("a.st");
  ASSERT_EQ(pleat("apply " + file + " --out " + path("r.st")).exit, 0);
  EXPECT_THAT(pleat("inspect " + path("r.st")).text, HasSubstr("recipe vllm"));
  EXPECT_THAT(pleat("inspect " + path("r.st") + " --map").text, HasSubstr("vvvvbbbbbbbb  row 1"));
  EXPECT_THAT(pleat("inspect " + path("r.st") + " --row 1").text, HasSubstr("channels 448 to 511"));
  EXPECT_THAT(pleat("inspect " + file + " --tensor positions").text, HasSubstr("I64 ["));
  EXPECT_THAT(pleat("inspect " + path("r.st")).text, Not(HasSubstr("\x1b"))) << "not a terminal";
  EXPECT_THAT(pleat("inspect " + path("r.st") + " --color always").text, HasSubstr("\x1b[1m"));
  for (const char* wrong : {" --page 99", " --row 4", " --tensor nope", " --tensor state --map"}) {
    EXPECT_EQ(pleat("inspect " + path("r.st") + wrong).exit, 2) << wrong;
  }
}

TEST_F(Cli, BenchMeasuresNoMoreThanWasAskedFor) {
  const std::string bench = "bench --geometry indexer --op step --seconds 0 ";
  for (const std::string asked : {"--windows 64", "--windows 256 --threads 1"}) {
    EXPECT_THAT(pleat(bench + asked).text, Not(HasSubstr("speedup"))) << asked;
  }
  if (std::thread::hardware_concurrency() < 2) return;
  EXPECT_THAT(pleat(bench + "--windows 64 --windows 256").text, HasSubstr("speedup"));
}

TEST_F(Cli, BenchWritesItsReport) {
  const Outcome out = pleat(
      "bench --geometry indexer --op step --windows 64 --seconds 0 --threads 1 --commit abc "
      "--json " +
      path("b.json"));
  ASSERT_EQ(out.exit, 0) << out.text;
  EXPECT_THAT(out.text, HasSubstr("indexer  step                 64"));
  std::ifstream in(path("b.json"));
  const auto report = nlohmann::json::parse(in);
  EXPECT_EQ(report.at("format"), "pleat-bench/1");
  EXPECT_EQ(report.at("header").at("commit"), "abc");
  const auto& row = report.at("rows").at(0);
  EXPECT_EQ(row.at("bytes_read"), 64 * 4 * 512 * 4);
  EXPECT_EQ(row.at("bytes_written"), 64 * 132);
  EXPECT_GE(row.at("samples"), 11);
  EXPECT_GT(row.at("percent_of_limit"), 0);
  EXPECT_EQ(pleat("bench --json " + path("b.json") + "/c.json").exit, 2) << "not a folder";
#if PLEAT_HAVE_CUDA
  EXPECT_THAT(pleat("bench --suite perf --row hca --row nope").text, HasSubstr("got 'nope'"));
#endif
}

}  // namespace
}  // namespace pleat::test
