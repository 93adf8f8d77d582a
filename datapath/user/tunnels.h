// SPDX-License-Identifier: Apache-2.0
// The paths to remote VTEPs: for each (tunnel port, remote address) the outer headers and the way out, kept as routes,
// neighbours and devices change. The kernel decides both; we ask it and follow its news.
//
// A path leaves by AF_XDP when its device can do that and the neighbour is known, by the host's stack (SocketUnderlay)
// otherwise: then the kernel resolves the neighbour and holds back the packets meanwhile, bounded.
//
// Threads: control and handler, serialised by a mutex inside; workers read through paths().
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "datapath/user/config.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class Tunnels {
 public:
  explicit Tunnels(netlink::Netlink& kernel) : kernel_(kernel) {}
  ~Tunnels();
  [[nodiscard]] const TunnelPaths& paths() const { return paths_; }

  // --- control ---
  // A way into the host's stack for a UDP port and family; before the first port that uses it.
  void set_socket(std::uint16_t udp_port, bool v6, std::uint32_t io);
  // A device that takes frames by AF_XDP; kNoIo: no longer.
  void set_device(int ifindex, std::uint32_t io, const MacAddr& mac);
  void add_port(PortNo port, const TunnelSpec& spec);
  void remove_port(PortNo port);  // and all its paths. No FDB entry or configuration may lead to them any more
  // Asks the kernel again about every path, or those that go through one neighbour. True when any changed.
  bool refresh();
  bool refresh(const netlink::Neighbour& neighbour);
  // Lets the kernel check neighbours that it has not heard of for long: our frames do not pass through it.
  void probe_stale();
  // Devices that paths leave by, AF_XDP or not.
  [[nodiscard]] std::set<int> egress_devices() const;
  [[nodiscard]] bool empty() const;

  struct View {
    bool usable = false;
    unsigned mtu = 0;  // outer IP packet
    IpAddr local;
    int ifindex = 0;
    bool afxdp = false;
    std::string problem;
  };
  [[nodiscard]] View view(std::uint32_t path) const;

  // --- control and handler ---
  // The path's number, made when it is new; every acquire() wants a release(), but for those ended by remove_port().
  // Errc::not_found: no such tunnel port. Errc::limit: too many remotes.
  Result<std::uint32_t> acquire(PortNo port, const IpAddr& remote);
  void release(std::uint32_t path);

 private:
  struct Entry {
    PortNo port = PortNo::none;
    TunnelSpec spec;
    IpAddr remote;
    unsigned refs = 0;
    View view;
    IpAddr next_hop;
    bool stale = false;
  };
  struct Device {
    std::uint32_t io = kNoIo;
    MacAddr mac;
  };
  bool resolve(std::uint32_t number, Entry& e);
  bool publish(std::uint32_t number, std::unique_ptr<TunnelPath> next);
  void purge();
  void forget(std::uint32_t number);

  netlink::Netlink& kernel_;
  mutable std::mutex mutex_;
  TunnelPaths paths_;
  std::map<std::uint32_t, Entry> entries_;
  std::map<std::pair<PortNo, IpAddr>, std::uint32_t> numbers_;
  std::map<PortNo, TunnelSpec> ports_;
  std::map<std::pair<std::uint16_t, bool>, std::uint32_t> sockets_;
  std::map<int, Device> devices_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 1;
};

}  // namespace heddle::dp
