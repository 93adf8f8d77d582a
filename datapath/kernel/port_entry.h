// SPDX-License-Identifier: Apache-2.0
// What the kernel datapath's control side knows of one port. Plain data: each part is written by the class that it
// names. Control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datapath/kernel/bpf/layout.h"
#include "datapath/kernel/hook.h"
#include "datapath/port.h"
#include "netlink/ethtool.h"
#include "netlink/netlink.h"

namespace heddle::dp {

// PortDevices: the port's device.
struct DeviceState {
  netlink::Link link;  // the device that bears the port's name; index 0: there is none
  netlink::Link back;  // internal ports: the other end of the pair
  bool moved = false;  // internal ports: the device is in another namespace; `link` is `back` then
  Hook hook;           // where frames come in
  netlink::EthtoolInfo ethtool;
  std::string error;  // why there is none
  [[nodiscard]] bool attached() const { return hook.ifindex() != 0; }
};

// EgressShapers: the queueing discipline at the device.
struct ShapingState {
  bool in_force = false;
  std::string error;         // why not, where it is asked for
  std::uint64_t before = 0;  // frames that queues dropped which are gone
};

// TunnelPorts: numbers in RemoteVteps.
struct TunnelState {
  std::uint32_t remote = 0;          // point-to-point
  std::vector<std::uint32_t> flood;  // multipoint
  std::string error;                 // why the tunnel is not in force
};

struct PortEntry {
  PortNo no = PortNo::none;
  PortConfig config;  // as asked for
  hd_port conf{};     // PortTable: as the programs have it
  DeviceState device;
  ShapingState shaping;
  TunnelState tunnel;

  [[nodiscard]] const PortSpec& spec() const { return config.spec; }
  [[nodiscard]] const std::string& name() const { return config.spec.name; }
  [[nodiscard]] bool is_tunnel() const { return config.spec.is_tunnel(); }
  [[nodiscard]] bool multipoint() const { return config.spec.multipoint(); }
  [[nodiscard]] bool is_patch() const { return config.spec.traits().has_peer; }
  // Its device is a pair that the datapath makes.
  [[nodiscard]] bool is_pair() const { return config.spec.traits().made_by_us; }
  // The device by which frames leave when they may wait: see EgressShapers.
  [[nodiscard]] netlink::Link& way_out() { return is_pair() ? device.back : device.link; }
  [[nodiscard]] const netlink::Link& way_out() const { return is_pair() ? device.back : device.link; }
};

}  // namespace heddle::dp
