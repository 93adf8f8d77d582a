#include "vswitchd/desired.h"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>

#include "base/limits.h"
#include "vswitchd/bridge_config.h"
#include "vswitchd/inert.h"
#include "vswitchd/port_config.h"
#include "vswitchd/qos_config.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::Row;
using ovsdb::RowRef;

std::string_view name_of(const Row& row) {
  const ovsdb::Datum& name = row.get("name");
  const auto* text = name.empty() ? nullptr : std::get_if<std::string>(&name.keys().front());
  return text == nullptr ? std::string_view{} : std::string_view(*text);
}

std::vector<RowRef> by_name(const ovsdb::Database& db, std::string_view table, const std::vector<ovsdb::Uuid>& uuids) {
  std::vector<std::pair<std::string_view, RowRef>> named;  // thousands: each name is looked up once
  named.reserve(uuids.size());
  for (const ovsdb::Uuid& uuid : uuids)
    if (auto row = db.find(table, uuid)) named.emplace_back(name_of(*row), std::move(row));
  std::ranges::stable_sort(named, {}, [](const auto& entry) { return entry.first; });
  std::vector<RowRef> rows;
  rows.reserve(named.size());
  for (auto& [name, row] : named) rows.push_back(std::move(row));
  return rows;
}

std::string not_available(const std::string& bridge, const std::string& word, const std::string& type,
                          const DatapathOffer& offer) {
  const auto reason = offer.why_not.find(type);
  return fmt::format("bridge {}: datapath type \"{}\" is not available here{}; set datapath_type to one of: {}", bridge,
                     word.empty() ? type : word, reason == offer.why_not.end() ? "" : " (" + reason->second + ")",
                     fmt::join(offered_words(offer), ", "));
}

// A port that may be wanted, before claims on the same name or tunnel end point are settled.
struct Candidate {
  std::string name;
  DesiredPort port;
  bool established = false;  // it is in the switch already, and just so
};

class Reader {
 public:
  Reader(const ovsdb::Database& db, const ReadContext& context) : db_(db), context_(context) {}

  Desired read() {
    note_sample_sets();
    for (const RowRef& root : db_.rows("Open_vSwitch")) {
      note_idle(*root, "Open_vSwitch", columns_without_effect(*root));
      for (const RowRef& bridge : by_name(db_, "Bridge", root->get("bridges").uuids())) read_bridge(*bridge);
    }
    settle();
    return std::move(out_);
  }

 private:
  void read_bridge(const Row& row) {
    const std::string name = row.get("name").string_or("");
    const std::string type = row.get("datapath_type").string_or("");
    const std::string datapath = canonical_datapath(type, context_.offer);
    std::string error;
    if (!context_.offer.types.contains(datapath))
      error = not_available(name, type, datapath, context_.offer);
    else if (name.empty() || name.size() >= IFNAMSIZ || name.find('/') != std::string::npos)
      error = fmt::format("bridge name \"{}\" must have 1 to {} characters and no slash", name, IFNAMSIZ - 1);
    if (error.empty()) {
      DesiredBridge& bridge = out_.bridges[name];
      bridge = {datapath, read_bridge_config(db_, row, out_.warnings), row.uuid(),
                asked_datapath_id(row, out_.warnings)};
    } else {
      out_.broken_bridges.insert(name);
      out_.warnings.insert(error);
    }
    note_idle(row, "bridge " + name, columns_without_effect(row));
    for (const RowRef& port : by_name(db_, "Port", row.get("ports").uuids()))
      read_port(row, name, datapath, *port, error);
  }

  // What the row holds in vain: said in the log and in its status, so that nobody waits for it.
  void note_idle(const Row& row, const std::string& what, const std::vector<std::string>& columns) {
    if (columns.empty()) return;
    const std::string list = fmt::format("{}", fmt::join(columns, " "));
    out_.warnings.insert(fmt::format("{}: these columns are set and have no effect: {}", what, list));
    out_.idle[row.uuid()] = {row.table().name, list};
  }

  // Sampling sets name their bridge, not the other way round.
  void note_sample_sets() {
    for (const RowRef& set : db_.rows("Flow_Sample_Collector_Set"))
      out_.warnings.insert(fmt::format("Flow_Sample_Collector_Set {} has no effect", set->get("id").integer_or(0)));
  }

  void read_port(const Row& bridge_row, const std::string& bridge, const std::string& datapath, const Row& port,
                 const std::string& bridge_error) {
    const auto interfaces = by_name(db_, "Interface", port.get("interfaces").uuids());
    const DesiredQos qos = read_qos(db_, port, out_.warnings);
    auto idle = columns_without_effect(port);
    if (!qos.acted_on) idle.emplace_back("qos");
    note_idle(port, "port " + port.get("name").string_or(""), idle);
    if (interfaces.empty())
      out_.warnings.insert(fmt::format("bridge {}: port {} has no interface", bridge, port.get("name").string_or("")));
    for (const RowRef& iface : interfaces) {
      const std::string name = iface->get("name").string_or("");
      const std::string type = iface->get("type").string_or("");
      const bool own_device = type == "internal" || type == "tap" || (type.empty() && name == bridge);
      note_idle(*iface, "interface " + name, interface_without_effect(*iface, own_device));
      const auto broken = [&](std::string error) { break_port(iface->uuid(), bridge, name, std::move(error)); };
      if (!bridge_error.empty()) {
        broken(bridge_error);
        continue;
      }
      if (interfaces.size() > 1) {
        broken(fmt::format("bonds are not supported: port {} has {} interfaces; keep one of them",
                           port.get("name").string_or(""), interfaces.size()));
        continue;
      }
      auto config = read_port_config(bridge_row, port, *iface, out_.warnings);
      if (!config)
        broken(config.error().text);
      else
        candidates_.push_back(candidate(bridge, datapath, *iface, std::move(*config), qos.spec));
    }
  }

  Candidate candidate(const std::string& bridge, const std::string& datapath, const Row& iface,
                      ofproto::PortConfig config, const std::optional<dp::QosSpec>& qos) {
    const ofproto::SwitchPort* now = context_.current ? context_.current(config.spec.name) : nullptr;
    const bool established = now != nullptr && now->bridge == bridge && now->config.spec == config.spec;
    std::optional<ofproto::OfPort> former;
    if (const auto n = iface.get("ofport").integer(); n && *n > 0 && *n <= limits::kOfportMax)
      former = static_cast<ofproto::OfPort>(*n);
    std::string name = config.spec.name;
    return {std::move(name), {bridge, datapath, std::move(config), iface.uuid(), qos, former}, established};
  }

  void break_port(const ovsdb::Uuid& row, const std::string& bridge, const std::string& name, std::string error) {
    // The row of a port in two bridges may be sound in one of them.
    out_.broken.try_emplace(row, BrokenPort{bridge, name, std::move(error)});
  }

  void settle() {
    std::ranges::stable_partition(candidates_, [](const Candidate& c) { return c.established; });
    std::map<std::string, std::string> endpoints;  // tunnel end point -> name of the port that has it
    for (Candidate& c : candidates_) {
      const auto taken = out_.ports.find(c.name);
      if (taken != out_.ports.end()) {
        std::string text = fmt::format("{} is already in bridge {} and cannot be in {} too; remove it from one of them",
                                       c.name, taken->second.bridge, c.port.bridge);
        if (taken->second.row == c.port.row)
          out_.remarks[c.port.row] = std::move(text);
        else
          break_port(c.port.row, c.port.bridge, c.name, std::move(text));
        continue;
      }
      if (c.port.config.spec.kind == dp::PortKind::vxlan) {
        const std::string endpoint = c.port.datapath + " " + describe_endpoint(c.port.config.spec.vxlan);
        const auto [it, free] = endpoints.emplace(endpoint, c.name);
        if (!free) {
          break_port(c.port.row, c.port.bridge, c.name,
                     fmt::format("port {} has the same {}; change one of the two, for example its key", it->second,
                                 describe_endpoint(c.port.config.spec.vxlan)));
          continue;
        }
      }
      out_.broken.erase(c.port.row);
      std::string name = c.name;
      out_.ports.emplace(std::move(name), std::move(c.port));
    }
    part_patches();
  }

  // A frame cannot go from one datapath to the other by a patch port.
  void part_patches() {
    std::vector<std::pair<std::string, std::string>> parted;  // name, error
    for (const auto& [name, port] : out_.ports) {
      if (port.config.spec.kind != dp::PortKind::patch) continue;
      const auto peer = out_.ports.find(port.config.spec.peer);
      if (peer == out_.ports.end() || peer->second.datapath == port.datapath) continue;
      parted.emplace_back(
          name, fmt::format("peer {} is in bridge {}, whose datapath is {} and not {}; give both bridges "
                            "the same datapath_type",
                            port.config.spec.peer, peer->second.bridge, peer->second.datapath, port.datapath));
    }
    for (auto& [name, error] : parted) {
      const auto it = out_.ports.find(name);
      break_port(it->second.row, it->second.bridge, name, std::move(error));
      out_.ports.erase(it);
    }
  }

  const ovsdb::Database& db_;
  const ReadContext& context_;
  Desired out_;
  std::vector<Candidate> candidates_;
};

}  // namespace

Desired read_desired(const ovsdb::Database& db, const ReadContext& context) { return Reader(db, context).read(); }

std::string canonical_datapath(const std::string& type, const DatapathOffer& offer) {
  if (type == "system") return "kernel";
  if (type == "netdev") return "user";
  if (!type.empty()) return type;
  if (!offer.standard.empty()) return offer.standard;
  return offer.types.contains("kernel") ? "kernel" : "user";
}

std::set<std::string> offered_words(const DatapathOffer& offer) {
  std::set<std::string> words = offer.types;
  if (words.contains("kernel")) words.insert("system");
  if (words.contains("user")) words.insert("netdev");
  return words;
}

}  // namespace heddle::vswitchd
