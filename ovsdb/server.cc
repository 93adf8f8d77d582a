// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/server.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "ovsdb/locks.h"
#include "ovsdb/server_database.h"
#include "ovsdb/subscriptions.h"
#include "ovsdb/waits.h"

namespace heddle::ovsdb {

namespace {

RpcReply reply_failure(const Failure& failure) { return RpcReply::fail(failure.to_json()); }

RpcReply to_reply(const Expect<>& done) {
  return done ? RpcReply::ok(Json::object()) : RpcReply::fail(done.error().to_json());
}

}  // namespace

struct OvsdbServer::Impl {
  // One database with its clients' monitors and waiting transactions.
  struct Hosted {
    Hosted(boost::asio::io_context& io, Database& db, bool client_writes, const Waits::Context& context)
        : database(db), read_only(!client_writes), subscriptions(db), waits(std::make_shared<Waits>(io, db, context)) {}
    Database& database;
    bool read_only;
    Subscriptions subscriptions;
    std::shared_ptr<Waits> waits;
  };

  Impl(boost::asio::io_context& io, Database& database, Permits permits);

  [[nodiscard]] Expect<Hosted*> find(const Json& params) const;
  [[nodiscard]] TransactContext context(SessionId session, bool read_only) const;

  RpcReply list_dbs(RpcSession& session, const Json& params);
  RpcReply get_schema(RpcSession& session, const Json& params);
  RpcReply get_server_id(RpcSession& session, const Json& params);
  RpcReply set_db_change_aware(RpcSession& session, const Json& params);
  RpcReply convert(RpcSession& session, const Json& params);
  RpcReply echo(RpcSession& session, const Json& params) { return (void)session, RpcReply::ok(params); }
  template <MonitorKind kind>
  RpcReply monitor(RpcSession& session, const Json& params);
  RpcReply monitor_cond_change(RpcSession& session, const Json& params);
  RpcReply monitor_cancel(RpcSession& session, const Json& params);
  RpcReply lock(RpcSession& session, const Json& params);
  RpcReply steal(RpcSession& session, const Json& params);
  RpcReply unlock(RpcSession& session, const Json& params);
  void transact(RpcSession& session, const Json& id, const Json& params, Responder respond);
  [[nodiscard]] Hosted* monitored(SessionId session, const Json& id) const;

  std::unique_ptr<Database> self;  // "_Server"
  std::string id = Uuid::random().to_string();
  std::map<SessionId, RpcSession*> sessions;
  Locks locks;
  std::vector<std::unique_ptr<Hosted>> hosted;
  Permits permits;
};

OvsdbServer::Impl::Impl(boost::asio::io_context& io, Database& database, Permits permits_)
    : self(make_server_database(std::array{&database.schema()})),
      locks([this](SessionId session, std::string_view method, const std::string& lock) {
        if (const auto it = sessions.find(session); it != sessions.end())
          it->second->notify(method, Json::array({lock}));
      }),
      permits(std::move(permits_)) {
  for (const bool client_writes : {true, false})
    hosted.push_back(std::make_unique<Hosted>(
        io, client_writes ? database : *self, client_writes,
        [this, client_writes](SessionId session) { return context(session, !client_writes); }));
}

Expect<OvsdbServer::Impl::Hosted*> OvsdbServer::Impl::find(const Json& params) const {
  if (params.empty() || !params[0].is_string()) return syntax_error("the first parameter must be the database's name");
  for (const auto& one : hosted)
    if (params[0] == one->database.schema().name()) return one.get();
  return failure("unknown database", "there is no database " + dump_brief(params[0]) + "; list_dbs tells which are");
}

TransactContext OvsdbServer::Impl::context(SessionId session, bool read_only) const {
  TransactContext out{Duration::zero(), [this, session](const std::string& lock) { return locks.holds(session, lock); },
                      read_only};
  if (const auto it = sessions.find(session); permits && it != sessions.end()) out.permit = permits(*it->second);
  return out;
}

RpcReply OvsdbServer::Impl::list_dbs(RpcSession& session, const Json& params) {
  (void)session, (void)params;
  Json names = Json::array();
  for (const auto& one : hosted) names.push_back(one->database.schema().name());
  return RpcReply::ok(std::move(names));
}

RpcReply OvsdbServer::Impl::get_schema(RpcSession& session, const Json& params) {
  (void)session;
  const auto found = find(params);
  return found ? RpcReply::ok((*found)->database.schema().json()) : reply_failure(found.error());
}

RpcReply OvsdbServer::Impl::get_server_id(RpcSession& session, const Json& params) {
  (void)session, (void)params;
  return RpcReply::ok(id);
}

// The set of databases never changes, so there is nothing to report and no session is closed for a change.
RpcReply OvsdbServer::Impl::set_db_change_aware(RpcSession& session, const Json& params) {
  (void)session;
  if (params.size() == 1 && params[0].is_boolean()) return RpcReply::ok(Json::object());
  return reply_failure({"syntax error", "set_db_change_aware takes true or false"});
}

RpcReply OvsdbServer::Impl::convert(RpcSession& session, const Json& params) {
  (void)session, (void)params;
  return reply_failure({"not supported", "the schema belongs to the program: restart it with another one (--schema)"});
}

void OvsdbServer::Impl::transact(RpcSession& session, const Json& request, const Json& params, Responder respond) {
  const auto found = find(params);
  if (!found) return respond(reply_failure(found.error()));
  Hosted& on = **found;
  const auto operations = std::span(params.get_ref<const Json::array_t&>()).subspan(1);
  auto outcome = on.database.try_transact(operations, context(session.id(), on.read_only));
  if (!outcome.blocked) return respond(RpcReply::ok(std::move(outcome.reply)));
  std::size_t held = 0;
  for (const auto& one : hosted) held += one->waits->count(session.id());
  if (held >= limits::kWaits)
    return respond(
        reply_failure({"resources exhausted", std::to_string(held) + " transactions of this session wait already"}));
  constexpr std::size_t most = limits::kJsonMessage / limits::kWaits;  // all waiting transactions fit one message
  Json kept(Json::array_t(operations.begin(), operations.end()));
  if (dump_json(kept).size() > most)
    return respond(reply_failure(
        {"resources exhausted", "a transaction that waits may have " + std::to_string(most) + " bytes at most"}));
  on.waits->add(session.id(), request, std::move(kept), outcome, std::move(respond));
}

OvsdbServer::Impl::Hosted* OvsdbServer::Impl::monitored(SessionId session, const Json& monitor) const {
  for (const auto& one : hosted)
    if (one->subscriptions.has(session, monitor)) return one.get();
  return nullptr;
}

template <MonitorKind kind>
RpcReply OvsdbServer::Impl::monitor(RpcSession& session, const Json& params) {
  const auto found = find(params);
  if (!found) return reply_failure(found.error());
  if (params.size() > 1 && monitored(session.id(), params[1]) != nullptr)
    return reply_failure({"syntax error", "monitor id " + dump_brief(params[1]) + " is in use in this session"});
  std::size_t held = 0;
  for (const auto& one : hosted) held += one->subscriptions.count(session.id());
  if (held >= limits::kMonitors)
    return reply_failure({"resources exhausted", "this session has " + std::to_string(held) + " monitors already"});
  auto result = (*found)->subscriptions.add(session, kind, params);
  return result ? RpcReply::ok(std::move(*result)) : reply_failure(result.error());
}

RpcReply OvsdbServer::Impl::monitor_cond_change(RpcSession& session, const Json& params) {
  if (params.size() != 3)
    return reply_failure({"syntax error", "monitor_cond_change takes a monitor's id, its new id and the requests"});
  Hosted* on = monitored(session.id(), params[0]);
  if (on == nullptr) return reply_failure({"unknown monitor", "this session has no monitor " + dump_brief(params[0])});
  if (params[1] != params[0] && monitored(session.id(), params[1]) != nullptr)
    return reply_failure({"syntax error", "monitor id " + dump_brief(params[1]) + " is in use in this session"});
  return to_reply(on->subscriptions.change(session.id(), params[0], params));
}

RpcReply OvsdbServer::Impl::monitor_cancel(RpcSession& session, const Json& params) {
  Hosted* on = params.size() == 1 ? monitored(session.id(), params[0]) : nullptr;
  if (on == nullptr) return RpcReply::fail("unknown monitor");  // the form of RFC 7047 section 4.1.7
  on->subscriptions.remove(session.id(), params[0]);
  return RpcReply::ok(Json::object());
}

RpcReply OvsdbServer::Impl::lock(RpcSession& session, const Json& params) {
  const auto held = locks.lock(session.id(), params);
  return held ? RpcReply::ok(Json{{"locked", *held}}) : reply_failure(held.error());
}

RpcReply OvsdbServer::Impl::steal(RpcSession& session, const Json& params) {
  const auto done = locks.steal(session.id(), params);
  return done ? RpcReply::ok(Json{{"locked", true}}) : reply_failure(done.error());
}

RpcReply OvsdbServer::Impl::unlock(RpcSession& session, const Json& params) {
  return to_reply(locks.unlock(session.id(), params));
}

OvsdbServer::OvsdbServer(boost::asio::io_context& io, Database& database, Permits permits)
    : impl_(std::make_unique<Impl>(io, database, std::move(permits))) {}

OvsdbServer::~OvsdbServer() = default;

void OvsdbServer::opened(RpcSession& session) { impl_->sessions.emplace(session.id(), &session); }

void OvsdbServer::request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
                          Responder respond) {
  using Method = RpcReply (Impl::*)(RpcSession&, const Json&);
  static const std::map<std::string_view, Method> known{{"list_dbs", &Impl::list_dbs},
                                                        {"get_schema", &Impl::get_schema},
                                                        {"get_server_id", &Impl::get_server_id},
                                                        {"set_db_change_aware", &Impl::set_db_change_aware},
                                                        {"convert", &Impl::convert},
                                                        {"echo", &Impl::echo},
                                                        {"monitor", &Impl::monitor<MonitorKind::plain>},
                                                        {"monitor_cond", &Impl::monitor<MonitorKind::cond>},
                                                        {"monitor_cond_since", &Impl::monitor<MonitorKind::cond_since>},
                                                        {"monitor_cond_change", &Impl::monitor_cond_change},
                                                        {"monitor_cancel", &Impl::monitor_cancel},
                                                        {"lock", &Impl::lock},
                                                        {"steal", &Impl::steal},
                                                        {"unlock", &Impl::unlock}};
  if (method == "transact") return impl_->transact(session, id, params, std::move(respond));
  const auto it = known.find(method);
  respond(it == known.end() ? RpcReply::fail("unknown method") : (impl_.get()->*it->second)(session, params));
}

void OvsdbServer::notification(RpcSession& session, const std::string& method, const Json& params) {
  if (method != "cancel" || params.empty()) return;
  for (const auto& one : impl_->hosted)
    if (one->waits->cancel(session.id(), params[0])) return;
}

void OvsdbServer::closed(SessionId session) {
  impl_->sessions.erase(session);
  for (const auto& one : impl_->hosted) {
    one->subscriptions.drop(session);
    one->waits->drop(session);
  }
  impl_->locks.drop(session);
}

}  // namespace heddle::ovsdb
