// SPDX-License-Identifier: Apache-2.0
// The database commands that change records: set, add, remove, clear, create, destroy.
#include <fmt/format.h>

#include <array>

#include "cli/commands.h"
#include "cli/record.h"

namespace heddle::cli {
namespace {

Result<> prepare_columns(Session& session, const TableSchema& table, std::span<const std::string> words) {
  for (const auto& word : words) {
    auto arg = parse_column_arg(table, word);
    if (!arg) return std::unexpected(arg.error());
    session.interest[table.name].insert(arg->column->name);
  }
  return {};
}

// TABLE RECORD COLUMN...
Result<> prepare_set(Session& session, const Command& command) {
  auto table = session.catalog.table(command.args[0]);
  if (!table) return std::unexpected(table.error());
  prepare_lookup(session, **table);
  return prepare_columns(session, **table, std::span(command.args).subspan(2));
}

// TABLE RECORD COLUMN VALUE...
Result<> prepare_members(Session& session, const Command& command) {
  auto table = session.catalog.table(command.args[0]);
  if (!table) return std::unexpected(table.error());
  prepare_lookup(session, **table);
  return prepare_columns(session, **table, std::span(command.args).subspan(2, 1));
}

Result<> prepare_table(Session& session, const Command& command) {
  auto table = session.catalog.table(command.args[0]);
  if (!table) return std::unexpected(table.error());
  prepare_lookup(session, **table);
  return {};
}

// The command's record; null when it does not exist and --if-exists is given.
Result<Record*> record_of(Session& session, const Command& command, const TableSchema& table, const std::string& word) {
  auto record = find_record(session, table, word);
  if (!record && record.error().code == Errc::not_found && command.has("--if-exists")) return nullptr;
  return record;
}

// The column `word`; fails when it is read-only.
Result<const ColumnSchema*> changeable(const TableSchema& table, const std::string& word) {
  auto column = Catalog::column(table, word);
  if (column && !(*column)->is_mutable) {
    return std::unexpected(in_column(table, **column, {Errc::invalid, "it is read-only"}));
  }
  return column;
}

Result<Outcome> set(Session& session, const Command& command, std::string&) {
  auto table = session.catalog.table(command.args[0]);
  auto record = record_of(session, command, **table, command.args[1]);
  if (!record) return std::unexpected(record.error());
  if (*record == nullptr) return Outcome::done;
  for (const auto& word : std::span(command.args).subspan(2)) {
    if (auto ok = set_column(session, **record, word); !ok) return std::unexpected(ok.error());
  }
  return Outcome::done;
}

Result<Datum> add_members(Session& session, const ColumnType& type, Datum value, std::span<const std::string> words) {
  for (const auto& word : words) {
    auto more = parse_datum(word, type, session.names(), Members::some);
    if (!more) return more;
    for (std::size_t i = 0; i < more->size(); ++i) {
      const auto of_key = more->is_map() ? std::optional(more->values()[i]) : std::nullopt;
      value = with(value, more->keys()[i], of_key);
    }
  }
  return value;
}

// In a map a word may be KEY, or KEY=VALUE to remove the key only while it has that value.
Result<Datum> remove_members(Session& session, const ColumnType& type, Datum value,
                             std::span<const std::string> words) {
  ColumnType keys_only = type;
  keys_only.value.reset();
  keys_only.min = 0;
  keys_only.max = ColumnType::kUnlimited;
  for (const auto& word : words) {
    std::string_view rest = word;
    cut_word(rest, "=");
    const bool pairs = type.is_map() && !rest.empty();
    auto gone = parse_datum(word, pairs ? type : keys_only, session.names(), Members::some);
    if (!gone) return gone;
    for (std::size_t i = 0; i < gone->size(); ++i) {
      const auto at = value.find(gone->keys()[i]);
      if (at && (!pairs || value.values()[*at] == gone->values()[i])) value = without(value, *at);
    }
  }
  return value;
}

using ChangeMembers = Result<Datum> (*)(Session&, const ColumnType&, Datum, std::span<const std::string>);

Result<Outcome> change_members(Session& session, const Command& command, ChangeMembers change) {
  auto table = session.catalog.table(command.args[0]);
  auto record = record_of(session, command, **table, command.args[1]);
  if (!record) return std::unexpected(record.error());
  if (*record == nullptr) return Outcome::done;
  auto column = changeable(**table, command.args[2]);
  if (!column) return std::unexpected(column.error());
  const auto before = session.model.get(**record, **column);
  auto after = change(session, (*column)->type, before, std::span(command.args).subspan(3));
  if (after) {
    if (auto ok = check_count(after->size(), (*column)->type); !ok) after = std::unexpected(ok.error());
  }
  if (!after) return std::unexpected(in_column(**table, **column, after.error()));
  if (*after != before) Model::rely_on(**record, (*column)->name);
  Model::set(**record, **column, std::move(*after));
  return Outcome::done;
}

Result<Outcome> add(Session& session, const Command& command, std::string&) {
  return change_members(session, command, add_members);
}

Result<Outcome> remove(Session& session, const Command& command, std::string&) {
  return change_members(session, command, remove_members);
}

Result<Outcome> clear(Session& session, const Command& command, std::string&) {
  auto table = session.catalog.table(command.args[0]);
  auto record = record_of(session, command, **table, command.args[1]);
  if (!record) return std::unexpected(record.error());
  if (*record == nullptr) return Outcome::done;
  for (const auto& word : std::span(command.args).subspan(2)) {
    auto column = changeable(**table, word);
    if (!column) return std::unexpected(column.error());
    if ((*column)->type.min > 0) {
      return std::unexpected(in_column(**table, **column, {Errc::invalid, "it cannot be empty; set another value"}));
    }
    Model::set(**record, **column, {});
  }
  return Outcome::done;
}

Result<Outcome> create(Session& session, const Command& command, std::string& out) {
  auto table = session.catalog.table(command.args[0]);
  std::optional<Uuid> uuid;
  const auto id = command.options.find("--id");
  const auto wished = id == command.options.end() ? std::nullopt : Uuid::parse(id->second);
  if (wished) {
    if (session.model.find(**table, *wished) != nullptr) {
      return fail(Errc::exists, fmt::format("create {}: there is a record {} already", (*table)->name, id->second));
    }
    uuid = wished;
  } else if (id != command.options.end()) {
    auto bound = session.symbols.bind(id->second, std::nullopt);
    if (!bound) return std::unexpected(bound.error());
    uuid = *bound;
  } else if (!(*table)->is_root) {
    session.warnings.push_back(
        fmt::format("create {0}: nothing refers to the new record, so the database drops it at once; name it with "
                    "--id=@NAME and set a column of another record to @NAME",
                    (*table)->name));
  }
  auto* record = session.model.insert(**table, uuid);
  record->keeps_uuid = wished.has_value();
  for (const auto& word : std::span(command.args).subspan(1)) {
    if (auto ok = set_column(session, *record, word); !ok) return std::unexpected(ok.error());
  }
  out += record->uuid.to_string() + "\n";
  return Outcome::done;
}

Result<Outcome> destroy(Session& session, const Command& command, std::string&) {
  auto table = session.catalog.table(command.args[0]);
  if (command.has("--all") && command.args.size() > 1) {
    return fail(Errc::invalid, "destroy: --all and records may not be specified together");
  }
  if (!command.has("--all") && command.args.size() == 1) {
    session.warnings.push_back("destroy: neither records nor --all are given; nothing was done");
  }
  // The database deletes a record of such a table with the last reference to it; deleting it earlier would fail the
  // whole transaction.
  if (!(*table)->is_root) {
    session.warnings.push_back(
        fmt::format("destroy {0}: records of table {0} cannot be destroyed, they go when no other "
                    "record refers to them; clear or remove the reference",
                    (*table)->name));
  }
  if (command.has("--all") && (*table)->is_root) {
    for (auto* record : session.model.records(**table)) Model::remove(*record);
  }
  for (const auto& word : std::span(command.args).subspan(1)) {
    auto record = record_of(session, command, **table, word);
    if (!record) return std::unexpected(record.error());
    if (*record != nullptr && (*table)->is_root) Model::remove(**record);
  }
  return Outcome::done;
}

CommandInfo info(std::string_view name, std::size_t min, std::string_view usage, decltype(CommandInfo::run) run,
                 decltype(CommandInfo::prepare) prepare, std::string_view options) {
  return database_command(name, min, kAnyNumber, usage, run, prepare, options);
}

}  // namespace

std::span<const CommandInfo> edit_commands() {
  static const std::array commands{
      info("set", 3, "TABLE RECORD COLUMN[:KEY]=VALUE...", set, prepare_set, "--if-exists"),
      info("add", 4, "TABLE RECORD COLUMN [KEY=]VALUE...", add, prepare_members, "--if-exists"),
      info("remove", 4, "TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...", remove, prepare_members, "--if-exists"),
      info("clear", 3, "TABLE RECORD COLUMN...", clear, prepare_set, "--if-exists"),
      info("create", 1, "TABLE [COLUMN[:KEY]=VALUE]...", create, prepare_table, "--id="),
      info("destroy", 1, "TABLE RECORD...", destroy, prepare_table, "--if-exists --all"),
  };
  return commands;
}

}  // namespace heddle::cli
