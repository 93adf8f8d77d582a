// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/touched.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace heddle::vswitchd {
namespace {

using ovsdb::Uuid;

// Whether a column that counts differs, other than those named.
bool differs(const ovsdb::RowChange& row, std::initializer_list<std::string_view> but = {}) {
  if (!row.before || !row.after) return true;
  return std::ranges::any_of(row.table->columns, [&](const ovsdb::ColumnSchema& column) {
    return !column.ephemeral && column.name != "external_ids" &&
           row.before->at(column.index) != row.after->at(column.index) &&
           std::ranges::find(but, column.name) == but.end();
  });
}

void add_port(Touched& touched, const Uuid& port, const std::optional<Uuid>& bridge = {}) {
  auto& known = touched.ports[port];
  if (known && bridge && *known != *bridge) touched.all = true;  // it moves
  if (bridge) known = bridge;
}

// Ports that came into the bridge or left it.
void add_members(Touched& touched, const ovsdb::RowChange& row) {
  const auto& before = row.before->get("ports").keys();
  const auto& after = row.after->get("ports").keys();
  std::vector<ovsdb::Atom> moved;
  std::ranges::set_symmetric_difference(before, after, std::back_inserter(moved));
  for (const ovsdb::Atom& atom : moved)
    if (const Uuid* port = std::get_if<Uuid>(&atom)) add_port(touched, *port, row.uuid);
}

}  // namespace

bool add_commit(const ovsdb::Change& change, const std::function<std::optional<Uuid>(const Uuid&)>& port_of,
                Touched& touched) {
  bool concerned = false;
  for (const ovsdb::RowChange& row : change.rows) {
    if (!differs(row)) continue;
    concerned = true;
    const std::string_view table = row.table->name;
    if (table == "Port") {
      add_port(touched, row.uuid);
    } else if (table == "Interface") {
      // One that is not known yet, or not any more, belongs to a port that has changed itself.
      if (const auto port = port_of(row.uuid)) add_port(touched, *port);
    } else if (table == "Bridge" && row.before && row.after && !differs(row, {"ports"})) {
      add_members(touched, row);
    } else if (table != "Open_vSwitch" || !row.before || !row.after || differs(row, {"next_cfg", "cur_cfg"})) {
      touched.all = true;
    }
  }
  if (touched.all) touched.ports.clear();
  return concerned;
}

}  // namespace heddle::vswitchd
