// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/subscriptions.h"

#include <array>
#include <ranges>
#include <unordered_map>
#include <utility>

namespace heddle::ovsdb {

Subscriptions::Subscriptions(Database& database)
    : database_(database),
      history_(database),
      observer_(database.add_observer([this](const Change& change) { changed(change); })) {}

Subscriptions::~Subscriptions() { database_.remove_observer(observer_); }

namespace {

// All monitors of a session together are no larger than one message.
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
  state.monitors.emplace(params[1], Followed{monitor, dump_json(params[1])});
  if (kind != MonitorKind::cond_since) return data;
  return Json::array({missed.has_value(), database_.last_transaction().to_string(), std::move(data)});
}

namespace {

std::string_view method_of(MonitorKind kind) {
  static constexpr std::array<std::string_view, 3> methods{"update", "update2", "update3"};
  return methods.at(static_cast<std::size_t>(kind));
}

std::string params_of(const std::string& id, MonitorKind kind, const Uuid& transaction, const std::string& updates) {
  std::string params = "[" + id + ",";
  if (kind == MonitorKind::cond_since) params += "\"" + transaction.to_string() + "\",";
  return params + updates + "]";
}

}  // namespace

Expect<> Subscriptions::change(SessionId session, const Json& id, const Json& params) {
  Session& state = sessions_.at(session);
  const MonitorRef before = state.monitors.at(id).monitor;
  if (before->kind() == MonitorKind::plain)
    return syntax_error("monitor " + dump_brief(id) + " was made by \"monitor\": it has no conditions");
  if (auto ok = check_bytes(params[1], params[2]); !ok) return ok;
  auto parsed = before->with_conditions(database_.schema(), params[2]);
  if (!parsed) return std::unexpected(parsed.error());
  const MonitorRef after = shared(std::move(*parsed));
  state.monitors.erase(id);
  const std::string id_text = dump_json(params[1]);
  state.monitors.emplace(params[1], Followed{after, id_text});
  const Json updates = after->difference(*before, database_);
  if (updates.empty()) return {};
  const auto words = params_of(id_text, after->kind(), database_.last_transaction(), dump_json(updates));
  state.rpc->notify_text(method_of(after->kind()), words);
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

void Subscriptions::changed(const Change& change) {
  // Converted once per monitor, and once per id, since clients of one kind use the same ids.
  struct Words {
    std::string updates;  // empty: no update for this monitor
    const std::string* id = nullptr;
    std::string params;
  };
  std::unordered_map<const Monitor*, Words> said;
  // The latest sessions first: probably short commands that wait for this update, not clients that monitor for days.
  for (const auto& [session, state] : std::views::reverse(sessions_)) {
    for (const auto& [id, followed] : state.monitors) {
      const auto [known, first] = said.try_emplace(followed.monitor.get());
      Words& words = known->second;
      if (first)
        if (const Json updates = followed.monitor->updates(change); !updates.empty())
          words.updates = dump_json(updates);
      if (words.updates.empty()) continue;
      const MonitorKind kind = followed.monitor->kind();
      if (words.id == nullptr || *words.id != followed.id_text) {
        words.id = &followed.id_text;
        words.params = params_of(followed.id_text, kind, change.id, words.updates);
      }
      state.rpc->notify_text(method_of(kind), words.params);
    }
  }
}

}  // namespace heddle::ovsdb
