// SPDX-License-Identifier: Apache-2.0
// Keeps `senders`, by which the programs tell the packets of tunnels' remotes from those that a guest sends in their
// name: see bpf/to_host.h.
//
// Owner: TunnelPorts. Control thread. Errors are logged: a packet that is not in the map is not taken.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "datapath/control/device_stack.h"
#include "datapath/control/port_registry.h"
#include "datapath/kernel/port_entry.h"
#include "datapath/kernel/programs.h"
#include "datapath/kernel/remote_vteps.h"

namespace heddle::dp {

class SenderGuard {
 public:
  SenderGuard(const Programs& programs, netlink::Netlink& kernel, const RemoteVteps& remotes,
              const PortRegistry<PortEntry>& ports)
      : map_(programs.senders), kernel_(kernel), remotes_(remotes), ports_(ports) {}

  // A port came, changed or went. With `defer` the caller has more of them, and calls update() behind the last.
  void on_port(const PortSpec& spec, bool defer) {
    if (!defer && (spec.is_tunnel() || spec.traits().made_by_us)) update();
  }
  // Tunnels, internal ports, or the routes to remotes are others.
  void update() { write(wanted()); }
  // The host's addresses may be others: the next update() asks.
  void addresses_changed() { asked_ = false; }
  // Ends a take-over: what no port accounts for goes.
  void settle();

  // --- the kernel's news ---
  void on_link(const netlink::Link& link) { stack_.on_link(link); }
  void on_link_gone(int ifindex) { stack_.on_link_gone(ifindex); }

 private:
  struct Key {
    std::uint32_t port = 0;
    std::array<std::uint8_t, 16> addr{};
    auto operator<=>(const Key&) const = default;
  };
  using Content = std::map<Key, __u32>;
  struct Leads;
  static Key of_address(std::uint32_t port, const IpAddr& addr);
  [[nodiscard]] Content wanted();
  void add_tunnel(const PortEntry& p, Leads& leads, Content& content) const;
  void add_host(Content& content);
  void write(const Content& next);

  BpfMap<hd_sender, __u32> map_;
  netlink::Netlink& kernel_;
  const RemoteVteps& remotes_;
  const PortRegistry<PortEntry>& ports_;
  DeviceStack stack_;
  std::vector<netlink::Address> addresses_;
  bool asked_ = false;    // for addresses_
  bool read_ = false;     // stack_
  bool settled_ = false;  // written_ is all that the map has
  Content written_;
};

}  // namespace heddle::dp
