#include "ovsdb/subscriptions.h"

#include <array>
#include <unordered_map>
#include <utility>

namespace heddle::ovsdb {

Subscriptions::Subscriptions(Database& database)
    : database_(database),
      history_(database),
      observer_(database.add_observer([this](const Change& change) { changed(change); })) {}

Subscriptions::~Subscriptions() { database_.remove_observer(observer_); }

namespace {

// So that all monitors of a session together are no larger than one message.
constexpr std::size_t kMonitorBytes = limits::kJsonMessage / limits::kMonitors;

Expect<> check_bytes(const Json& id, const Json& requests) {
  if (dump_json(id).size() + dump_json(requests).size() <= kMonitorBytes) return {};
  return failure("resources exhausted",
                 "a monitor's id and requests may have " + std::to_string(kMonitorBytes) + " bytes at most");
}

}  // namespace

Subscriptions::MonitorRef Subscriptions::shared(Monitor monitor) {
  std::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
  auto& entry = shared_[monitor.key()];
  if (auto known = entry.lock()) return known;
  auto made = std::make_shared<const Monitor>(std::move(monitor));
  entry = made;
  return made;
}

Expect<Json> Subscriptions::add(RpcSession& session, MonitorKind kind, const Json& params) {
  const std::size_t wanted = kind == MonitorKind::cond_since ? 4 : 3;
  if (params.size() != wanted)
    return syntax_error("a monitor takes a database name, an id, the requests" +
                        std::string(wanted == 4 ? " and the last transaction's id" : ""));
  std::optional<Uuid> last;
  if (wanted == 4) {
    if (params[3].is_string()) last = Uuid::parse(params[3].get_ref<const std::string&>());
    if (!last) return syntax_error("the last transaction's id " + dump_brief(params[3]) + " is not a UUID");
  }
  if (auto ok = check_bytes(params[1], params[2]); !ok) return std::unexpected(ok.error());
  auto parsed = Monitor::parse(database_.schema(), kind, params[2]);
  if (!parsed) return std::unexpected(parsed.error());
  const MonitorRef monitor = shared(std::move(*parsed));
  const auto missed = last ? history_.since(*last) : std::nullopt;
  Json data = missed ? monitor->updates(*missed) : monitor->initial(database_);
  Session& state = sessions_[session.id()];
  state.rpc = &session;
  state.monitors.emplace(params[1], monitor);
  if (kind != MonitorKind::cond_since) return data;
  return Json::array({missed.has_value(), database_.last_transaction().to_string(), std::move(data)});
}

Expect<> Subscriptions::change(SessionId session, const Json& id, const Json& params) {
  Session& state = sessions_.at(session);
  const MonitorRef before = state.monitors.at(id);
  if (before->kind() == MonitorKind::plain)
    return syntax_error("monitor " + dump_brief(id) + " was made by \"monitor\": it has no conditions");
  if (auto ok = check_bytes(params[1], params[2]); !ok) return ok;
  auto parsed = before->with_conditions(database_.schema(), params[2]);
  if (!parsed) return std::unexpected(parsed.error());
  const MonitorRef after = shared(std::move(*parsed));
  state.monitors.erase(id);
  state.monitors.emplace(params[1], after);
  const Json updates = after->difference(*before, database_);
  if (!updates.empty()) tell(state, params[1], after->kind(), database_.last_transaction(), dump_json(updates));
  return {};
}

bool Subscriptions::has(SessionId session, const Json& id) const {
  const auto it = sessions_.find(session);
  return it != sessions_.end() && it->second.monitors.contains(id);
}

std::size_t Subscriptions::count(SessionId session) const {
  const auto it = sessions_.find(session);
  return it == sessions_.end() ? 0 : it->second.monitors.size();
}

bool Subscriptions::remove(SessionId session, const Json& id) {
  const auto it = sessions_.find(session);
  return it != sessions_.end() && it->second.monitors.erase(id) > 0;
}

void Subscriptions::tell(const Session& session, const Json& id, MonitorKind kind, const Uuid& transaction,
                         const std::string& updates) {
  static constexpr std::array<std::string_view, 3> methods{"update", "update2", "update3"};
  std::string params = "[" + dump_json(id) + ",";
  if (kind == MonitorKind::cond_since) params += "\"" + transaction.to_string() + "\",";
  session.rpc->notify_text(methods.at(static_cast<std::size_t>(kind)), params + updates + "]");
}

void Subscriptions::changed(const Change& change) {
  std::unordered_map<const Monitor*, std::string> rendered;  // empty text: no news
  for (const auto& [session, state] : sessions_) {
    for (const auto& [id, monitor] : state.monitors) {
      const auto [text, first] = rendered.try_emplace(monitor.get());
      if (first)
        if (const Json updates = monitor->updates(change); !updates.empty()) text->second = dump_json(updates);
      if (!text->second.empty()) tell(state, id, monitor->kind(), change.id, text->second);
    }
  }
}

}  // namespace heddle::ovsdb
