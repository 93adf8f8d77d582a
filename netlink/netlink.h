// SPDX-License-Identifier: Apache-2.0
// Reads devices, addresses, routes, neighbours and traffic control from the kernel, and makes the switch's changes.
//
// A Netlink owns one NETLINK_ROUTE socket in the network namespace of the thread that called open(), and works on that
// namespace from any thread. A call sends a request and blocks for the reply: microseconds for one object, for a dump
// in proportion to the table, one second at most without a message. One thread at a time may use an object; threads
// that need the kernel at the same time open one each.
//
// Errors: Errc::not_found for a device that does not exist, Errc::exists for a name or a UDP port that is taken,
// Errc::invalid for an argument that the kernel refuses, Errc::unsupported for a feature that this kernel lacks,
// Errc::system otherwise (no permission, time-out). The object stays usable after an error.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "netlink/types.h"

struct tcmsg;  // linux/rtnetlink.h

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

  // RTM_GETROUTE for one destination, like `ip route get`: policy rules, metrics and learned path MTUs all apply. A
  // missing route is a result (Route::unreachable), not an error. An IPv4 `src` must be an address of this host, else
  // Errc::invalid; the kernel does not check an IPv6 `src`.
  Result<Route> route(const IpAddr& dst, std::optional<IpAddr> src, int oif = 0);

  // The devices by which packets to the destination leave, of all next hops of an ECMP route (RTM_F_FIB_MATCH), in
  // ascending order. Empty: no route, or the kernel tells a nexthop group's number only
  // (net.ipv4.nexthop_compat_mode=0).
  Result<std::vector<int>> route_devices(const IpAddr& dst, std::optional<IpAddr> src);

  // Errc::exists: there is one for the group with this metric already, perhaps by another device.
  Result<> add_group_route(const GroupRoute& route);
  // Errc::not_found: there is none.
  Result<> remove_group_route(const GroupRoute& route);
  // All of them; a dump of the IPv6 routes.
  Result<std::vector<GroupRoute>> group_routes();

  // Nothing when the table has no entry for the address.
  Result<std::optional<Neighbour>> neighbour(int ifindex, const IpAddr& addr);
  // RTM_NEWNEIGH with NTF_USE, which acts like a packet sent to `addr`: the kernel adds and resolves an entry, or
  // probes a stale entry. The outcome comes as a Monitor event.
  Result<> use_neighbour(int ifindex, const IpAddr& addr);

  // Errc::exists: the UDP port of this tunnel device is in use; the device stays down.
  Result<> set_up(int index, bool up);
  Result<> set_mtu(int index, unsigned mtu);
  Result<> set_mac(int index, MacAddr mac);
  // At most 255 bytes; an empty text removes the alias. Errc::invalid: longer, or with a zero byte.
  Result<> set_alias(int index, const std::string& text);
  Result<> remove_link(int index);

  // Adds both ends in this namespace, down. Returns the device `name`; its Link::link is the peer's index.
  // Errc::exists: a name is taken; the text says which. After a time-out (here and in add_vxlan()) the devices may
  // exist.
  Result<Link> add_veth(const VethSpec& spec);

  // Adds the device, down. Its UDP sockets, for IPv4 and IPv6, are opened by set_up(), which returns Errc::exists when
  // the port is in use. Errc::exists here: the name is taken, or another device has the same port, mode and options;
  // the text says which.
  Result<Link> add_vxlan(const VxlanDeviceSpec& spec);

  // Device `ifindex` in another namespace, whose id in this namespace is `nsid` (Link::link and Link::link_netns of a
  // veth). Nothing when namespace or device do not exist (any more). Needs CAP_NET_ADMIN in the other namespace. A
  // change there causes no Monitor event here.
  Result<std::optional<Link>> peer(int nsid, int ifindex);
  Result<std::optional<Link>> peer(int nsid, const std::string& name);
  // The id that a namespace (a descriptor of it, see namespaces(7)) has in this one; it is given one if need be.
  Result<int> namespace_id(int netns);

  // True when TC filters see the frames that arrive at the device: it has an ingress or clsact qdisc with a filter on
  // ingress. Programs attached by tcx or XDP are not TC filters.
  Result<bool> ingress_filters(int index);
  // The same for frames that leave the device through a clsact qdisc. (With an ingress qdisc the kernel lists the
  // ingress filters here.)
  Result<bool> egress_filters(int index);
  Result<bool> has_clsact(int index);
  // Handles of the filters of this preference that see the frames which arrive at the device.
  Result<std::vector<std::uint32_t>> ingress_filter_handles(int index, unsigned preference);

  // --- egress shaping: netlink/qdisc.cc ---
  // Nothing when the kernel shows no root qdisc: the device was never up.
  Result<std::optional<Qdisc>> root_qdisc(int index);
  // Replaces the kernel's default root qdisc by HTB with handle `major`. Frames without a class go to the class with
  // minor `fallback`; while that class does not exist they are not shaped, with up to `direct` frames waiting.
  // Errc::exists: the root has a configured qdisc. Errc::unsupported: the kernel has no HTB.
  Result<> add_htb(int index, std::uint16_t major, std::uint16_t fallback, std::uint32_t direct);
  // Removes the root qdisc if its handle is `major`, and drops its waiting frames; else Errc::invalid or
  // Errc::not_found.
  Result<> remove_root_qdisc(int index, std::uint16_t major);
  // Adds the class to HTB `major`, or changes it; waiting frames stay.
  Result<> put_htb_class(int index, std::uint16_t major, const HtbClass& c);
  // Removes a class without child classes, and drops its waiting frames.
  Result<> remove_class(int index, std::uint16_t major, std::uint16_t minor);
  // Limits the number of frames that wait in a class without child classes.
  Result<> set_class_limit(int index, std::uint16_t major, std::uint16_t minor, std::uint32_t frames);
  // Statistics of all classes of `major`, by minor number; empty when the device has no such qdisc.
  Result<std::map<std::uint16_t, ClassStatistics>> classes(int index, std::uint16_t major);

 private:
  friend class BridgeLinks;
  bool is_ours(const IpAddr& addr);
  Result<bool> filters(int index, bool ingress);
  // `begin` is called before the first filter, and again when the dump has to begin anew.
  Result<> for_filters(int index, bool ingress, const std::function<void()>& begin,
                       const std::function<void(const tcmsg&)>& each);
  Result<std::optional<Link>> read_peer(int nsid, int ifindex, const std::string& name);

  class Impl;
  explicit Netlink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::netlink
