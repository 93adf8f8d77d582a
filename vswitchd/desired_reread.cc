// SPDX-License-Identifier: Apache-2.0
// The part of reading the database that costs what has changed, not what there is.
#include <algorithm>

#include "vswitchd/desired.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::RowRef;
using ovsdb::Uuid;

struct Found {
  Uuid port, bridge;
  PortReading reading;
};

// Whether something else depends on what the interface of this name is.
bool entangled(const Desired& want, const std::string& name) {
  const auto port = want.ports.find(name);
  return want.bridges.contains(name) || want.peers.contains(name) ||
         (port != want.ports.end() && !port->second.config.spec.traits().stands_alone);
}

class Rereader {
 public:
  Rereader(const ovsdb::Database& db, const ReadContext& context, const TouchedPorts& touched, const Desired& want)
      : db_(db), context_(context), touched_(touched), want_(want) {}

  // Whether all is as reread_ports() wants it.
  bool read() {
    if (want_.contested) return false;
    return std::ranges::all_of(touched_, [this](const auto& t) { return look_at(t.first, t.second); }) &&
           std::ranges::all_of(found_, [this](const Found& f) { return fits(f); });
  }

  Reread apply(Desired& want) {
    Reread out;
    for (const auto& [port, bridge] : touched_) forget(want, port, out);
    for (Found& found : found_) adopt(want, found, out);
    return out;
  }

 private:
  // Of a port that was known, and is perhaps still there; or of a new one.
  bool look_at(const Uuid& port, const std::optional<Uuid>& bridge) {
    const auto origin = want_.origins.find(port);
    if (origin == want_.origins.end() && !bridge) return true;  // in no bridge
    if (origin != want_.origins.end()) {
      if (bridge && *bridge != origin->second.bridge) return false;
      for (const auto& [row, name] : origin->second.interfaces) {
        if (entangled(want_, name)) return false;
        old_rows_.insert(row);
      }
    }
    const Uuid uuid = bridge ? *bridge : origin->second.bridge;
    const RowRef bridge_row = db_.find("Bridge", uuid);
    if (!bridge_row) return false;
    std::string name = bridge_row->get("name").string_or("");
    const auto desired = want_.bridges.find(name);
    if (desired == want_.bridges.end() || desired->second.row != uuid) return false;
    const RowRef row = db_.find("Port", port);
    if (!row || !bridge_row->get("ports").find(ovsdb::Atom(port))) return true;  // gone
    const BridgeOfPort here{
        *bridge_row, std::move(name), desired->second.datapath, context_.offer.types.at(desired->second.datapath), {}};
    found_.push_back({port, uuid, read_port(db_, here, *row, context_.current)});
    return true;
  }

  bool fits(const Found& found) {
    for (const auto& [row, name] : found.reading.interfaces) {
      const auto other = want_.interface_of.find(name);
      if (other != want_.interface_of.end() && !old_rows_.contains(other->second)) return false;
      const auto owner = want_.port_of.find(row);
      if (owner != want_.port_of.end() && !touched_.contains(owner->second)) return false;
      if (entangled(want_, name) || !new_names_.insert(name).second || !new_rows_.insert(row).second) return false;
    }
    return std::ranges::all_of(found.reading.candidates,
                               [](const Candidate& c) { return c.port.config.spec.traits().stands_alone; });
  }

  static void forget(Desired& want, const Uuid& port, Reread& out) {
    const auto origin = want.origins.find(port);
    if (origin == want.origins.end()) return;
    for (const auto& [row, name] : origin->second.interfaces) {
      want.ports.erase(name);
      want.broken.erase(row);
      want.idle.erase(row);
      want.port_of.erase(row);
      want.interface_of.erase(name);
      out.names.insert(name);
      out.rows.insert(row);
    }
    if (want.idle.erase(port) != 0) out.ports.insert(port);
    out.past_warnings.insert(origin->second.warnings.begin(), origin->second.warnings.end());
    want.origins.erase(origin);
  }

  static void adopt(Desired& want, Found& found, Reread& out) {
    PortReading& reading = found.reading;
    for (const auto& [row, name] : reading.interfaces) {
      want.port_of[row] = found.port;
      want.interface_of[name] = row;
      out.names.insert(name);
      out.rows.insert(row);
    }
    if (reading.idle.contains(found.port)) out.ports.insert(found.port);
    out.warnings.insert(reading.warnings.begin(), reading.warnings.end());
    for (Candidate& c : reading.candidates) want.ports.insert_or_assign(c.name, std::move(c.port));
    want.broken.merge(reading.broken);
    want.idle.merge(reading.idle);
    want.origins[found.port] = {found.bridge, std::move(reading.interfaces), std::move(reading.warnings)};
  }

  const ovsdb::Database& db_;
  const ReadContext& context_;
  const TouchedPorts& touched_;
  const Desired& want_;
  std::vector<Found> found_;
  std::set<Uuid> old_rows_, new_rows_;  // of interfaces
  std::set<std::string> new_names_;
};

}  // namespace

std::optional<Reread> reread_ports(const ovsdb::Database& db, const ReadContext& context, const TouchedPorts& touched,
                                   Desired& want) {
  Rereader rereader(db, context, touched, want);
  if (!rereader.read()) return std::nullopt;
  return rereader.apply(want);
}

}  // namespace heddle::vswitchd
