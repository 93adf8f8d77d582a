// SPDX-License-Identifier: Apache-2.0
// The paths to remote VTEPs: for each (tunnel port, remote address) the outer headers and the way out, kept as routes,
// neighbours and devices change. The kernel decides both: it is asked, and its news are followed.
//
// A path leaves by AF_XDP when its device does that and the neighbour is known, else by the host's stack
// (SocketUnderlay): there the kernel resolves the neighbour and holds back the packets meanwhile, bounded. A multicast
// group is a remote whose Ethernet address follows from its own.
//
// Owner: UserDatapath; it owns the TunnelPaths that workers read. Threads: control and handler, serialised by a mutex
// inside, under which the Netlink is used; a call may wait for a grace period. Errors: too many remotes.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "datapath/control/counted_numbers.h"
#include "datapath/control/route.h"
#include "datapath/user/config.h"
#include "netlink/netlink.h"
#include "packet/too_big.h"

namespace heddle::dp {

class PathResolver {
 public:
  explicit PathResolver(netlink::Netlink& kernel) : kernel_(kernel) {}
  ~PathResolver();
  PathResolver(const PathResolver&) = delete;
  PathResolver& operator=(const PathResolver&) = delete;
  [[nodiscard]] const TunnelPaths& paths() const { return paths_; }

  // --- control ---
  // The slot of the socket for a UDP port and family; before the first port that uses it.
  void set_socket(std::uint16_t udp_port, bool v6, std::uint32_t io);
  // A device that takes frames by AF_XDP; kNoIo: no longer.
  void set_device(int ifindex, std::uint32_t io, const MacAddr& mac);
  void add_port(PortNo port, const TunnelSpec& spec);
  // With all its paths. No FDB entry and no configuration leads to them any more.
  void remove_port(PortNo port);
  // Asks the kernel again about every path. True when any changed.
  bool refresh();
  // The same for those that go through one neighbour. True when they have lost it: refresh() is to come soon.
  bool refresh(const netlink::Neighbour& neighbour);
  // A router said that a packet was too big for it. If a path could have sent that packet, its MTU is the router's for
  // the next kMtuTime, or until the route is another. Returns the ports of these paths.
  std::set<PortNo> note(const packet::TooBig& error, TimePoint now);
  // After kMtuTime a larger packet may try again (RFC 1191 section 6.3, RFC 8201 section 4). Returns the ports whose
  // paths that concerns.
  std::set<PortNo> forget_old_mtus(TimePoint now);
  static constexpr auto kMtuTime = std::chrono::minutes(10);
  // Lets the kernel check neighbours that it has not heard of for long: frames sent by AF_XDP do not pass through it.
  void probe_stale();
  // Devices that paths leave by, AF_XDP or not.
  [[nodiscard]] std::set<int> egress_devices() const;
  // Devices that lead to a remote: of ECMP routes also those that no path leaves by.
  [[nodiscard]] std::set<int> leading_devices() const;
  // No tunnel port.
  [[nodiscard]] bool idle() const;

  struct View {
    Route route;
    bool afxdp = false;
  };
  [[nodiscard]] View view(std::uint32_t path) const;

  // --- control and handler ---
  // The path's number, made when it is new; every acquire() wants a release(), but for those ended by remove_port().
  // Errc::not_found: no such tunnel port. Errc::limit: too many remotes.
  Result<std::uint32_t> acquire(PortNo port, const IpAddr& remote);
  void release(std::uint32_t path);

 private:
  using Key = std::pair<PortNo, IpAddr>;
  struct Entry {
    Key key;
    TunnelSpec spec;
    View view;
    bool stale = false;  // the neighbour
    unsigned mtu = 0;    // that a router told; 0: none did
    TimePoint mtu_until{};
  };
  struct Device {
    std::uint32_t io = kNoIo;
    MacAddr mac;
  };
  using Removed = std::vector<std::unique_ptr<const TunnelPath>>;
  void forget(std::uint32_t number, Removed& removed);
  // Whether the kernel is made to look for a neighbour that it does not know.
  enum class Ask : std::uint8_t { no, yes };
  bool resolve(std::uint32_t number, Entry& e, Ask ask = Ask::yes);
  void choose_way_out(Entry& e, TunnelPath& path, Ask ask);
  bool publish(std::uint32_t number, std::unique_ptr<TunnelPath> next);

  netlink::Netlink& kernel_;
  mutable std::mutex mutex_;
  TunnelPaths paths_;
  CountedNumbers<Key, Entry> entries_;
  std::map<PortNo, TunnelSpec> ports_;
  std::map<std::pair<std::uint16_t, bool>, std::uint32_t> sockets_;
  std::map<int, Device> devices_;
};

}  // namespace heddle::dp
