// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/netdev.h"

#include "base/shell_word.h"

namespace heddle::dp {

std::string gone_text(const std::string& name) {
  return "network device " + name + " is gone: it is taken up again as soon as it appears";
}

std::string renamed_text(const std::string& name, const std::string& now) {
  return "network device " + name + " was renamed to " + now;
}

std::string enslaved_text(const std::string& name, const std::string& master) {
  return "network device " + name + " belongs to " + master + ": release it (ip link set dev " + shell_word(name) +
         " nomaster)";
}

Result<netlink::Link> find_netdev(netlink::Netlink& kernel, const std::string& name, const std::string& owner) {
  auto link = kernel.link(name);
  if (!link) {
    if (link.error().code != Errc::not_found) return link;
    return fail(Errc::not_found, "network device " + name + " not found: it is taken up as soon as it appears");
  }
  if (link->name == "lo") return fail(Errc::unsupported, "the loopback device cannot be a port of a bridge");
  if (!owner.empty() && link->alias == owner)
    return fail(Errc::exists, "network device " + name + " is the switch's own: choose another");
  if (link->master != 0) {
    const auto master = kernel.link(link->master);
    return fail(Errc::exists, enslaved_text(name, master ? master->name : std::to_string(link->master)));
  }
  return link;
}

void add_card_errors(netlink::Netlink& kernel, const netlink::Link& device, PortCounters& counters) {
  if (device.index == 0 || !device.kind.empty()) return;
  const auto counted = kernel.statistics(device.index);
  if (!counted) return;
  counters.collisions += counted->collisions;
  counters.rx_crc_errors += counted->rx_crc_errors;
  counters.rx_frame_errors += counted->rx_frame_errors;
  counters.rx_over_errors += counted->rx_over_errors;
  counters.rx_missed += counted->rx_missed;
}

}  // namespace heddle::dp
