// SPDX-License-Identifier: Apache-2.0
#include "ofproto-lite/fdb_log.h"

namespace heddle::ofproto {
namespace {

constexpr std::int64_t kFlapWindow = 2;  // seconds between two moves that make them one flapping
constexpr unsigned kFlapMoves = 4;       // that many in a row are worth a warning

}  // namespace

void FdbLog::own_mac(const std::string& bridge, const dp::FdbKey& key, const std::string& port) {
  if (unsigned held = 0; own_mac_.allow(held))
    spdlog::warn("bridge {}: its own address {} came in on port {}: is there a loop or a copied address?", bridge,
                 key.mac.to_string(), port);
}

void FdbLog::full(const std::string& bridge, std::size_t entries) {
  if (unsigned held = 0; full_.allow(held))
    spdlog::warn(
        "bridge {}: forwarding table is full of entries that do not age ({}); raise other_config:mac-table-size",
        bridge, entries);
}

void FdbLog::moved(const std::string& bridge, FdbEntry& entry, std::int64_t second, const std::string& from,
                   const std::string& to) {
  entry.flaps = second - entry.moved <= kFlapWindow ? entry.flaps + 1 : 1;
  entry.moved = second;
  if (entry.flaps < kFlapMoves) return;
  if (unsigned held = 0; flapping_.allow(held))
    spdlog::warn(
        "bridge {}: {} in VLAN {} flaps between ports {} and {}: a loop, or one address used twice ({} more not "
        "logged)",
        bridge, entry.key.mac.to_string(), entry.key.vlan, from, to, held);
}

}  // namespace heddle::ofproto
