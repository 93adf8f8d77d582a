// SPDX-License-Identifier: Apache-2.0
// Questions to the kernel about devices, addresses, routes and neighbours, and the few changes that the switch makes.
//
// A Netlink owns one NETLINK_ROUTE socket, in the network namespace of the thread that called open(); it serves that
// namespace for good. Every call is one request and its answer: it blocks for the kernel's work (microseconds for one
// object; a dump takes as long as the table is) and gives up after a second. One thread at a time may use an object;
// threads that ask at the same time open one each.
//
// Failures: Errc::not_found for a device that does not exist, Errc::exists for a name or a UDP port that is taken,
// Errc::invalid for an argument the kernel cannot mean, Errc::unsupported for what this kernel lacks,
// Errc::system for all else (no permission, time-out). After a failure the object is as good as new.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "netlink/types.h"

namespace heddle::netlink {

// class-size: one function for each request to the kernel, over one socket
class Netlink {
 public:
  static Result<std::unique_ptr<Netlink>> open();
  ~Netlink();
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  Result<Link> link(const std::string& name);
  Result<Link> link(int index);
  Result<std::vector<Link>> links();
  Result<LinkStatistics> statistics(int index);
  Result<std::vector<Address>> addresses();

  // RTM_GETROUTE with one destination, like `ip route get`: policy rules, metrics and learned path MTUs all apply. No
  // route is an answer (Route::unreachable), not an error. An IPv4 `src` must be an address of this
  // host, else Errc::invalid; the kernel does not hold an IPv6 one against its addresses.
  Result<Route> route(const IpAddr& dst, std::optional<IpAddr> src, int oif = 0);

  // Nothing when the table has no entry for the address.
  Result<std::optional<Neighbour>> neighbour(int ifindex, const IpAddr& addr);
  // RTM_NEWNEIGH with NTF_USE: as if a packet had been sent there. The kernel makes an entry and resolves it, or probes
  // a stale one; the outcome comes as a Monitor event.
  Result<> use_neighbour(int ifindex, const IpAddr& addr);

  // Errc::exists: a tunnel device whose UDP port is in use; it stays down.
  Result<> set_up(int index, bool up);
  Result<> set_mtu(int index, unsigned mtu);
  Result<> set_mac(int index, MacAddr mac);
  // At most 255 bytes; empty takes the alias away. Errc::invalid: longer, or with a zero byte in it.
  Result<> set_alias(int index, const std::string& text);
  Result<> remove_link(int index);

  // Both ends in this namespace and down. The answer is the device `name`; its Link::link is the peer's index.
  // Errc::exists: the text has the name that is taken. After a time-out (here and below) the devices may be there.
  Result<Link> add_veth(const VethSpec& spec);

  // Made, and down. The device opens its UDP sockets when it is set up, for IPv4 and IPv6 both: it is set_up() that
  // answers Errc::exists when the port is in use. Errc::exists here: the name is taken, or another device has the same
  // port, mode and options; the text says which.
  Result<Link> add_vxlan(const VxlanDeviceSpec& spec);

  // The address of device `ifindex` in the namespace that is called `nsid` here (Link::link and Link::link_netns of a
  // veth), with no need to enter it. Nothing when namespace or device do not exist (any more), or the device has no
  // Ethernet address. It takes CAP_NET_ADMIN in the other namespace. No Monitor event here tells that it changed.
  Result<std::optional<MacAddr>> peer_mac(int nsid, int ifindex);

  // Whether frames that arrive at the device meet TC filters: it has an ingress or clsact qdisc with a filter in its
  // ingress part. Programs attached by tcx or XDP are not TC filters.
  Result<bool> ingress_filters(int index);
  // The same for frames that leave it by a clsact qdisc. (Of an ingress qdisc the kernel shows the filters that it
  // has.)
  Result<bool> egress_filters(int index);
  Result<bool> has_clsact(int index);

  // --- egress shaping: netlink/qdisc.cc ---
  // Nothing when the device has none that shows (it is down and was never up).
  Result<std::optional<Qdisc>> root_qdisc(int index);
  // HTB at the root, as `major`, in the place of the kernel's own choice. What belongs to no class goes to that with
  // minor `fallback`; while there is none it is not held back, with up to `direct` frames waiting. Errc::exists:
  // somebody's is there. Errc::unsupported: the kernel has no HTB.
  Result<> add_htb(int index, std::uint16_t major, std::uint16_t fallback, std::uint32_t direct);
  // Removes the root's if it is `major`, with all that waits in it; else Errc::invalid or Errc::not_found.
  Result<> remove_root_qdisc(int index, std::uint16_t major);
  // Adds the class to HTB `major`, or changes it, with nothing lost of what waits there.
  Result<> put_htb_class(int index, std::uint16_t major, const HtbClass& c);
  // A class without classes below it, with what waits there.
  Result<> remove_class(int index, std::uint16_t major, std::uint16_t minor);
  // How many frames may wait in a class without classes below it.
  Result<> set_class_limit(int index, std::uint16_t major, std::uint16_t minor, std::uint32_t frames);
  // Of all classes of `major`, by minor number; empty when there is no such discipline.
  Result<std::map<std::uint16_t, ClassStatistics>> classes(int index, std::uint16_t major);

 private:
  bool is_ours(const IpAddr& addr);
  Result<bool> filters(int index, bool ingress);

  class Impl;
  explicit Netlink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::netlink
