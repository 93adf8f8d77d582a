// SPDX-License-Identifier: Apache-2.0
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

const dp::KindSet kNoKinds;

std::string not_available(const std::string& bridge, const std::string& word, const std::string& type,
                          const DatapathOffer& offer) {
  const auto reason = offer.why_not.find(type);
  return fmt::format("bridge {}: datapath type \"{}\" is not available here{}; set datapath_type to one of: {}", bridge,
                     word.empty() ? type : word, reason == offer.why_not.end() ? "" : " (" + reason->second + ")",
                     fmt::join(offered_words(offer), ", "));
}

PortOrigin origin_of(const ovsdb::Uuid& bridge, const PortReading& reading) {
  return {bridge, reading.interfaces, reading.warnings};
}

class Reader {
 public:
  Reader(const ovsdb::Database& db, const ReadContext& context) : db_(db), context_(context) {}

  Desired read() {
    note_sample_sets();
    for (const RowRef& root : db_.rows("Open_vSwitch")) {
      note_idle(*root, "Open_vSwitch", columns_without_effect(*root), out_.idle, out_.warnings);
      for (const RowRef& bridge : by_name(db_, "Bridge", root->get("bridges").uuids())) read_bridge(*bridge);
    }
    settle();
    out_.contested = out_.contested || !db_.rows("Mirror").empty();
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
    note_idle(row, "bridge " + name, columns_without_effect(row), out_.idle, out_.warnings);
    const auto kinds = context_.offer.types.find(datapath);
    const BridgeOfPort here{row, name, datapath, kinds == context_.offer.types.end() ? kNoKinds : kinds->second, error};
    for (const RowRef& port : by_name(db_, "Port", row.get("ports").uuids())) {
      PortReading reading = read_port(db_, here, *port, context_.current);
      note_origin(*port, row.uuid(), reading);
      // The row of a port in two bridges may be sound in one of them.
      out_.broken.merge(reading.broken);
      out_.idle.merge(reading.idle);
      std::ranges::move(reading.candidates, std::back_inserter(candidates_));
    }
  }

  void note_origin(const Row& port, const ovsdb::Uuid& bridge, const PortReading& reading) {
    bool fresh = out_.origins.emplace(port.uuid(), origin_of(bridge, reading)).second;
    for (const auto& [row, name] : reading.interfaces) {
      fresh = out_.port_of.emplace(row, port.uuid()).second && fresh;
      fresh = out_.interface_of.emplace(name, row).second && fresh;
    }
    out_.contested = out_.contested || !fresh;
  }

  // Sampling sets name their bridge, not the other way round.
  void note_sample_sets() {
    for (const RowRef& set : db_.rows("Flow_Sample_Collector_Set"))
      out_.warnings.insert(fmt::format("Flow_Sample_Collector_Set {} has no effect", set->get("id").integer_or(0)));
  }

  void break_port(const ovsdb::Uuid& row, const std::string& bridge, const std::string& name, std::string error) {
    out_.contested = true;
    out_.broken.try_emplace(row, BrokenPort{bridge, name, std::move(error)});
  }

  void settle() {
    std::ranges::stable_partition(candidates_, [](const Candidate& c) { return c.established; });
    std::map<std::string, std::string> endpoints;  // tunnel end point -> name of the port that has it
    for (Candidate& c : candidates_) {
      const auto taken = out_.ports.find(c.name);
      if (taken != out_.ports.end()) {
        out_.contested = true;
        std::string text = fmt::format("{} is already in bridge {} and cannot be in {} too; remove it from one of them",
                                       c.name, taken->second.bridge, c.port.bridge);
        if (taken->second.row == c.port.row)
          out_.remarks[c.port.row] = std::move(text);
        else
          break_port(c.port.row, c.port.bridge, c.name, std::move(text));
        continue;
      }
      if (c.port.config.spec.is_tunnel()) {
        const std::string endpoint = c.port.datapath + " " + describe_endpoint(c.port.config.spec.tunnel);
        const auto [it, free] = endpoints.emplace(endpoint, c.name);
        if (!free) {
          break_port(c.port.row, c.port.bridge, c.name,
                     fmt::format("port {} has the same {}; change one of the two, for example its key", it->second,
                                 describe_endpoint(c.port.config.spec.tunnel)));
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
      if (!port.config.spec.traits().has_peer) continue;
      out_.peers.insert(port.config.spec.peer);
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
  std::set<std::string> words;
  for (const auto& [type, kinds] : offer.types) words.insert(type);
  if (words.contains("kernel")) words.insert("system");
  if (words.contains("user")) words.insert("netdev");
  return words;
}

std::set<std::string> offered_interface_types(const DatapathOffer& offer) {
  std::set<std::string> types;
  for (const auto& [datapath, kinds] : offer.types)
    for (const dp::PortKind kind : kinds) types.insert(dp::traits(kind).type);
  return types;
}

}  // namespace heddle::vswitchd
