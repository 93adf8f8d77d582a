// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/journal.h"

#include "ovsdb/datum_text.h"
#include "ovsdb/value.h"

namespace heddle::ovsdb {

namespace {

bool is_default(const ColumnType& type, const Datum& value) {
  return type.min == 0 ? value.empty() : value == default_datum(type);
}

void append_name(std::string& out, const std::string& column) {
  if (out.back() != '{') out += ',';
  append_json(out, column);
  out += ':';
}

// {COLUMN: VALUE, ...}
void append_columns(std::string& out, const Row& row) {
  out += '{';
  for (const ColumnSchema& column : row.table().columns) {
    const Datum& value = row.at(column.index);
    if (column.ephemeral || is_default(column.type, value)) continue;
    append_name(out, column.name);
    append_json(out, column.type, value);
  }
  out += '}';
}

// {"insert": SET, "delete": SET}
void append_difference(std::string& out, const Datum& before, const Datum& after) {
  std::string came;
  std::string went;
  for_each_difference(before, after, [&](const Atom& atom, int sign) {
    std::string& list = sign > 0 ? came : went;
    if (!list.empty()) list += ',';
    append_atom(list, atom);
  });
  out += "{\"insert\":[\"set\",[" + came + "]],\"delete\":[\"set\",[" + went + "]]}";
}

void append_changes(std::string& out, const Row& before, const Row& after) {
  out += '{';
  for (const ColumnSchema& column : after.table().columns) {
    const Datum& was = before.at(column.index);
    const Datum& is = after.at(column.index);
    if (column.ephemeral || was == is) continue;
    append_name(out, column.name);
    // A missing column means the empty set for every schema that may read this, if the set may be empty.
    const bool as_difference = !column.type.is_map() && column.type.max > 1 && column.type.min == 0;
    if (as_difference)
      append_difference(out, was, is);
    else if (is_default(column.type, is))
      out += "null";
    else
      append_json(out, column.type, is);
  }
  out += '}';
}

}  // namespace

StoredRow to_stored(const RowChange& change) {
  StoredRow out{change.table->name, change.uuid.to_string(), std::nullopt};
  if (change.after) append_columns(out.columns.emplace(), *change.after);
  return out;
}

std::string journal_entry(const Change& change) {
  std::string out = "[";
  for (const RowChange& row : change.rows) {
    if (!row.stored()) continue;
    if (out.size() > 1) out += ',';
    out += '[';
    append_json(out, row.table->name);
    out += ",\"" + row.uuid.to_string() + "\",";
    if (!row.after) {
      out += "\"gone\"";
    } else if (!row.before) {
      out += "\"is\",";
      append_columns(out, *row.after);
    } else {
      out += "\"changed\",";
      append_changes(out, *row.before, *row.after);
    }
    out += ']';
  }
  return out.size() == 1 ? std::string() : out + "]";
}

namespace {

const Json* elements_of(const Json& set) {
  const bool good = set.is_array() && set.size() == 2 && set[0] == "set" && set[1].is_array();
  return good ? &set[1] : nullptr;
}

// `before` (a set, or one element by itself) without the removed and with the added elements.
Json changed_set(const Json* before, std::map<Json, bool> moves) {
  Json out = Json::array();
  const Json alone = before == nullptr ? Json::array() : Json::array({*before});
  const Json* set = before == nullptr ? nullptr : elements_of(*before);
  for (const Json& element : set != nullptr ? *set : alone) {
    const auto move = moves.find(element);
    if (move != moves.end() && !move->second) continue;
    out.push_back(element);
    if (move != moves.end()) moves.erase(move);
  }
  for (const auto& [element, came] : moves)
    if (came) out.push_back(element);
  return Json::array({"set", std::move(out)});
}

}  // namespace

bool JournalReplay::read_columns(News& news, const Json& columns) {
  if (!columns.is_object() || !news.columns) return false;
  for (const auto& [name, value] : columns.items()) {
    if (!value.is_object()) {
      news.sets.erase(name);
      (*news.columns)[name] = value;
      continue;
    }
    for (const bool came : {false, true}) {
      const auto list = value.find(came ? "insert" : "delete");
      const Json* elements = list == value.end() ? nullptr : elements_of(*list);
      if (elements == nullptr) return false;
      for (const Json& element : *elements) news.sets[name][element] = came;
    }
  }
  return true;
}

// [TABLE, UUID, WHAT, COLUMNS]; the caller has checked the first three.
bool JournalReplay::read_row(News& news, const Json& change) {
  const std::string& what = change[2].get_ref<const std::string&>();
  if (what == "gone") {
    news = {news.seen, true, std::nullopt, {}};
    return change.size() == 3;
  }
  if (what == "is") news = {news.seen, true, Json::object(), {}};
  return (what == "is" || what == "changed") && change.size() == 4 && read_columns(news, change[3]);
}

Result<> JournalReplay::read(std::string_view entry) {
  const auto json = parse_json(entry);
  bool good = json && json->is_array();
  for (std::size_t i = 0; good && i < json->size(); ++i) {
    const Json& change = (*json)[i];
    good = change.is_array() && change.size() >= 3 && change[0].is_string() && change[1].is_string() &&
           change[2].is_string() &&
           read_row(rows_[{change[0].get<std::string>(), change[1].get<std::string>()}], change);
  }
  if (good) return {};
  return fail(Errc::invalid, "the journal's entry " + std::string(entry.substr(0, 60)) +
                                 "... cannot be read (restore the file from a copy)");
}

std::vector<std::pair<std::string, std::string>> JournalReplay::names() const {
  std::vector<std::pair<std::string, std::string>> out;
  out.reserve(rows_.size());
  for (const auto& [key, news] : rows_) out.push_back(key);
  return out;
}

Result<StoredRow> JournalReplay::apply(const News& news, StoredRow row) {
  if (!news.columns) {
    row.columns.reset();
    return row;
  }
  auto columns = parse_json(news.whole ? "{}" : row.columns.value_or("{}"));
  if (!columns || !columns->is_object())
    return fail(Errc::invalid,
                "stored row " + row.uuid + " of table " + row.table + " cannot be read (restore the file from a copy)");
  for (const auto& [name, value] : news.columns->items()) {
    if (value.is_null())
      columns->erase(name);
    else
      (*columns)[name] = value;
  }
  for (const auto& [name, moves] : news.sets) {
    const auto before = columns->find(name);
    Json set = changed_set(before == columns->end() ? nullptr : &*before, moves);
    (*columns)[name] = std::move(set);
  }
  row.columns = dump_json(*columns);
  return row;
}

Result<StoredRow> JournalReplay::news_of(StoredRow row) {
  const auto it = rows_.find({row.table, row.uuid});
  if (it == rows_.end()) return row;  // the usual case
  it->second.seen = true;
  return apply(it->second, std::move(row));
}

Result<std::vector<StoredRow>> JournalReplay::others() const {
  std::vector<StoredRow> out;
  for (const auto& [key, news] : rows_) {
    if (news.seen) continue;
    if (news.columns && !news.whole)
      return fail(Errc::invalid, "the journal has news of row " + key.second + " of table " + key.first +
                                     ", which is not there (restore the file from a copy)");
    auto row = apply(news, {key.first, key.second, std::nullopt});
    if (!row) return std::unexpected(row.error());
    out.push_back(std::move(*row));
  }
  return out;
}

}  // namespace heddle::ovsdb
