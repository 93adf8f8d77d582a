// SPDX-License-Identifier: Apache-2.0
// The ways into the underlay: AF_XDP on devices that tunnels leave by, which takes only the tunnels' datagrams, and a
// socket for each UDP port and address family, which serves all other devices through the host's stack.
//
// Owner: UserDatapath; it owns their PortIo and counters. Control thread, with the workers running. Changes are
// published to the workers at once. Errors: add_user() when the UDP port cannot be had; a device that does no AF_XDP is
// no error, why_not() has the reason.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "datapath/control/group_memberships.h"
#include "datapath/datapath.h"
#include "datapath/user/afxdp_port.h"
#include "datapath/user/device_retry.h"
#include "datapath/user/path_resolver.h"
#include "datapath/user/worker_group.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class UnderlayDevices {
 public:
  // Whether the device of that name is a port of a bridge, and so cannot be an underlay.
  using IsPort = std::function<bool(const std::string& device)>;
  UnderlayDevices(netlink::Netlink& kernel, WorkerGroup& workers, PathResolver& paths, XdpPrograms& programs,
                  DeviceRetry& retry, IsPort is_port, GroupMemberships::Keep keep_socket);

  // Of a tunnel port. The socket stays while it has users. Errc::exists: another program or device has the UDP port.
  Result<> add_user(std::uint16_t udp_port, bool v6);
  void drop_user(std::uint16_t udp_port, bool v6);

  // Opens AF_XDP on devices that tunnels leave by, and closes it on devices that no tunnel leaves by any more.
  void serve();
  // Tells every device's filter the tunnels' UDP ports, the host's addresses and its groups on the device.
  void update_filters();
  // Multicast groups of the host on its devices; update_filters() follows a change.
  [[nodiscard]] GroupMemberships& groups() { return groups_; }
  [[nodiscard]] const GroupMemberships& groups() const { return groups_; }
  // Closes AF_XDP on the device, if it is open there: a bridge takes the device over.
  void give_up(int ifindex);
  // Another try with a device that DeviceRetry has kept in mind.
  void try_again(int ifindex);

  // --- the kernel's news ---
  void on_link(const netlink::Link& link);
  void on_link_gone(int ifindex);
  // Their indexes alone are set.
  [[nodiscard]] std::vector<netlink::Link> held_links() const;

  // Why the device does no AF_XDP; empty when it does, or no tunnel leaves by it.
  [[nodiscard]] std::string why_not(int ifindex) const;
  [[nodiscard]] std::vector<UnderlayCounters> counters() const;

 private:
  struct Way {
    std::string name;
    std::unique_ptr<PortShared> shared;
    std::shared_ptr<PortIo> io;
    std::uint32_t slot = kNoIo;
  };
  struct Device {
    Way way;
    AfxdpPort* afxdp = nullptr;  // way.io
    PacketShares::Share share;
  };
  struct Socket {
    Way way;
    unsigned users = 0;
  };
  using SocketKey = std::pair<std::uint16_t, bool>;  // UDP port, IPv6

  Result<Way> make_way(std::string name, std::shared_ptr<PortIo> io);
  void open(int ifindex);
  static unsigned queues_of(const std::string& device);
  [[nodiscard]] std::string unfit(const netlink::Link& link) const;
  static UnderlayCounters counters_of(const Way& way);

  netlink::Netlink& kernel_;
  WorkerGroup& workers_;
  PathResolver& paths_;
  XdpPrograms& programs_;
  DeviceRetry& retry_;
  IsPort is_port_;
  GroupMemberships groups_;
  std::map<int, Device> devices_;        // by ifindex
  std::map<int, std::string> no_afxdp_;  // of devices that tunnels leave by: why not
  std::map<SocketKey, Socket> sockets_;
};

}  // namespace heddle::dp
