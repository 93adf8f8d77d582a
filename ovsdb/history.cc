// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/history.h"

#include <algorithm>
#include <map>

#include "base/limits.h"

namespace heddle::ovsdb {

History::History(Database& database)
    : database_(database),
      observer_(database.add_observer([this](const Change& change) { record(change); })),
      start_(database.last_transaction()) {}

History::~History() { database_.remove_observer(observer_); }

namespace {

std::size_t bytes_of(const std::vector<Atom>& atoms) {
  std::size_t bytes = atoms.size() * sizeof(Atom);
  for (const Atom& atom : atoms)
    if (const auto* text = std::get_if<std::string>(&atom)) bytes += text->size();
  return bytes;
}

std::size_t bytes_of(const Change& change) {
  std::size_t bytes = 0;
  for (const RowChange& row : change.rows)
    for (std::size_t i = 0; row.before && i < row.table->columns.size(); ++i)
      bytes += bytes_of(row.before->at(i).keys()) + bytes_of(row.before->at(i).values());
  return bytes;
}

}  // namespace

void History::forget_oldest() {
  rows_ -= entries_.front().change.rows.size();
  bytes_ -= entries_.front().bytes;
  start_ = entries_.front().change.id;
  entries_.pop_front();
}

void History::record(const Change& change) {
  entries_.push_back({change, bytes_of(change)});
  rows_ += change.rows.size();
  bytes_ += entries_.back().bytes;
  while (!entries_.empty() &&
         (entries_.size() > limits::kHistory || rows_ > limits::kHistoryRows || bytes_ > limits::kHistoryBytes))
    forget_oldest();
}

std::optional<Change> History::since(const Uuid& id) const {
  auto from = entries_.begin();
  if (id != start_) {
    from = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.change.id == id; });
    if (from == entries_.end()) return std::nullopt;
    ++from;
  }
  std::map<std::pair<std::size_t, Uuid>, RowChange> sum;
  for (; from != entries_.end(); ++from)
    for (const RowChange& row : from->change.rows) {
      const auto [it, first] = sum.try_emplace({row.table->index, row.uuid}, row);
      if (!first) it->second.after = row.after;
    }
  Change out{{}, database_.last_transaction()};
  for (auto& [key, row] : sum)
    if (row.before || row.after) out.rows.push_back(std::move(row));
  return out;
}

}  // namespace heddle::ovsdb
