// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/locks.h"

#include <optional>
#include <utility>

#include "base/limits.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

namespace {

Expect<std::string> lock_name(const Json& params, const char* method) {
  constexpr std::size_t longest = limits::kJsonMessage / limits::kLocks;  // all names of a session fit one message
  if (params.size() == 1 && params[0].is_string() && params[0].get_ref<const std::string&>().size() <= longest &&
      is_identifier(params[0].get_ref<const std::string&>()))
    return params[0].get<std::string>();
  return syntax_error(std::string(method) + " takes one identifier, not " + dump_brief(params));
}

}  // namespace

Expect<std::string> Locks::admit(SessionId session, const Json& params, const char* method) {
  auto name = lock_name(params, method);
  if (!name) return name;
  const auto asked = asked_.find(session);
  if (asked == asked_.end()) return name;
  if (asked->second.contains(*name))
    return syntax_error("this session has or awaits lock " + *name + " already: unlock it before a new " + method);
  if (asked->second.size() >= limits::kLocks)
    return failure("resources exhausted",
                   "a session may have or await " + std::to_string(limits::kLocks) + " locks at most");
  return name;
}

Expect<bool> Locks::lock(SessionId session, const Json& params) {
  auto name = admit(session, params, "lock");
  if (!name) return std::unexpected(name.error());
  auto& queue = queues_[*name];
  queue.push_back({session, false});
  asked_[session].insert(*name);
  return queue.size() == 1;
}

Expect<> Locks::steal(SessionId session, const Json& params) {
  auto name = admit(session, params, "steal");
  if (!name) return std::unexpected(name.error());
  auto& queue = queues_[*name];
  const auto victim = queue.empty() ? std::nullopt : std::optional(queue.front());
  if (victim && victim->stole) queue.pop_front();
  queue.push_front({session, true});
  asked_[session].insert(*name);
  if (victim) tell_(victim->session, "stolen", *name);
  return {};
}

Expect<> Locks::unlock(SessionId session, const Json& params) {
  auto name = lock_name(params, "unlock");
  if (!name) return std::unexpected(name.error());
  const auto asked = asked_.find(session);
  if (asked == asked_.end() || asked->second.erase(*name) == 0)
    return syntax_error("unlock: this session neither has nor awaits lock " + *name);
  if (asked->second.empty()) asked_.erase(asked);
  leave(session, *name);
  return {};
}

void Locks::leave(SessionId session, const std::string& lock) {
  const auto it = queues_.find(lock);
  if (it == queues_.end()) return;
  auto& queue = it->second;
  const bool held = queue.front().session == session;
  std::erase_if(queue, [&](const Turn& turn) { return turn.session == session; });
  if (queue.empty())
    queues_.erase(it);
  else if (held)
    tell_(queue.front().session, "locked", lock);
}

void Locks::drop(SessionId session) {
  const auto asked = asked_.extract(session);
  if (!asked) return;
  for (const std::string& lock : asked.mapped()) leave(session, lock);
}

bool Locks::holds(SessionId session, const std::string& lock) const {
  const auto it = queues_.find(lock);
  return it != queues_.end() && it->second.front().session == session;
}

}  // namespace heddle::ovsdb
