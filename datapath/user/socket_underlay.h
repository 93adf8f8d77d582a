// SPDX-License-Identifier: Apache-2.0
// The slower way to and from the underlay, through the host's own stack: a UDP socket for each tunnel port and family,
// and a raw socket to send. It serves devices that cannot do AF_XDP, datagrams that arrive in fragments or by another
// device, and the first packets to a neighbour that is still being resolved: the kernel queues those, bounded, and
// resolves it.
//
// Frames look like those of an AF_XDP underlay: receive() writes the outer headers that the kernel has consumed, and
// send() leaves out the Ethernet header.
#pragma once

#include <memory>

#include "datapath/user/port_io.h"

namespace heddle::dp {

// The ifindex of the device by which the kernel received the packet; `frame` came from a SocketUnderlay, whose frames
// have it in place of the outer source MAC address.
int arrival_device(const std::uint8_t* frame);

// The outer source MAC address of a packet to a multicast group: it says by which device send() is to send it.
MacAddr egress_mark(int ifindex);

class SocketUnderlay {
 public:
  // Fails with Errc::exists when something else on this host has the UDP port, e.g. a kernel vxlan device.
  static Result<std::unique_ptr<PortIo>> open(std::uint16_t udp_port, bool v6);
};

}  // namespace heddle::dp
