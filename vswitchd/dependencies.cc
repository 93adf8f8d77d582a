// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/dependencies.h"

#include <algorithm>
#include <string>

namespace heddle::vswitchd {
namespace {

using ovsdb::RowRef;
using ovsdb::Uuid;

std::string_view name_of(const ovsdb::Row& row) {
  const ovsdb::Datum& name = row.get("name");
  const auto* text = name.empty() ? nullptr : std::get_if<std::string>(&name.keys().front());
  return text == nullptr ? std::string_view{} : std::string_view(*text);
}

}  // namespace

RowRef Lookup::find(std::string_view table, const Uuid& uuid) {
  note(row_fact(uuid));
  return db_.find(table, uuid);
}

std::vector<RowRef> Lookup::rows(std::string_view table) {
  note(table_fact(table));
  return db_.rows(table);
}

std::vector<RowRef> Lookup::by_name(std::string_view table, const std::vector<Uuid>& uuids) {
  std::vector<RowRef> rows;
  rows.reserve(uuids.size());
  for (const Uuid& uuid : uuids)
    if (auto row = find(table, uuid)) rows.push_back(std::move(row));
  if (rows.size() > 1) std::ranges::stable_sort(rows, {}, [](const RowRef& row) { return name_of(*row); });
  return rows;
}

void Dependencies::set(const ReadingId& reading, const std::vector<Fact>& facts) {
  const auto old = facts_.find(reading);
  if (old != facts_.end())
    for (const Fact& fact : old->second) readers_.erase({fact, reading});
  for (const Fact& fact : facts) readers_.emplace(fact, reading);
  if (!facts.empty())
    facts_.insert_or_assign(reading, facts);
  else if (old != facts_.end())
    facts_.erase(old);
}

void Dependencies::add_readers(const Fact& fact, std::set<ReadingId>& readings) const {
  for (auto it = readers_.lower_bound({fact, {.kind = {}, .bridge = {}, .port = {}}});
       it != readers_.end() && it->first == fact; ++it)
    readings.insert(it->second);
}

void Dependencies::clear() {
  readers_.clear();
  facts_.clear();
}

}  // namespace heddle::vswitchd
