// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "tools/commands.hpp"
#include "tools/error.hpp"
#include "tools/file.hpp"
#include "tools/inspect.hpp"

namespace pleat::tools {
namespace {

constexpr const char* kAbout =
    "Shows what is in a case or a result, decoded.\n\n"
    "Without options: the call, its metadata, the list of tensors and one page of the cache (or "
    "of\n"
    "the state, or the pooled rows, where there is no cache). --page and --row choose what to\n"
    "decode: a cache page row by row with the scales of its blocks, or one row with every code "
    "and\n"
    "the value it stands for. --map shows where the bytes of a cache page go.";

constexpr const char* kExample =
    "Exit status: 0 shown, 2 the file cannot be read or holds no such page or row.\n\n"
    "Example:\n"
    "  pleat inspect result.safetensors --page 1\n"
    "  pleat inspect result.safetensors --page 1 --row 3 --color always | less -R\n"
    "  pleat inspect result.safetensors --map\n"
    "  pleat inspect case.safetensors --tensor state --page 4 --row 2";

struct InspectOptions {
  std::string file;
  std::string tensor;
  std::optional<std::int64_t> page;
  std::optional<std::int64_t> row;
  bool map = false;
  std::string color = "auto";
};

/// The tensor to show: the one asked for, else the most telling one. Null when there is none.
Tensor* chosen(TensorFile& file, const InspectOptions& o) {
  if (!o.tensor.empty()) {
    Tensor* t = file.find(o.tensor);
    if (t == nullptr) throw fail("{}: tensor {}: not in this file", o.file, in_quotes(o.tensor));
    return t;
  }
  for (const char* tensor : {"kv_cache", "state", "compressed"}) {
    if (Tensor* t = file.find(tensor)) return t;
  }
  return nullptr;
}

/// `index`, or 0 when none was asked for.
std::int64_t within(const char* option, const std::optional<std::int64_t>& index,
                    std::int64_t count) {
  const std::int64_t i = index.value_or(0);
  if (i < 0 || i >= count) throw fail("{}: expected 0 to {}, got {}", option, count - 1, i);
  return i;
}

std::string show_tensor(const CaseHeader& header, Tensor& t, const InspectOptions& o,
                        const Paint& paint) {
  const bool cache = t.name.ends_with("kv_cache");
  const bool state = t.name == "state" || t.name == "expect.state";
  if (!cache && !state) {
    if (o.map) throw fail("--map: expected a cache, got tensor {}", in_quotes(t.name));
    if (o.page) throw fail("--page: expected a cache or a state, got tensor {}", in_quotes(t.name));
    return show_numbers(t, o.row, paint);
  }
  const TensorView view = cache ? cache_view(header, t, o.file) : state_view(header, t, o.file);
  const std::int64_t page = within("--page", o.page, view.shape[0]);
  const std::int64_t row = within("--row", o.row, view.shape[1]);
  if (o.map && !cache) throw fail("--map: expected a cache, got tensor {}", in_quotes(t.name));
  if (o.map) return show_cache_map(header, view, page, paint);
  if (cache) {
    return o.row ? show_cache_row(header, view, page, row, paint)
                 : show_cache_page(header, view, page, paint);
  }
  return o.row ? show_state_row(header, view, page, row, paint)
               : show_state_page(header, view, page, paint);
}

void inspect(const InspectOptions& o) {
  const Paint paint(o.color == "always" || (o.color == "auto" && isatty(STDOUT_FILENO) == 1));
  TensorFile file = read_safetensors(o.file);
  std::optional<CaseHeader> header;
  if (file.metadata.count("format") > 0) header = read_case_header(file.metadata, o.file);
  const bool asked = !o.tensor.empty() || o.page || o.row || o.map;
  if (!asked) fmt::print("{}", show_file(file, header, paint));
  Tensor* t = chosen(file, o);
  if (t == nullptr) {
    if (asked) throw fail("{}: holds none of kv_cache, state, compressed; use --tensor", o.file);
    return;
  }
  if (!asked) fmt::print("\n");
  if (header) {
    fmt::print("{}", show_tensor(*header, *t, o, paint));
  } else if (o.page || o.map) {
    throw fail("{}: metadata format: missing, so pages cannot be told apart", o.file);
  } else if (asked) {
    fmt::print("{}", show_numbers(*t, o.row, paint));
  }
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Show a cache page or state row decoded");
  command->description(kAbout);
  command->footer(kExample);
  command->add_option("FILE", options->file, "A case, or a result of `pleat apply`")->required();
  command->add_option("--tensor", options->tensor,
                      "Tensor to show; by default kv_cache, else state, else compressed");
  command->add_option("--page", options->page, "Page to decode, from 0")->option_text("N");
  auto* row =
      command->add_option("--row", options->row, "Row to decode in full, from 0 (of its page)");
  row->option_text("N");
  command->add_flag("--map", options->map, "Show the byte map of the page")->excludes(row);
  command->add_option("--color", options->color, "Colour: auto is yes on a terminal")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  command->callback([options, &exit_code] {
    inspect(*options);
    exit_code = 0;
  });
}

}  // namespace pleat::tools
