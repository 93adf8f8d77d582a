// SPDX-License-Identifier: Apache-2.0
// Interface.options of a VXLAN port, in the words that Open vSwitch users know, turned into what the datapath takes.
// Pure; any thread. Fails with a text that names the option, the value and what would be right.
//
//   remote_ip    IP address of the far VTEP, "flow" for a multipoint port, or a multicast group for one whose remotes
//                are in that group (required)
//   local_ip     outer source address; default: as the route to the remote says. Packets to a group leave by the device
//                that has it
//   key          VXLAN network identifier, 0 to 16777215 (RFC 7348 section 5); default 0. in_key, out_key: the same
//   dst_port     UDP port, default 4789
//   tos, ttl     number or "inherit"; defaults 0 and 64
//   df_default   "don't fragment" on the outer IPv4 header, default true
//   csum         outer UDP checksum, default false over IPv4 and true over IPv6 (RFC 8200 section 8.1)
//   remotes      with remote_ip=flow: comma-separated VTEPs that unknown, broadcast and multicast frames go to
//   control      with remote_ip=flow: "reflector", which tells the remotes and their stations
//   split_horizon  frames from a tunnel do not leave through this one, default true
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "datapath/datapath.h"

namespace heddle::vswitchd {

struct TunnelOptions {
  dp::TunnelSpec spec;
  std::vector<IpAddr> remotes;  // or the group alone
};

// Passes over options that it does not know.
Result<TunnelOptions> parse_tunnel_options(const std::map<std::string, std::string>& options);
bool is_tunnel_option(std::string_view name);

// What tells one tunnel from another on the wire: two ports that agree in these cannot be told apart. A network has one
// group.
std::string describe_endpoint(const dp::TunnelSpec& spec);

}  // namespace heddle::vswitchd
