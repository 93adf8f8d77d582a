// SPDX-License-Identifier: Apache-2.0
// The frames of heddle-rate: a template that the BPF program varies, and the announcements by which a switch learns the
// MACs. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"

namespace heddle::bench {

using Bytes = std::vector<std::uint8_t>;

// An outer header: VXLAN over IPv4.
struct Tunnel {
  std::uint32_t vni = 0;
  MacAddr source_mac;
  MacAddr destination_mac;
  IpAddr source;
  IpAddr destination;
};
// VNI,SOURCE-MAC,DESTINATION-MAC,SOURCE-IP,DESTINATION-IP
Result<Tunnel> parse_tunnel(const std::string& text);

struct Template {
  Bytes bytes;
  std::uint32_t ip_sum = 0;  // one's-complement sums without the varying fields, in memory order
  std::uint32_t udp_sum = 0;
};

// The source and destination MACs of frame `number`.
MacAddr source_mac(std::uint32_t number);
MacAddr sink_mac(std::uint32_t number);

// A UDP frame of `size` bytes, not counting the outer header that `tunnel` adds. `kind` is RATE_KIND_*. Source
// addresses, ports, checksums and the sequence number are missing; a probe is complete.
Template make_frame(std::size_t size, std::uint32_t kind, const std::optional<Tunnel>& tunnel);

// A broadcast by which a switch learns `mac`.
Bytes make_announcement(const MacAddr& mac, const std::optional<Tunnel>& tunnel);

}  // namespace heddle::bench
