#include "ovsdb/server.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "ovsdb/monitor.h"

namespace heddle::ovsdb {

namespace {

// A transaction whose "wait" is not satisfied yet.
struct Waiting {
  explicit Waiting(boost::asio::io_context& io) : timer(io) {}
  SessionId session = 0;
  Json id;
  Json operations;
  Responder respond;
  TimePoint since;
  std::string table;
  bool ready = false;  // the table has changed, or time is up: to be tried again
  boost::asio::steady_timer timer;
};

RpcReply reply_failure(const Failure& failure) { return RpcReply::fail(failure.to_json()); }

}  // namespace

// Posted callbacks hold a weak pointer to it, so that they find out when the server has gone.
struct OvsdbServer::Impl : std::enable_shared_from_this<OvsdbServer::Impl> {
  struct Session {
    RpcSession* rpc = nullptr;
    std::map<Json, Monitor> monitors;  // by the client's id
  };
  using WaitingList = std::list<std::shared_ptr<Waiting>>;

  Impl(boost::asio::io_context& context, Database& db) : io(context), database(db) {}

  RpcReply list_dbs() const { return RpcReply::ok(Json::array({database.schema().name()})); }
  RpcReply get_schema(const Json& params) const;
  void transact(RpcSession& session, const Json& id, const Json& params, Responder respond);
  RpcReply monitor(RpcSession& session, const Json& params);
  RpcReply monitor_cancel(SessionId session, const Json& params);
  void cancel(SessionId session, const Json& params);
  [[nodiscard]] Expect<> check_database(const Json& params) const;

  void changed(const Change& change);
  void park(const std::shared_ptr<Waiting>& waiting, const TransactOutcome& outcome);
  void retry_soon();
  void retry();

  boost::asio::io_context& io;
  Database& database;
  Database::ObserverId observer = 0;
  std::map<SessionId, Session> sessions;
  WaitingList waiting;
  bool retry_posted = false;
};

Expect<> OvsdbServer::Impl::check_database(const Json& params) const {
  if (params.empty() || !params[0].is_string()) return syntax_error("the first parameter must be the database's name");
  if (params[0] == database.schema().name()) return {};
  return failure("unknown database",
                 "there is no database " + dump_brief(params[0]) + ", only " + database.schema().name());
}

RpcReply OvsdbServer::Impl::get_schema(const Json& params) const {
  if (auto ok = check_database(params); !ok) return reply_failure(ok.error());
  return RpcReply::ok(database.schema().json());
}

void OvsdbServer::Impl::transact(RpcSession& session, const Json& id, const Json& params, Responder respond) {
  if (auto ok = check_database(params); !ok) return respond(reply_failure(ok.error()));
  Json operations = Json::array();
  for (std::size_t i = 1; i < params.size(); ++i) operations.push_back(params[i]);
  auto outcome = database.try_transact(operations, Duration::zero());
  if (!outcome.blocked) return respond(RpcReply::ok(std::move(outcome.reply)));

  const auto held =
      std::count_if(waiting.begin(), waiting.end(), [&](const auto& w) { return w->session == session.id(); });
  if (static_cast<std::size_t>(held) >= limits::kWaits)
    return respond(
        reply_failure({"resources exhausted", std::to_string(held) + " transactions of this session wait already"}));
  auto entry = std::make_shared<Waiting>(io);
  entry->session = session.id();
  entry->id = id;
  entry->operations = std::move(operations);
  entry->respond = std::move(respond);
  entry->since = Clock::now();
  park(entry, outcome);
  waiting.push_back(std::move(entry));
}

void OvsdbServer::Impl::park(const std::shared_ptr<Waiting>& entry, const TransactOutcome& outcome) {
  entry->table = outcome.wait_table;
  entry->ready = false;
  entry->timer.cancel();
  if (!outcome.wait_timeout) return;
  entry->timer.expires_at(entry->since + *outcome.wait_timeout);
  entry->timer.async_wait([weak = weak_from_this(), entry](const boost::system::error_code& stopped) {
    const auto self = weak.lock();
    if (stopped || !self) return;
    entry->ready = true;
    self->retry();
  });
}

// After the observers of the present commit have heard of it: a retried transaction commits too.
void OvsdbServer::Impl::retry_soon() {
  if (std::exchange(retry_posted, true)) return;
  boost::asio::post(io, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->retry_posted = false;
    self->retry();
  });
}

void OvsdbServer::Impl::retry() {
  const WaitingList candidates = waiting;
  for (const auto& entry : candidates) {
    if (!entry->ready) continue;
    entry->ready = false;
    auto outcome = database.try_transact(entry->operations, Clock::now() - entry->since);
    if (outcome.blocked) {
      park(entry, outcome);
      continue;
    }
    entry->timer.cancel();
    waiting.remove(entry);
    entry->respond(RpcReply::ok(std::move(outcome.reply)));
  }
}

void OvsdbServer::Impl::cancel(SessionId session, const Json& params) {
  if (params.empty()) return;
  const auto it = std::find_if(waiting.begin(), waiting.end(),
                               [&](const auto& w) { return w->session == session && w->id == params[0]; });
  if (it == waiting.end()) return;
  const auto entry = *it;
  waiting.erase(it);
  entry->ready = false;
  entry->timer.cancel();
  entry->respond(RpcReply::fail("canceled"));
}

RpcReply OvsdbServer::Impl::monitor(RpcSession& session, const Json& params) {
  if (auto ok = check_database(params); !ok) return reply_failure(ok.error());
  if (params.size() != 3)
    return reply_failure({"syntax error", "monitor takes a database name, an id and the requests"});
  Session& state = sessions[session.id()];
  state.rpc = &session;
  if (state.monitors.contains(params[1]))
    return reply_failure({"syntax error", "monitor id " + dump_brief(params[1]) + " is in use in this session"});
  if (state.monitors.size() >= limits::kMonitors)
    return reply_failure(
        {"resources exhausted", "a session may have " + std::to_string(limits::kMonitors) + " monitors at most"});
  auto monitor = Monitor::parse(database.schema(), params[1], params[2]);
  if (!monitor) return reply_failure(monitor.error());
  Json initial = monitor->initial(database);
  state.monitors.emplace(params[1], std::move(*monitor));
  return RpcReply::ok(std::move(initial));
}

RpcReply OvsdbServer::Impl::monitor_cancel(SessionId session, const Json& params) {
  const auto it = sessions.find(session);
  if (params.size() == 1 && it != sessions.end() && it->second.monitors.erase(params[0]) > 0)
    return RpcReply::ok(Json::object());
  return reply_failure(
      {"unknown monitor", "this session has no monitor " + dump_brief(params.empty() ? Json() : params[0])});
}

void OvsdbServer::Impl::changed(const Change& change) {
  for (const auto& [id, session] : sessions) {
    for (const auto& [name, monitor] : session.monitors) {
      Json updates = monitor.updates(change);
      if (!updates.empty()) session.rpc->notify("update", Json::array({monitor.id(), std::move(updates)}));
    }
  }
  bool any = false;
  for (const auto& entry : waiting) {
    entry->ready = entry->ready || std::any_of(change.rows.begin(), change.rows.end(),
                                               [&](const RowChange& row) { return row.table->name == entry->table; });
    any = any || entry->ready;
  }
  if (any) retry_soon();
}

OvsdbServer::OvsdbServer(boost::asio::io_context& io, Database& database)
    : impl_(std::make_shared<Impl>(io, database)) {
  impl_->observer = database.add_observer([impl = impl_.get()](const Change& change) { impl->changed(change); });
}

OvsdbServer::~OvsdbServer() {
  impl_->database.remove_observer(impl_->observer);
  for (const auto& entry : impl_->waiting) entry->timer.cancel();
}

void OvsdbServer::request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
                          Responder respond) {
  if (method == "transact") return impl_->transact(session, id, params, std::move(respond));
  if (method == "echo") return respond(RpcReply::ok(params));
  if (method == "list_dbs") return respond(impl_->list_dbs());
  if (method == "get_schema") return respond(impl_->get_schema(params));
  if (method == "monitor") return respond(impl_->monitor(session, params));
  if (method == "monitor_cancel") return respond(impl_->monitor_cancel(session.id(), params));
  respond(RpcReply::fail("unknown method"));
}

void OvsdbServer::notification(RpcSession& session, const std::string& method, const Json& params) {
  if (method == "cancel") impl_->cancel(session.id(), params);
}

void OvsdbServer::closed(SessionId session) {
  impl_->sessions.erase(session);
  impl_->waiting.remove_if([&](const auto& entry) {
    if (entry->session != session) return false;
    entry->ready = false;
    entry->timer.cancel();
    return true;
  });
}

}  // namespace heddle::ovsdb
