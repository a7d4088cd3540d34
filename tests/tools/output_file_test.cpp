// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/output_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <string>

#include "tools/error.hpp"

namespace pleat::tools {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class OutputFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "pleat_output_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
  static std::string text_of(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& path, const std::string& text) {
    write_file("--out", path, [&](std::ostream& out) { out << text; });
  }
  [[nodiscard]] std::ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }
  static std::string refusal(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

 private:
  fs::path folder_;
};

TEST_F(OutputFile, IsMadeWithItsFoldersAndReplaced) {
  EXPECT_THAT(refusal([&] { write(path("a/b/c"), "one"); }), HasSubstr("No such file"));
  make_folder_of("--out", path("a/b/c"));
  write(path("a/b/c"), "one");
  EXPECT_EQ(text_of(path("a/b/c")), "one");
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(fs::status(path("a/b/c")).permissions(), static_cast<fs::perms>(0666U & ~mask));
  fs::permissions(path("a/b/c"), fs::perms::owner_read | fs::perms::owner_write);
  write(path("a/b/c"), "two");
  EXPECT_EQ(text_of(path("a/b/c")), "two");
  EXPECT_EQ(fs::status(path("a/b/c")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(std::distance(fs::directory_iterator(path("a/b")), fs::directory_iterator()), 1);
}

TEST_F(OutputFile, FollowsLinksAlsoToNothingYet) {
  fs::create_symlink("real", path("link"));
  write(path("link"), "one");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(text_of(path("real")), "one");
  write(path("link"), "two");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(text_of(path("real")), "two");
}

TEST_F(OutputFile, WritesToAPipeAsItIs) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  auto read = std::async(std::launch::async, [&] { return text_of(path("pipe")); });
  write(path("pipe"), "through");
  EXPECT_EQ(read.get(), "through");
  EXPECT_TRUE(fs::is_fifo(path("pipe")));
}

TEST_F(OutputFile, WritesToAnOpenPipeByTheNameOfItsDescriptor) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe(ends), 0);
  const std::string name = "/dev/fd/" + std::to_string(ends[1]);
  EXPECT_EQ(refusal([&] { check_writable("--json", name); }), "");
  make_folder_of("--json", name);
  write(name, "through");
  close(ends[1]);
  std::string got(16, '\0');
  got.resize(static_cast<std::size_t>(std::max<ssize_t>(read(ends[0], got.data(), 16), 0)));
  close(ends[0]);
  EXPECT_EQ(got, "through");
}

TEST_F(OutputFile, LeavesWhatWasThereWhenWritingFails) {
  write(path("a"), "old");
  EXPECT_THROW(write_file("--out", path("a"),
                          [](std::ostream& out) {
                            out << "new";
                            throw fail("no more");
                          }),
               Error);
  EXPECT_EQ(text_of(path("a")), "old");
  EXPECT_EQ(refusal([&] {
              write_file("--out", path("a"), [](std::ostream& out) { out.setstate(out.badbit); });
            }).substr(0, 19),
            "--out: cannot write");
  EXPECT_EQ(text_of(path("a")), "old");
  EXPECT_EQ(files(), 1);
}

volatile std::sig_atomic_t seen = 0;

TEST_F(OutputFile, IsWholeBeforeASignalIsSeen) {
  const auto before = std::signal(SIGTERM, [](int signal) { seen = signal; });
  write_file("--out", path("a"), [](std::ostream& out) {
    std::raise(SIGTERM);
    EXPECT_EQ(seen, 0);
    out << "whole";
  });
  EXPECT_EQ(seen, SIGTERM);
  std::signal(SIGTERM, before);
  EXPECT_EQ(text_of(path("a")), "whole");
  EXPECT_EQ(files(), 1);
}

TEST_F(OutputFile, IsNoInput) {
  write(path("in"), "");
  fs::create_symlink("in", path("link"));
  EXPECT_EQ(refusal([&] { refuse_input("--json", path("link"), path("in"), "the trace"); }),
            "--json: would overwrite the trace");
  EXPECT_EQ(refusal([&] { refuse_input("--json", path("new"), path("in"), "the trace"); }), "");
  EXPECT_EQ(refusal([&] { refuse_input("--json", path("new"), path("none"), "the trace"); }), "");
}

TEST_F(OutputFile, IsRefusedBeforeTheWorkAndNothingIsMade) {
  write(path("file"), "");
  EXPECT_THAT(refusal([&] { check_writable("--json", ""); }), HasSubstr("the name of a file"));
  EXPECT_THAT(refusal([&] { check_writable("--json", path("")); }), HasSubstr("got a folder"));
  EXPECT_THAT(refusal([&] { check_writable("--json", path("file/x")); }), HasSubstr("no folder"));
  EXPECT_EQ(refusal([&] { check_writable("--json", path("new/folder/x")); }), "");
  EXPECT_EQ(refusal([&] { check_writable("--json", path("file")); }), "");
  EXPECT_EQ(refusal([&] { check_writable("--json", "/dev/null"); }), "");
  EXPECT_EQ(files(), 1);
}

}  // namespace
}  // namespace pleat::tools
