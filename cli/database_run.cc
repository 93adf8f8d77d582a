// SPDX-License-Identifier: Apache-2.0
#include "cli/database_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "cli/switch_model.h"

namespace heddle::cli {
namespace {

constexpr const char* kWatch = "vsctl-watch";
constexpr const char* kSnapshot = "vsctl-snapshot";

// The first error among the results and its position, or null (RFC 7047 section 4.1.3: later results are null).
const Json* first_error(const Json& results, std::size_t& position) {
  for (position = 0; position < results.size(); ++position) {
    if (results[position].is_object() && results[position].contains("error")) return &results[position];
  }
  return nullptr;
}

Result<Json> send_operations(ovsdb::Client& client, Json operations, ovsdb::Deadline deadline) {
  operations.insert(operations.begin(), kDatabase);
  const auto count = operations.size() - 1;
  auto results = client.call("transact", std::move(operations), deadline);
  if (results && (!results->is_array() || results->size() < count)) {
    return fail(Errc::system, "the database's answer to transact is not an array of all results");
  }
  return results;
}

class Attempt {
 public:
  enum class State { done, not_yet, conflict };

  Attempt(ovsdb::Client& client, const Catalog& catalog, const Options& options, std::span<const Command> commands,
          ovsdb::Deadline deadline, std::ostream& trace, bool& sent)
      : client_(client),
        options_(options),
        commands_(commands),
        deadline_(deadline),
        trace_(trace),
        sent_(sent),
        session_(catalog, options) {}

  Result<> prepare() {
    for (const auto& command : commands_) {
      if (command.info->prepare == nullptr) continue;
      if (auto ok = command.info->prepare(session_, command); !ok) return ok;
    }
    session_.interest["Open_vSwitch"];  // its only record has next_cfg
    return {};
  }
  [[nodiscard]] const Interest& interest() const { return session_.interest; }

  Result<State> run() {
    if (auto ok = load(); !ok) return std::unexpected(ok.error());
    for (const auto& command : commands_) {
      auto outcome = command.info->run(session_, command, result_.outputs.emplace_back());
      if (!outcome) return std::unexpected(outcome.error());
      if (*outcome == Outcome::not_yet) return State::not_yet;
      if (*outcome == Outcome::absent) {
        result_.absent = true;
        return State::done;
      }
    }
    if (auto ok = session_.symbols.check(); !ok) return std::unexpected(ok.error());
    result_.warnings = session_.warnings;
    if (session_.model.changed()) {
      if (auto root = root_record(session_); !root) return std::unexpected(root.error());
    }
    if (!session_.model.changed() && session_.comments.empty()) return State::done;
    return commit();
  }
  DatabaseOutcome take() { return std::move(result_); }

 private:
  Result<> load() {
    auto rows = client_.call("monitor_cond", Json::array({kDatabase, kSnapshot, Model::requests(session_.interest)}),
                             deadline_);
    if (!rows) return std::unexpected(rows.error());
    return session_.model.load(session_.interest, *rows);
  }

  [[nodiscard]] Json with_trailer(Json ops) const {
    if (wants_confirmation()) {
      ops.push_back({{"op", "mutate"},
                     {"table", "Open_vSwitch"},
                     {"where", Json::array()},
                     {"mutations", Json::array({Json::array({"next_cfg", "+=", 1})})}});
      ops.push_back({{"op", "select"},
                     {"table", "Open_vSwitch"},
                     {"where", Json::array()},
                     {"columns", Json::array({"next_cfg"})}});
    }
    for (const auto& text : session_.comments) ops.push_back({{"op", "comment"}, {"comment", text}});
    if (options_.dry_run) ops.push_back({{"op", "abort"}});
    return ops;
  }
  [[nodiscard]] bool wants_confirmation() const {
    return session_.model.changed() && !options_.no_wait && !options_.dry_run;
  }

  Result<State> commit() {
    auto t = session_.model.transaction();
    auto ops = with_trailer(std::move(t.ops));
    const auto selects = [&ops] {
      std::vector<std::size_t> out;
      for (std::size_t i = 0; i < ops.size(); ++i)
        if (ops[i]["op"] == "select") out.push_back(i);
      return out;
    }();
    if (options_.verbose) {
      for (const auto& op : ops) trace_ << "vsctl: sends " << ovsdb::dump_json(op) << "\n";
    }
    sent_ = !options_.dry_run;
    auto results = send_operations(client_, std::move(ops), deadline_);
    if (!results) {
      return fail(results.error().code, results.error().text + "; whether the change was made is not known");
    }
    std::size_t position = 0;
    if (const auto* error = first_error(*results, position)) {
      const auto name = error->value("error", Json());
      sent_ = false;
      if (name == "aborted" && options_.dry_run) return State::done;
      if (name == "timed out") return State::conflict;
      return fail(Errc::invalid,
                  fmt::format("the database refuses the change, all of it: {}", ovsdb::error_text(*error)));
    }
    finish(t, selects, *results);
    return State::done;
  }

  // After the commit: replaces the temporary UUIDs of new records by the database's.
  void finish(const Transaction& t, const std::vector<std::size_t>& selects, const Json& results) {
    std::map<Uuid, Uuid> real;
    for (const auto& [position, uuid] : t.inserts) {
      const auto datum = from_json(results[position].value("uuid", Json()), Catalog::uuid_column().type);
      if (datum && datum->uuid()) real[uuid] = *datum->uuid();
    }
    for (auto& output : result_.outputs) replace_uuids(output, real);
    for (const auto* record : session_.model.changed_records()) {
      const auto it = real.find(record->uuid);
      const bool only_members = !record->is_new && record->changes.size() == 1 && record->changes.contains("ports");
      ChangedRecord changed{record->table->name, it == real.end() ? record->uuid : it->second, only_members};
      for (const auto& [column, value] : record->changes) changed.columns.insert(column);
      result_.changed.push_back(std::move(changed));
    }
    for (const std::size_t i : selects) {
      const auto rows = results[i].value("rows", Json::array());
      if (!rows.empty()) result_.next_cfg = rows[0].value("next_cfg", std::int64_t{0});
    }
  }

  static void replace_uuids(std::string& text, const std::map<Uuid, Uuid>& real) {
    constexpr std::size_t length = 36;
    constexpr std::size_t first_dash = 8;
    for (std::size_t i = 0; i + length <= text.size();) {
      const auto uuid =
          text[i + first_dash] == '-' ? Uuid::parse(std::string_view(text).substr(i, length)) : std::nullopt;
      if (!uuid) {
        ++i;
        continue;
      }
      if (const auto it = real.find(*uuid); it != real.end()) text.replace(i, length, it->second.to_string());
      i += length;
    }
  }

  ovsdb::Client& client_;
  const Options& options_;
  std::span<const Command> commands_;
  ovsdb::Deadline deadline_;
  std::ostream& trace_;
  bool& sent_;
  Session session_;
  DatabaseOutcome result_;
};

// Requests notifications of changes to the tables and columns in `interest`.
Result<> watch(ovsdb::Client& client, const Interest& interest, ovsdb::Deadline deadline) {
  Json requests = Json::object();
  for (const auto& [table, columns] : interest) {
    Json names = Json::array();
    for (const auto& column : columns) {
      if (column != "_uuid") names.push_back(column);
    }
    requests[table] = {{"columns", std::move(names)}, {"select", {{"initial", false}}}};
  }
  auto reply = client.call("monitor", Json::array({kDatabase, kWatch, std::move(requests)}), deadline);
  if (!reply) return std::unexpected(reply.error());
  return {};
}

}  // namespace

bool has_passed(ovsdb::Deadline deadline) { return deadline && Clock::now() >= *deadline; }

Result<Json> transact(ovsdb::Client& client, Json operations, ovsdb::Deadline deadline) {
  auto results = send_operations(client, std::move(operations), deadline);
  if (!results) return results;
  std::size_t position = 0;
  if (const auto* error = first_error(*results, position)) return fail(Errc::invalid, ovsdb::error_text(*error));
  return results;
}

Result<Catalog> fetch_catalog(ovsdb::Client& client, ovsdb::Deadline deadline) {
  auto json = client.call("get_schema", Json::array({kDatabase}), deadline);
  if (!json) return std::unexpected(json.error());
  auto schema = ovsdb::Schema::parse(ovsdb::dump_json(*json));
  if (!schema) return fail(schema.error().code, "the database's schema: " + schema.error().text);
  return Catalog(std::move(*schema));
}

Result<DatabaseOutcome> run_database(ovsdb::Client& client, const Catalog& catalog, const Options& options,
                                     std::span<const Command> commands, ovsdb::Deadline deadline, std::ostream& trace,
                                     bool& sent) {
  const bool waits = std::any_of(commands.begin(), commands.end(), [](const Command& c) { return c.info->waits; });
  bool watching = false;
  for (std::size_t conflicts = 0, attempts = 0; conflicts < limits::kTransactRetries; ++attempts) {
    if (attempts > 0) {  // the monitor of the last snapshot sends no updates, but its id is in use
      auto ended = client.call("monitor_cancel", Json::array({kSnapshot}), deadline);
      if (!ended) return std::unexpected(ended.error());
    }
    Attempt attempt(client, catalog, options, commands, deadline, trace, sent);
    if (auto ok = attempt.prepare(); !ok) return std::unexpected(ok.error());
    if (waits && !watching) {
      if (auto ok = watch(client, attempt.interest(), deadline); !ok) return std::unexpected(ok.error());
      watching = true;
    }
    auto state = attempt.run();
    if (!state) return std::unexpected(state.error());
    if (*state == Attempt::State::done) return attempt.take();
    if (*state == Attempt::State::conflict) {
      ++conflicts;
      if (has_passed(deadline)) return fail(Errc::system, "others kept changing the same records; nothing was changed");
    } else if (auto change = client.next_notification(deadline); !change) {
      if (!has_passed(deadline)) return std::unexpected(change.error());
      return fail(Errc::system, "the condition of wait-until was not met in time; nothing was changed");
    }
  }
  return fail(Errc::system,
              fmt::format("others changed the same records {} times running; nothing was changed, try again",
                          limits::kTransactRetries));
}

}  // namespace heddle::cli
