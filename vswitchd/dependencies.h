// SPDX-License-Identifier: Apache-2.0
// What the readings of the configuration (reader.h) have looked at, so that a commit tells which of them are stale.
//
// Owner: the Reader. Threads: control. As large as the number of rows that are read.
#pragma once

#include <compare>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ovsdb/database.h"

namespace heddle::vswitchd {

// Something that a reading may depend on: one row, all rows of a table, or an aspect of a bridge, which is what the
// bridge's own reading found and other readings use.
struct Fact {
  ovsdb::Uuid row;          // zero: of a whole table
  std::string_view aspect;  // empty: the row itself; else one of those below, or a table's name

  auto operator<=>(const Fact&) const = default;
};
using Facts = std::set<Fact>;

inline constexpr std::string_view kPlaceAspect = "place";      // name, datapath and error of a bridge
inline constexpr std::string_view kAddressAspect = "address";  // other_config:hwaddr of a bridge

inline Fact row_fact(const ovsdb::Uuid& row) { return {row, {}}; }
// `table` must live as long as the fact: a literal, or a name from the schema.
inline Fact table_fact(std::string_view table) { return {{}, table}; }

// The database as one reading sees it: whatever the reading looks at is noted. The database must outlive it.
class Lookup {
 public:
  explicit Lookup(const ovsdb::Database& db) : db_(db) {}

  [[nodiscard]] ovsdb::RowRef find(std::string_view table, const ovsdb::Uuid& uuid);
  // `table`: a literal.
  [[nodiscard]] std::vector<ovsdb::RowRef> rows(std::string_view table);
  // The rows of these UUIDs that there are, by name.
  [[nodiscard]] std::vector<ovsdb::RowRef> by_name(std::string_view table, const std::vector<ovsdb::Uuid>& uuids);
  void note(const Fact& fact) { facts_.push_back(fact); }
  [[nodiscard]] const std::vector<Fact>& facts() const { return facts_; }

 private:
  const ovsdb::Database& db_;
  std::vector<Fact> facts_;
};

// One reading. Sorted so that a reading comes after those that it uses.
struct ReadingId {
  enum class Kind : std::uint8_t { sample_sets, root, bridge, port };
  Kind kind = Kind::root;
  ovsdb::Uuid bridge;  // of Kind::bridge and Kind::port
  ovsdb::Uuid port;    // of Kind::port: one Port row may be in two bridges

  auto operator<=>(const ReadingId&) const = default;
};

class Dependencies {
 public:
  // From now on the reading depends on these facts and no others.
  void set(const ReadingId& reading, const std::vector<Fact>& facts);
  void remove(const ReadingId& reading) { set(reading, {}); }
  // Adds the readings that depend on the fact.
  void add_readers(const Fact& fact, std::set<ReadingId>& readings) const;
  void clear();

 private:
  std::set<std::pair<Fact, ReadingId>> readers_;
  std::map<ReadingId, std::vector<Fact>> facts_;
};

}  // namespace heddle::vswitchd
