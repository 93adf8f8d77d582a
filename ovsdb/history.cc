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

constexpr std::size_t kMostAtoms = limits::kHistoryRows * 32;

// Each version of a bridge with a thousand ports holds a thousand references.
std::size_t atoms_in(const Change& change) {
  std::size_t sum = 0;
  for (const RowChange& row : change.rows)
    for (const RowRef& version : {row.before, row.after})
      if (version)
        for (const ColumnSchema& column : row.table->columns) sum += version->at(column.index).size();
  return sum;
}

}  // namespace

void History::record(const Change& change) {
  changes_.push_back(change);
  rows_ += change.rows.size();
  atoms_ += atoms_in(change);
  while (!changes_.empty() &&
         (changes_.size() > limits::kHistory || rows_ > limits::kHistoryRows || atoms_ > kMostAtoms)) {
    rows_ -= changes_.front().rows.size();
    atoms_ -= atoms_in(changes_.front());
    start_ = changes_.front().id;
    changes_.pop_front();
  }
}

std::optional<Change> History::since(const Uuid& id) const {
  auto from = changes_.begin();
  if (id != start_) {
    from = std::find_if(changes_.begin(), changes_.end(), [&](const Change& c) { return c.id == id; });
    if (from == changes_.end()) return std::nullopt;
    ++from;
  }
  std::map<std::pair<std::size_t, Uuid>, RowChange> sum;
  for (; from != changes_.end(); ++from)
    for (const RowChange& row : from->rows) {
      const auto [it, first] = sum.try_emplace({row.table->index, row.uuid}, row);
      if (!first) it->second.after = row.after;
    }
  Change out{{}, database_.last_transaction()};
  for (auto& [key, row] : sum)
    if (row.before || row.after) out.rows.push_back(std::move(row));
  return out;
}

}  // namespace heddle::ovsdb
