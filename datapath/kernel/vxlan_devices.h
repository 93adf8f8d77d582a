// SPDX-License-Identifier: Apache-2.0
// The kernel's vxlan devices under tunnel ports: one for each UDP port ("hdvx4789"), in collect-metadata mode, with a
// program at its ingress. It takes packets of both address families. Frames that belong to no port are counted by
// device (`strays`).
//
// Owner: TunnelPorts. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/kernel/hook.h"
#include "datapath/kernel/own_devices.h"
#include "datapath/kernel/pins.h"
#include "datapath/kernel/programs.h"
#include "datapath/port.h"

namespace heddle::dp {

class VxlanDevices {
 public:
  VxlanDevices(const OwnDevices& own, const Pins& pins, const Programs& programs)
      : own_(own), pins_(pins), programs_(programs) {}

  static std::string device_name(std::uint16_t udp_port) { return "hdvx" + std::to_string(udp_port); }

  // The device's index; made when it is not there. `user` keeps it until release(). Errc::exists: a foreign device has
  // the name or the UDP port.
  Result<int> acquire(std::uint16_t udp_port, PortNo user);
  // The last user's release removes the device.
  void release(std::uint16_t udp_port, PortNo user);
  [[nodiscard]] std::optional<int> ifindex(std::uint16_t udp_port) const;

  // News of any device. A device of ours that somebody set down is set up again.
  void on_link(const netlink::Link& link);
  // The UDP port whose device is gone and forgotten, if it was one of ours.
  std::optional<std::uint16_t> on_link_gone(const netlink::Link& link);
  // Ends a take-over: programs that another layout left go, see Hook::take_over().
  void take_over_hooks();
  [[nodiscard]] std::vector<netlink::Link> links() const;
  [[nodiscard]] std::vector<UnderlayCounters> counters() const;

 private:
  struct Device {
    netlink::Link link;
    Hook hook;
    std::set<PortNo> users;
  };
  Result<netlink::Link> find_or_make(std::uint16_t udp_port, bool& made) const;

  const OwnDevices& own_;
  const Pins& pins_;
  const Programs& programs_;
  std::map<std::uint16_t, Device> devices_;
  bool taken_over_ = false;
};

}  // namespace heddle::dp
