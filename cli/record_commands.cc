// SPDX-License-Identifier: Apache-2.0
// The database commands that read records: list, find, get, wait-until; and comment.
#include <fmt/format.h>

#include <array>

#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/record.h"

namespace heddle::cli {
namespace {

Result<const TableSchema*> table_of(const Session& session, const Command& command) {
  return session.catalog.table(command.args[0]);
}

// The columns of --columns=A,B, or all of them.
Result<std::vector<const ColumnSchema*>> chosen_columns(const TableSchema& table, const Command& command) {
  const auto option = command.options.find("--columns");
  if (option == command.options.end()) return Catalog::columns(table);
  std::vector<const ColumnSchema*> out;
  for (std::string_view rest = option->second; !rest.empty();) {
    const auto word = cut_word(rest, ", ");
    if (!rest.empty()) rest.remove_prefix(1);
    if (word.empty()) continue;
    auto column = Catalog::column(table, word);
    if (!column) return std::unexpected(column.error());
    out.push_back(*column);
  }
  if (out.empty()) return fail(Errc::invalid, "--columns= names no column");
  return out;
}

Result<> prepare_columns(Session& session, const TableSchema& table, std::span<const std::string> args) {
  for (const auto& arg : args) {
    auto parsed = parse_column_arg(table, arg);
    if (!parsed) return std::unexpected(parsed.error());
    session.interest[table.name].insert(parsed->column->name);
  }
  return {};
}

Result<> prepare_listing(Session& session, const Command& command) {
  auto table = table_of(session, command);
  if (!table) return std::unexpected(table.error());
  prepare_lookup(session, **table);
  auto columns = chosen_columns(**table, command);
  if (!columns) return std::unexpected(columns.error());
  for (const auto* column : *columns) session.interest[(*table)->name].insert(column->name);
  return {};
}

Result<> prepare_find(Session& session, const Command& command) {
  if (auto ok = prepare_listing(session, command); !ok) return ok;
  auto table = table_of(session, command);
  return prepare_columns(session, **table, std::span(command.args).subspan(1));
}

Result<> prepare_get(Session& session, const Command& command) {
  auto table = table_of(session, command);
  if (!table) return std::unexpected(table.error());
  prepare_lookup(session, **table);
  return prepare_columns(session, **table, std::span(command.args).subspan(2));
}

void add_row(const Session& session, const Record& record, Grid& grid) {
  auto& row = grid.rows.emplace_back();
  for (const auto* column : grid.columns) row.push_back(session.model.get(record, *column));
}

Result<Outcome> list(Session& session, const Command& command, std::string& out) {
  auto table = table_of(session, command);
  auto columns = chosen_columns(**table, command);
  Grid grid{.columns = std::move(*columns), .rows = {}};
  if (command.args.size() == 1) {
    for (const auto* record : session.model.records(**table)) add_row(session, *record, grid);
  }
  for (const auto& word : std::span(command.args).subspan(1)) {
    auto record = find_record(session, **table, word);
    if (record) {
      add_row(session, **record, grid);
    } else if (record.error().code != Errc::not_found || !command.has("--if-exists")) {
      return std::unexpected(record.error());
    }
  }
  out += render(grid, session.options);
  return Outcome::done;
}

Result<bool> meets_all(Session& session, const Record& record, std::span<const std::string> conditions) {
  for (const auto& condition : conditions) {
    auto met = meets(session, record, condition);
    if (!met || !*met) return met;
  }
  return true;
}

Result<Outcome> find(Session& session, const Command& command, std::string& out) {
  auto table = table_of(session, command);
  auto columns = chosen_columns(**table, command);
  Grid grid{.columns = std::move(*columns), .rows = {}};
  for (const auto* record : session.model.records(**table)) {
    auto met = meets_all(session, *record, std::span(command.args).subspan(1));
    if (!met) return std::unexpected(met.error());
    if (*met) add_row(session, *record, grid);
  }
  out += render(grid, session.options);
  return Outcome::done;
}

Result<std::string> one_value(Session& session, const Record& record, const std::string& word, bool if_exists) {
  const auto& table = *record.table;
  auto arg = parse_column_arg(table, word);
  if (!arg) return std::unexpected(arg.error());
  const auto wrong = [&](const Error& e) { return std::unexpected(in_column(table, *arg->column, e)); };
  if (!arg->op.empty()) {
    return fail(Errc::invalid, fmt::format("\"{}\": get takes COLUMN or COLUMN:KEY, no value", word));
  }
  const auto datum = session.model.get(record, *arg->column);
  if (!arg->key) return format_datum(datum, arg->column->type);
  if (!arg->column->type.is_map()) {
    return wrong({Errc::invalid, fmt::format("it is not a map and has no key {}", *arg->key)});
  }
  auto key = parse_atom(*arg->key, arg->column->type.key, {});
  if (!key) return wrong(key.error());
  const auto at = datum.find(*key);
  if (at) return format_atom(datum.values()[*at]);
  if (if_exists) return std::string();
  return wrong({Errc::not_found, fmt::format("no key {} in record {}", *arg->key, session.model.name_of(record))});
}

Result<Outcome> get(Session& session, const Command& command, std::string& out) {
  auto table = table_of(session, command);
  const auto id = command.options.find("--id");
  const bool if_exists = command.has("--if-exists");
  if (id != command.options.end() && if_exists) {
    return fail(Errc::invalid, "get: --id needs a record, so --if-exists may not be specified together with it");
  }
  auto record = find_record(session, **table, command.args[1]);
  if (!record) {
    if (record.error().code == Errc::not_found && if_exists) return Outcome::done;
    return std::unexpected(record.error());
  }
  if (id != command.options.end()) {
    if (auto bound = session.symbols.bind(id->second, (*record)->uuid); !bound) return std::unexpected(bound.error());
  }
  for (const auto& word : std::span(command.args).subspan(2)) {
    auto value = one_value(session, **record, word, if_exists);
    if (!value) return std::unexpected(value.error());
    out += *value + "\n";
  }
  return Outcome::done;
}

Result<Outcome> wait_until(Session& session, const Command& command, std::string&) {
  auto table = table_of(session, command);
  auto record = find_record(session, **table, command.args[1]);
  if (!record) {
    if (record.error().code == Errc::not_found) return Outcome::not_yet;
    return std::unexpected(record.error());
  }
  auto met = meets_all(session, **record, std::span(command.args).subspan(2));
  if (!met) return std::unexpected(met.error());
  return *met ? Outcome::done : Outcome::not_yet;
}

Result<Outcome> comment(Session& session, const Command& command, std::string&) {
  std::string text;
  for (const auto& word : command.args) text += (text.empty() ? "" : " ") + word;
  session.comments.push_back(text);
  return Outcome::done;
}

}  // namespace

std::span<const CommandInfo> record_commands() {
  static const std::array commands{
      CommandInfo{.name = "list",
                  .min_args = 1,
                  .max_args = kAnyNumber,
                  .usage = "TABLE [RECORD]...",
                  .options = "--if-exists --columns=",
                  .prints = Prints::rows,
                  .prepare = prepare_listing,
                  .run = list},
      CommandInfo{.name = "find",
                  .min_args = 1,
                  .max_args = kAnyNumber,
                  .usage = "TABLE [COLUMN[:KEY]=VALUE]...",
                  .options = "--columns=",
                  .prints = Prints::rows,
                  .prepare = prepare_find,
                  .run = find},
      CommandInfo{.name = "get",
                  .min_args = 2,
                  .max_args = kAnyNumber,
                  .usage = "TABLE RECORD [COLUMN[:KEY]]...",
                  .options = "--if-exists --id=",
                  .prepare = prepare_get,
                  .run = get},
      CommandInfo{.name = "wait-until",
                  .min_args = 2,
                  .max_args = kAnyNumber,
                  .usage = "TABLE RECORD [COLUMN[:KEY]=VALUE]...",
                  .waits = true,
                  .prepare = prepare_get,
                  .run = wait_until},
      CommandInfo{.name = "comment", .min_args = 1, .max_args = kAnyNumber, .usage = "TEXT...", .run = comment},
  };
  return commands;
}

}  // namespace heddle::cli
