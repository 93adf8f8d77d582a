// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/status.h"

#include <fstream>
#include <initializer_list>

#include "base/drop_reason.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::Datum;

constexpr std::initializer_list<Drop> kTxDropped{Drop::egress_vlan, Drop::port_down,  Drop::tx_queue_full, Drop::shaped,
                                                 Drop::oversize,    Drop::tunnel_mtu, Drop::no_route};
constexpr std::initializer_list<Drop> kTxErrors{Drop::tx_error};
constexpr std::initializer_list<Drop> kRxErrors{Drop::truncated, Drop::bad_length,       Drop::bad_header,
                                                Drop::bad_vxlan, Drop::bad_udp_checksum, Drop::ecn_invalid};

std::uint64_t sum(const dp::PortCounters& counters, std::initializer_list<Drop> reasons) {
  std::uint64_t total = 0;
  for (const Drop reason : reasons) total += counters.drops[static_cast<std::size_t>(reason)];
  return total;
}

Datum atoms(const std::set<std::string>& texts) { return Datum::set({texts.begin(), texts.end()}); }

Datum status_map(const ofproto::SwitchPort& port, const dp::PortState& state) {
  std::map<std::string, std::string> status(state.details.begin(), state.details.end());
  if (!state.driver.empty()) status["driver_name"] = state.driver;
  if (!port.config.spec.traits().has_device) {
    // The largest packet a guest may send so that its frame fits the underlay: what to set as the guests' MTU.
    if (state.mtu != 0) status["guest_mtu"] = std::to_string(state.mtu);
    if (!state.error.empty()) status["reason"] = state.error;
  }
  return Datum::map(status);
}

// The value of `key` in /etc/os-release (os-release(5)), without its quotes.
std::string os_release(const std::string& key) {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key + "=")) continue;
    std::string value = line.substr(key.size() + 1);
    if (value.size() >= 2 && value.front() == value.back() && (value.front() == '"' || value.front() == '\''))
      value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

Datum optional_text(const std::string& text) { return text.empty() ? Datum{} : Datum::of(text); }

}  // namespace

ovsdb::RowUpdate interface_status(const ovsdb::Uuid& row, const ofproto::SwitchPort& port, const dp::PortState& state,
                                  const std::string& error) {
  const bool tunnel = port.config.spec.is_tunnel();
  const bool device = state.present && port.config.spec.traits().has_device;
  const bool lost = !state.present && !tunnel;
  std::string why = error;
  if (why.empty()) why = state.error;
  const auto updown = [](bool up) { return Datum::of(up ? "up" : "down"); };
  ovsdb::RowUpdate update{"Interface", row, {}};
  auto& c = update.columns;
  c["ofport"] = Datum::of(lost ? -1 : static_cast<int>(port.ofport));
  c["error"] = optional_text(why);
  c["mac_in_use"] = device && !state.mac.is_zero() ? Datum::of(state.mac.to_string()) : Datum{};
  c["mtu"] = device && state.mtu != 0 ? Datum::of(static_cast<std::int64_t>(state.mtu)) : Datum{};
  c["ifindex"] = device ? Datum::of(state.ifindex) : Datum{};
  c["admin_state"] = lost ? Datum{} : updown(tunnel || state.admin_up);
  c["link_state"] = lost ? Datum{} : updown(tunnel ? state.present : state.link_up);
  const bool speed_known = device && state.link_speed != 0;
  c["link_speed"] = speed_known ? Datum::of(static_cast<std::int64_t>(state.link_speed)) : Datum{};
  c["duplex"] = speed_known ? Datum::of(state.full_duplex ? "full" : "half") : Datum{};
  c["status"] = status_map(port, state);
  return update;
}

ovsdb::RowUpdate absent_interface(const ovsdb::Uuid& row, const std::string& error) {
  ovsdb::RowUpdate update{"Interface", row, {}};
  for (const char* column :
       {"mac_in_use", "mtu", "ifindex", "admin_state", "link_state", "link_speed", "duplex", "status", "statistics"})
    update.columns[column] = Datum{};
  update.columns["ofport"] = Datum::of(-1);
  update.columns["error"] = optional_text(error);
  return update;
}

Datum interface_statistics(const dp::PortCounters& counters) {
  std::uint64_t all = 0;
  for (const std::uint64_t n : counters.drops) all += n;
  const auto rx_errors = sum(counters, kRxErrors);
  const auto tx_errors = sum(counters, kTxErrors);
  const auto tx_dropped = sum(counters, kTxDropped);
  const auto number = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
  return Datum::map(std::map<std::string, std::int64_t>{
      {"rx_packets", number(counters.rx_packets)},
      {"rx_bytes", number(counters.rx_bytes)},
      {"rx_dropped", number(all - rx_errors - tx_errors - tx_dropped)},
      {"rx_errors", number(rx_errors)},
      {"tx_packets", number(counters.tx_packets)},
      {"tx_bytes", number(counters.tx_bytes)},
      {"tx_dropped", number(tx_dropped)},
      {"tx_errors", number(tx_errors)},
      {"collisions", number(counters.collisions)},
      {"rx_crc_err", number(counters.rx_crc_errors)},
      {"rx_frame_err", number(counters.rx_frame_errors)},
      {"rx_over_err", number(counters.rx_over_errors)},
      {"rx_missed_errors", number(counters.rx_missed)},
  });
}

ovsdb::RowUpdate mirror_status(const ovsdb::Uuid& row, const std::optional<dp::MirrorCounters>& counters) {
  if (!counters) return {"Mirror", row, {{"statistics", Datum{}}}};
  const auto number = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
  return {"Mirror",
          row,
          {{"statistics", Datum::map(std::map<std::string, std::int64_t>{{"tx_packets", number(counters->tx_packets)},
                                                                         {"tx_bytes", number(counters->tx_bytes)}})}}};
}

ovsdb::RowUpdate program_status(const ovsdb::Row& root, const std::string& db_version, const DatapathOffer& offer) {
  ovsdb::RowUpdate update{"Open_vSwitch", root.uuid(), {}};
  auto& c = update.columns;
  c["ovs_version"] = Datum::of(HEDDLE_VERSION);
  c["db_version"] = Datum::of(db_version);
  c["datapath_types"] = atoms(offered_words(offer));
  c["iface_types"] = atoms(offered_interface_types(offer));
  c["system_type"] = optional_text(os_release("ID"));
  c["system_version"] = optional_text(os_release("VERSION_ID"));
  return update;
}

}  // namespace heddle::vswitchd
