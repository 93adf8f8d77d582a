// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/without_effect.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "datapath/port.h"
#include "ovsdb/value.h"
#include "vswitchd/tunnel_options.h"

namespace heddle::vswitchd {
namespace {

using Names = std::initializer_list<std::string_view>;

struct Entry {
  std::string_view table;
  Names columns;
  Names keys;  // of other_config that Open vSwitch knows and we do not; what ends in "-" stands for all that begin so
};

// By ovs-vswitchd.conf.db(5). A key that it does not list is somebody's own note and nothing to warn of.
const std::array<Entry, 4> kWithoutEffect{{
    {"Open_vSwitch",
     {},
     {"bundle-idle-timeout",
      "dpdk-",
      "emc-insert-inv-prob",
      "enable-statistics",
      "flow-limit",
      "flow-restore-wait",
      "hw-offload",
      "max-idle",
      "max-revalidator",
      "min-revalidate-pps",
      "n-handler-threads",
      "n-offload-threads",
      "n-revalidator-threads",
      "offload-rebalance",
      "per-port-memory",
      "pmd-",
      "shared-mempool-config",
      "smc-enable",
      "tc-policy",
      "tx-flush-interval",
      "userspace-tso-enable",
      "vhost-",
      "vlan-limit"}},
    {"Bridge",
     {"auto_attach", "controller", "flow_tables", "ipfix", "mcast_snooping_enable", "netflow", "protocols",
      "rstp_enable", "sflow", "stp_enable"},
     {"controller-queue-size", "disable-in-band", "dp-desc", "dp-sn", "forward-bpdu", "in-band-queue",
      "mcast-snooping-", "rstp-", "stp-"}},
    {"Port",
     {"bond_active_slave", "bond_downdelay", "bond_fake_iface", "bond_mode", "bond_updelay", "cvlans", "lacp", "mac"},
     {"all-members-active", "bond-", "lacp-", "lb-output-action", "mcast-snooping-", "priority-tags", "qinq-ethtype",
      "rstp-", "stp-"}},
    {"Interface", {"bfd", "cfm_mpid", "lldp"}, {"cfm_", "emc-enable", "lacp-", "pmd-rxq-affinity", "tx-steering"}},
}};

constexpr std::size_t kMostNames = 64;  // of one row: as many as the tables above can give, and no more

bool is_key(std::string_view pattern, std::string_view key) {
  return pattern.ends_with('-') || pattern.ends_with('_') ? key.starts_with(pattern) : key == pattern;
}

bool is_set(const ovsdb::Row& row, std::string_view column) {
  const auto* schema = row.table().find(column);
  if (schema == nullptr) return false;
  const ovsdb::Datum& value = row.at(schema->index);
  return schema->type.min == 0 ? !value.empty() : value != ovsdb::default_datum(schema->type);
}

void add_unread_options(const ovsdb::Row& row, std::vector<std::string>& out) {
  const std::string type = row.get("type").string_or("");
  const auto kind = type.empty() ? dp::PortKind::netdev : dp::kind_of_type(type);
  const auto reads = [&](const std::string& key) {
    if (!kind) return true;  // the type is wrong, and an error of its own
    return dp::traits(*kind).is_tunnel ? is_tunnel_option(key) : dp::traits(*kind).has_peer && key == "peer";
  };
  for (const std::string& key : row.get("options").strings()) {
    if (out.size() >= kMostNames) break;
    if (!reads(key) && key.find(' ') == std::string::npos) out.push_back("options:" + key);
  }
}

}  // namespace

std::vector<std::string> columns_without_effect(const ovsdb::Row& row) {
  const auto* const entry = std::ranges::find(kWithoutEffect, std::string_view(row.table().name), &Entry::table);
  if (entry == kWithoutEffect.end()) return {};
  std::vector<std::string> out;
  for (const std::string_view column : entry->columns)
    if (is_set(row, column)) out.emplace_back(column);
  for (const std::string& key : row.get("other_config").strings()) {
    if (out.size() >= kMostNames) break;
    const bool known = std::ranges::any_of(entry->keys, [&](std::string_view pattern) { return is_key(pattern, key); });
    if (known && key.find(' ') == std::string::npos) out.push_back("other_config:" + key);
  }
  return out;
}

std::vector<std::string> interface_without_effect(const ovsdb::Row& row, bool own_device) {
  auto out = columns_without_effect(row);
  add_unread_options(row, out);
  if (own_device) return out;
  if (is_set(row, "mac")) out.emplace_back("mac");
  // Of tunnels and patch ports: there is no device to set.
  const std::string type = row.get("type").string_or("");
  if (!type.empty() && type != "system" && is_set(row, "mtu_request")) out.emplace_back("mtu_request");
  return out;
}

}  // namespace heddle::vswitchd
