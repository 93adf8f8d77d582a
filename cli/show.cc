// SPDX-License-Identifier: Apache-2.0
#include "cli/show.h"

#include <fmt/format.h>

#include <array>
#include <initializer_list>

#include "cli/switch_model.h"

namespace heddle::cli {
namespace {

// The columns in the tree, beside the name. Columns that the schema lacks are skipped.
struct Shown {
  std::string_view table;
  std::initializer_list<std::string_view> columns;
};
const std::array<Shown, 6> kShown{{{"Open_vSwitch", {"ovs_version"}},
                                   {"Manager", {"is_connected"}},
                                   {"Controller", {"is_connected"}},
                                   {"Bridge", {"fail_mode", "datapath_type"}},
                                   {"Port", {"tag", "trunks"}},
                                   {"Interface", {"type", "options", "error"}}}};

void show_columns(const Session& session, const Record& record, int indent, std::string& out) {
  for (const auto& shown : kShown) {
    if (shown.table != record.table->name) continue;
    for (const auto name : shown.columns) {
      const auto* column = record.table->find(name);
      if (column == nullptr) continue;
      const auto value = session.model.get(record, *column);
      if (value == default_datum(column->type)) continue;
      out += fmt::format("{:{}}{}: {}\n", "", indent, name, format_datum(value, column->type));
    }
  }
  const auto status = session.model.get(record, status_column(record.table->name));
  for (const auto key : {kNoEffect, kWarning}) {
    if (const auto text = status.at(key)) out += fmt::format("{:{}}{}: {}\n", "", indent, key, *text);
  }
}

void show_head(const Session& session, const Record& record, int indent, std::string& out) {
  out += fmt::format("{:{}}{} {}\n", "", indent, record.table->name, format_atom(session.model.name_of(record)));
}

void show_leaf(const Session& session, const Record& record, int indent, std::string& out) {
  show_head(session, record, indent, out);
  show_columns(session, record, indent + 4, out);
}

}  // namespace

Result<> prepare_show(Session& session, const Command& command) {
  if (auto ok = prepare_switch(session, command); !ok) return ok;
  const auto& schema = session.catalog.schema();
  const auto want = [&](std::string_view table_name, std::string_view column) {
    const auto* table = schema.find(table_name);
    if (table != nullptr && table->find(column) != nullptr) session.interest[table->name].insert(std::string(column));
  };
  for (const auto& shown : kShown) {
    for (const auto name : shown.columns) want(shown.table, name);
  }
  for (const char* table : {"Open_vSwitch", "Bridge", "Port", "Interface"}) want(table, status_column(table));
  for (const char* table : {"Manager", "Controller"}) want(table, "target");
  want("Open_vSwitch", "manager_options");
  want("Bridge", "controller");
  return {};
}

Result<Outcome> show(Session& session, const Command& /*command*/, std::string& out) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  out += (*root)->uuid.to_string() + "\n";
  for (const auto* manager : children(session, **root, "manager_options", "Manager")) {
    show_leaf(session, *manager, 4, out);
  }
  for (const auto& bridge : bridges(session, Kind::real)) {
    show_head(session, *bridge.record, 4, out);
    for (const auto* controller : children(session, *bridge.record, "controller", "Controller")) {
      show_leaf(session, *controller, 8, out);
    }
    show_columns(session, *bridge.record, 8, out);
    for (const auto* port : children(session, *bridge.record, "ports", "Port")) {
      show_leaf(session, *port, 8, out);
      for (const auto* interface : interfaces_of(session, *port)) show_leaf(session, *interface, 12, out);
    }
  }
  show_columns(session, **root, 4, out);
  return Outcome::done;
}

}  // namespace heddle::cli
