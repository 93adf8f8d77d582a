// SPDX-License-Identifier: Apache-2.0
// Linux bridges, their ports, and vxlan devices of one network each: what a routing daemon wants in the kernel for a
// network of EVPN. All through a Netlink's socket and in its namespace; threads and errors as there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "netlink/netlink.h"

namespace heddle::netlink {

class BridgeLinks {
 public:
  // `nl` must outlive it.
  explicit BridgeLinks(Netlink& nl) : nl_(nl) {}

  // A vxlan device with a network of its own, not one in collect-metadata mode.
  struct NetworkDevice {
    Link link;
    std::uint32_t vni = 0;
    std::optional<IpAddr> local;
  };
  Result<std::vector<NetworkDevice>> network_devices();

  struct NetworkDeviceSpec {
    std::string name;
    std::uint32_t vni = 0;
    IpAddr local;
    std::uint16_t udp_port = 0;
    std::string alias;
  };
  // Adds the device, down, without learning.
  Result<Link> add_network_device(const NetworkDeviceSpec& spec);
  // Adds the bridge, down, without spanning tree and without IGMP and MLD snooping. Errc::unsupported: vlan_aware, and
  // the kernel has no VLANs in bridges.
  Result<Link> add_bridge(const std::string& name, bool vlan_aware, const std::string& alias);
  // A device without a use of its own: ifb or dummy, the first that this kernel has.
  Result<Link> add_idle(const std::string& name, const std::string& alias);

  // Makes the device a port of the bridge which neither learns nor is flooded to.
  Result<> enslave(int index, int bridge);
  // The port forwards nothing, either way (BR_STATE_DISABLED). The device must be up: the kernel begins anew when it
  // goes up.
  Result<> block(int index);
  // Makes the port a member of a VLAN, or its access port: frames without a tag are in it, and leave without one.
  Result<> add_vlan(int index, std::uint16_t vlan, bool access);

 private:
  Netlink& nl_;
};

}  // namespace heddle::netlink
