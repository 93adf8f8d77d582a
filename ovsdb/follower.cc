// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/follower.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "ovsdb/client.h"

namespace heddle::ovsdb {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(500);
constexpr Duration kProbe = std::chrono::seconds(limits::kProbeSeconds);
constexpr const char* kRows = "rows";  // names of our two monitors
constexpr const char* kServer = "server";
constexpr const char* kNoTransaction = "00000000-0000-0000-0000-000000000000";

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : std::string(); }

// An optional value comes as itself, or as ["set", []].
bool is_true(const Json& value) { return value.is_boolean() && value.get<bool>(); }

// The first error of a transaction's results. A result is null when an earlier operation failed.
Result<Json> without_errors(const Json& results) {
  if (!results.is_array()) return fail(Errc::invalid, "results that are no array");
  for (const Json& result : results)
    if (result.is_object() && result.contains("error") && !result.at("error").is_null())
      return fail(Errc::invalid, error_text(result));
  return results;
}

}  // namespace

Follower::Follower(boost::asio::io_context& io, std::shared_ptr<Tls> tls, Config config, Listener& listener)
    : io_(io), config_(std::move(config)), listener_(listener), dialer_(io, std::move(tls)), timer_(io) {}

Follower::~Follower() {
  if (session_) session_->close();
}

void Follower::start(Conditions conditions) {
  conditions_ = std::move(conditions);
  dial();
}

// --- connecting ---

void Follower::dial() {
  const Target& target = config_.servers[server_];
  status_.server = target.text;
  dialer_.dial(target, [this](Result<std::unique_ptr<Stream>> stream) {
    if (!stream) return failed(stream.error().text);
    connected(std::move(*stream));
  });
}

void Follower::connected(std::unique_ptr<Stream> stream) {
  status_.local = stream->local();
  session_ =
      RpcClient::start(std::move(stream),
                       {.ready = [this] { check_schema(); },
                        .notified = [this](const std::string& method, const Json& params) { notified(method, params); },
                        .ended = [this](const std::string& why) { failed(why); }},
                       kProbe);
}

void Follower::failed(const std::string& why) {
  dialer_.cancel();
  if (session_) std::exchange(session_, nullptr)->close();
  const bool was_in_step = std::exchange(status_.in_step, false);
  status_.locked = false;
  monitoring_ = false;
  changing_ = 0;
  const std::string error = config_.servers[server_].text + ": " + why;
  if (std::exchange(status_.last_error, error) != error)
    spdlog::warn("database {} at {}; trying again until it works", config_.database, error);
  server_ = (server_ + 1) % config_.servers.size();
  // The others first, at once; then slowly.
  if (++tried_ < config_.servers.size()) {
    pause_ = Duration::zero();
  } else {
    pause_ = std::clamp<Duration>(pause_ * 2, kFirstPause, std::chrono::seconds(limits::kBackoffSeconds));
  }
  timer_.expires_after(pause_);
  timer_.async_wait([this](const boost::system::error_code& stopped) {
    if (!stopped) dial();
  });
  if (was_in_step) listener_.lost(error);
}

void Follower::call(const std::string& method, Json params, std::function<void(const Json&)> then) {
  session_->call(method, std::move(params),
                 [this, then = std::move(then), session = session_.get()](Result<Json> reply) {
                   if (session != session_.get()) return;
                   if (!reply) return failed(reply.error().text);
                   then(*reply);
                 });
}

void Follower::check_schema() {
  call("get_schema", Json::array({config_.database}), [this](const Json& schema) {
    const std::string version = schema.is_object() ? text_of(schema.value("version", Json())) : std::string();
    if (version.substr(0, version.find('.')) != config_.version)
      return failed("its schema " + config_.database + " has version " + (version.empty() ? "(none)" : version) +
                    ", and version " + config_.version + " is needed");
    const Json& tables = schema.value("tables", Json::object());
    for (const auto& [table, columns] : config_.columns)
      for (const std::string& column : columns)
        if (!tables.is_object() || !tables.contains(table) || !tables[table].is_object() ||
            !tables[table].value("columns", Json::object()).contains(column))
          return failed(fmt::format("its schema {} has no column {} in table {}", config_.database, column, table));
    check_server();
  });
}

// Database "_Server" says whether this server is of use (ovsdb-server(7)).
void Follower::check_server() {
  const Json request{{"columns", {"connected", "name"}}, {"where", {{"name", "==", config_.database}}}};
  call("monitor_cond", Json::array({"_Server", kServer, Json{{"Database", Json::array({request})}}}),
       [this](const Json& updates) {
         look_at_server(updates);
         if (session_) ask_for_rows();
       });
}

void Follower::look_at_server(const Json& updates) {
  if (!updates.is_object() || !updates.contains("Database") || !updates["Database"].is_object()) return;
  for (const Json& update : updates["Database"]) {
    if (!update.is_object()) continue;
    for (const char* kind : {"initial", "insert", "modify"}) {
      const auto row = update.find(kind);
      if (row == update.end() || !row->is_object() || !row->contains("connected")) continue;
      if (!is_true(row->at("connected"))) return failed("it is not connected to its cluster");
    }
  }
}

// --- rows ---

Json Follower::requests() const {
  Json out = Json::object();
  for (const auto& [table, columns] : config_.columns) {
    const auto where = conditions_.find(table);
    const Json none = Json::array({false});
    out[table] =
        Json::array({Json{{"columns", columns}, {"where", where == conditions_.end() ? none : where->second}}});
  }
  return out;
}

void Follower::ask_for_rows() {
  const bool may_go_on = !last_.empty() && conditions_ == known_conditions_;
  const Conditions asked = conditions_;
  monitoring_ = true;
  call("monitor_cond_since",
       Json::array({config_.database, kRows, requests(), may_go_on ? last_ : std::string(kNoTransaction)}),
       [this, asked](const Json& reply) {
         if (!reply.is_array() || reply.size() != 3 || !reply[0].is_boolean() || !reply[1].is_string())
           return failed("a reply to monitor_cond_since that is none");
         if (!reply[0].get<bool>()) listener_.dump_begins();
         take_updates(reply[2]);
         if (!session_) return;
         tried_ = 0;
         pause_ = Duration::zero();
         status_.in_step = true;
         status_.last_error.clear();
         spdlog::info("database {} at {}: in step", config_.database, status_.server);
         reached(reply[1]);
         if (changing_ == 0) known_conditions_ = asked;
         ask_for_lock();
         listener_.in_step();
       });
}

void Follower::ask_for_lock() {
  if (config_.lock.empty()) return;
  call("lock", Json::array({config_.lock}),
       [this](const Json& reply) { status_.locked = reply.is_object() && is_true(reply.value("locked", Json())); });
}

void Follower::set_conditions(Conditions conditions) {
  if (conditions == conditions_) return;
  conditions_ = std::move(conditions);
  if (!session_ || !monitoring_) return;
  ++changing_;
  call("monitor_cond_change", Json::array({kRows, kRows, requests()}), [this](const Json& /*empty*/) {
    if (--changing_ > 0 || !status_.in_step) return;
    known_conditions_ = conditions_;
    listener_.in_step();
  });
}

void Follower::reached(const Json& transaction) { last_ = text_of(transaction); }

void Follower::notified(const std::string& method, const Json& params) {
  if (!params.is_array() || params.empty()) return;
  if (method == "update3" && params.size() == 3 && params[0] == kRows) {
    take_updates(params[2]);
    if (session_) reached(params[1]);
  } else if (method == "update2" && params.size() == 2 && params[0] == kServer) {
    look_at_server(params[1]);
  } else if ((method == "locked" || method == "stolen") && params[0] == config_.lock) {
    status_.locked = method == "locked";
  } else if (method == "monitor_canceled") {
    failed("it has cancelled our monitor");
  }
}

// <table-updates2> of ovsdb-server(7).
void Follower::take_updates(const Json& updates) {
  if (!updates.is_object()) return failed("updates that are no object");
  for (const auto& [table, rows] : updates.items()) {
    if (!config_.columns.contains(table) || !rows.is_object())
      return failed("updates of a table that nobody asked for");
    for (const auto& [uuid, update] : rows.items()) {
      if (!update.is_object() || update.size() != 1) return failed("an update of a row that is none");
      const std::string& kind = update.begin().key();
      const Json& row = update.begin().value();
      if (kind != "delete" && !row.is_object()) return failed("an update of a row that is none");
      if (kind == "initial" || kind == "insert") {
        listener_.row_is(table, uuid, row);
      } else if (kind == "modify") {
        listener_.row_changed(table, uuid, row);
      } else if (kind == "delete") {
        listener_.row_gone(table, uuid);
      } else {
        return failed("an update of a row that is none");
      }
    }
  }
}

// --- transactions ---

void Follower::transact(Json operations, Done done) {
  if (!session_ || !status_.in_step) {
    boost::asio::post(io_, [done = std::move(done)] { done(fail(Errc::system, "not connected")); });
    return;
  }
  Json params = Json::array({config_.database});
  for (Json& operation : operations) params.push_back(std::move(operation));
  session_->call("transact", std::move(params),
                 [this, done = std::move(done), session = session_.get()](Result<Json> reply) {
                   if (session != session_.get()) return;
                   done(reply ? without_errors(*reply) : std::move(reply));
                 });
}

}  // namespace heddle::ovsdb
