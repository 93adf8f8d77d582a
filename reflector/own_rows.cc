// SPDX-License-Identifier: Apache-2.0
#include "reflector/own_rows.h"

#include <fmt/format.h>

#include <cstdint>
#include <set>
#include <utility>

#include "overlay/reflector_source.h"

namespace heddle::reflector {
namespace {

using ovsdb::Row;
using ovsdb::RowChange;

// The VTEP of a row of any of the three tables.
std::string owner(const Row& row) { return row.get(row.table().name == "Vtep" ? "name" : "vtep").string_or(""); }

using Station = std::pair<std::int64_t, std::string>;  // network and MAC
Station station(const Row& row) { return {row.get("vni").integer_or(-1), row.get("mac").string_or("")}; }

}  // namespace

OwnRows::OwnRows(ovsdb::Database& db, Now now)
    : db_(db), now_(std::move(now)), observer_(db.add_observer([this](const ovsdb::Change& change) { take(change); })) {
  // What was there before has not been heard since when is not known: the time counts from now.
  for (const auto& row : db.rows("Vtep")) heard_[owner(*row)] = now_();
}

OwnRows::~OwnRows() { db_.remove_observer(observer_); }

// A row that takes another's place may come before that: removals first.
void OwnRows::take(const ovsdb::Change& change) {
  for (const RowChange& row : change.rows)
    if (row.table->name == "Vtep" && row.before) heard_.erase(owner(*row.before));
  for (const RowChange& row : change.rows)
    if (row.table->name == "Vtep" && row.after) heard_[owner(*row.after)] = now_();
}

bool OwnRows::is_silent(const std::string& vtep) const {
  const auto it = heard_.find(vtep);
  return it == heard_.end() || now_() - it->second >= overlay::ReflectorSource::kDead;
}

ovsdb::TransactContext::Permit OwnRows::permit_of(const ovsdb::RpcSession& session) const {
  const auto name = session.identity();
  if (!name) return {};
  return [this, vtep = *name](std::span<const RowChange> changes) { return judge(vtep, changes); };
}

std::optional<std::string> OwnRows::judge(const std::string& vtep, std::span<const RowChange> changes) const {
  if (vtep.empty() && !changes.empty()) return "the certificate has no common name, which a VTEP's name is to be";
  std::set<Station> claimed;
  for (const RowChange& change : changes)
    if (change.after && change.table->name == "Mac") claimed.insert(station(*change.after));
  for (const RowChange& change : changes) {
    if (change.after && owner(*change.after) != vtep)
      return fmt::format("VTEP \"{}\", as its certificate names it, writes no rows of \"{}\"", vtep,
                         owner(*change.after));
    if (!change.before || owner(*change.before) == vtep) continue;
    const std::string other = owner(*change.before);
    if (is_silent(other) && !change.after) continue;
    if (change.table->name != "Mac" || !claimed.contains(station(*change.before)))
      return fmt::format("VTEP \"{}\", as its certificate names it, removes no rows of \"{}\"", vtep, other);
    if (change.before->get("fixed").boolean_or(true))
      return fmt::format("station {} is fixed at VTEP \"{}\"", station(*change.before).second, other);
  }
  return std::nullopt;
}

}  // namespace heddle::reflector
