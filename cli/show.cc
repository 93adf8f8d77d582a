#include "cli/show.h"

#include <fmt/format.h>

#include <array>
#include <initializer_list>

#include "cli/switch_model.h"

namespace heddle::cli {
namespace {

// What the tree shows of a record besides its name. Columns that a schema lacks are passed over.
struct Shown {
  std::string_view table;
  std::initializer_list<std::string_view> columns;
};
const std::array<Shown, 4> kShown{{{"Open_vSwitch", {"ovs_version"}},
                                   {"Bridge", {"datapath_type", "fail_mode"}},
                                   {"Port", {"vlan_mode", "tag", "trunks"}},
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
}

void show_head(const Session& session, const Record& record, int indent, std::string& out) {
  out += fmt::format("{:{}}{} {}\n", "", indent, record.table->name, format_atom(session.model.name_of(record)));
  show_columns(session, record, indent + 4, out);
}

}  // namespace

Result<> prepare_show(Session& session, const Command& command) {
  if (auto ok = prepare_switch(session, command); !ok) return ok;
  for (const auto& shown : kShown) {
    const auto* table = session.catalog.schema().find(shown.table);
    for (const auto name : shown.columns) {
      if (table->find(name) != nullptr) session.interest[table->name].insert(std::string(name));
    }
  }
  return {};
}

Result<Outcome> show(Session& session, const Command& /*command*/, std::string& out) {
  auto root = root_record(session);
  if (!root) return std::unexpected(root.error());
  out += (*root)->uuid.to_string() + "\n";
  for (const auto* bridge : bridges(session)) {
    show_head(session, *bridge, 4, out);
    for (const auto* port : ports_of(session, *bridge)) {
      show_head(session, *port, 8, out);
      for (const auto* interface : interfaces_of(session, *port)) show_head(session, *interface, 12, out);
    }
  }
  show_columns(session, **root, 4, out);
  return Outcome::done;
}

}  // namespace heddle::cli
