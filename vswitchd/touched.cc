// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/touched.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace heddle::vswitchd {
namespace {

// Whether a column that counts differs, other than those named.
bool differs(const ovsdb::RowChange& row, std::initializer_list<std::string_view> but = {}) {
  if (!row.before || !row.after) return true;
  return std::ranges::any_of(row.table->columns, [&](const ovsdb::ColumnSchema& column) {
    return !column.ephemeral && column.name != "external_ids" &&
           row.before->at(column.index) != row.after->at(column.index) &&
           std::ranges::find(but, column.name) == but.end();
  });
}

}  // namespace

bool add_touched(const ovsdb::Change& change, Facts& touched) {
  bool concerned = false;
  for (const ovsdb::RowChange& row : change.rows) {
    if (!differs(row)) continue;
    concerned = true;
    if (row.table->name == "Open_vSwitch" && !differs(row, {"next_cfg", "cur_cfg"})) continue;
    touched.insert(row_fact(row.uuid));
    touched.insert(table_fact(row.table->name));
  }
  return concerned;
}

}  // namespace heddle::vswitchd
