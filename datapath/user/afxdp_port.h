// SPDX-License-Identifier: Apache-2.0
// AF_XDP on every receive queue of a network device: a bridge port takes all frames, an underlay only its tunnels' (see
// bpf/xdp_port.bpf.c). The XDP program is held by a link, so it goes away with the process however that ends.
#pragma once

#include <memory>
#include <set>

#include "base/addr.h"
#include "datapath/user/port_io.h"
#include "datapath/user/promiscuous.h"
#include "datapath/user/xdp_programs.h"
#include "datapath/user/xsk.h"

namespace heddle::dp {

struct AfxdpConfig {
  std::string device;
  int ifindex = 0;
  unsigned queues = 1;
  unsigned mtu = 0;
  std::size_t fill = 0;  // receive buffers for each queue; 0: memory of their own
  bool underlay = false;
  Promiscuous* promiscuous = nullptr;  // makes the device take frames for other stations; must outlive the port
  bool virtual_device = false;         // veth or tun: the far side takes frames with an unfinished checksum
};

class AfxdpPort : public PortIo {
 public:
  // Both must outlive the port.
  static Result<std::unique_ptr<AfxdpPort>> open(XskFactory& factory, XdpPrograms& programs, const AfxdpConfig& config);

  // Underlay, control thread: which datagrams to take.
  virtual void set_tunnel_ports(const std::set<std::uint16_t>& ports) = 0;
  virtual void set_local_addresses(const std::set<IpAddr>& addresses) = 0;
};

}  // namespace heddle::dp
