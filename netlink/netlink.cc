// SPDX-License-Identifier: Apache-2.0
#include "netlink/netlink.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "base/fd.h"
#include "netlink/impl.h"
#include "netlink/wire.h"

namespace heddle::netlink {

Netlink::Netlink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Netlink::~Netlink() = default;

Result<std::unique_ptr<Netlink>> Netlink::open() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return fail_errno(errno, "opening a netlink socket");
  const timeval limit{1, 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
    return fail_errno(errno, "netlink socket option SO_RCVTIMEO");
  const int on = 1;  // error texts, and replies without a copy of the request; kernels before 4.12 lack both
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return std::unique_ptr<Netlink>(new Netlink(std::make_unique<Impl>(std::move(fd))));
}

Result<Link> Netlink::link(const std::string& name) { return impl_->link(name); }

Result<Link> Netlink::link(int index) {
  if (index <= 0) return fail(Errc::not_found, device(index) + " does not exist");
  auto m = request(RTM_GETLINK, 0, link_header(index));
  if (m) nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return impl_->one_link(m, device(index));
}

Result<std::vector<Link>> Netlink::links() {
  const auto make = [] {
    auto m = request(RTM_GETLINK, NLM_F_DUMP, link_header(0));
    if (m) nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return m;
  };
  return impl_->dump<Link>(make, wire::link, "network devices");
}

Result<LinkStatistics> Netlink::statistics(int index) {
  if (index <= 0) return fail(Errc::not_found, device(index) + " does not exist");
  std::optional<LinkStatistics> found;
  auto v =
      impl_->transact(request(RTM_GETLINK, 0, link_header(index)), [&](nlmsghdr* h) { found = wire::statistics(h); });
  if (!v) return std::unexpected(v.error());
  if (v->err != 0) return refuse(*v, "reading the statistics", device(index));
  if (!found) return fail(Errc::system, device(index) + ": the kernel's answer has no statistics in it");
  return *found;
}

Result<std::vector<Address>> Netlink::addresses() {
  return impl_->dump<Address>([] { return request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}); }, wire::address, "addresses");
}

Result<Route> Netlink::route(const IpAddr& dst, std::optional<IpAddr> src, int oif) {
  if (dst.is_any()) return fail(Errc::invalid, "route to " + dst.to_string() + ": not an address of a host");
  if (src && src->is_v6() != dst.is_v6())
    return fail(Errc::invalid,
                "route to " + dst.to_string() + " from " + src->to_string() + ": the addresses are of two families");
  rtmsg header{};
  header.rtm_family = wire::family(dst);
  header.rtm_dst_len = static_cast<unsigned char>(dst.size() * 8);
  if (src) header.rtm_src_len = static_cast<unsigned char>(src->size() * 8);
  auto m = request(RTM_GETROUTE, 0, header);
  if (m) {
    wire::put(m.get(), RTA_DST, dst);
    if (src) wire::put(m.get(), RTA_SRC, *src);
    if (oif != 0) nla_put_u32(m.get(), RTA_OIF, static_cast<std::uint32_t>(oif));
  }
  std::optional<Route> found;
  auto v = impl_->transact(m, [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWROUTE) found = wire::route(h);
  });
  if (!v) return std::unexpected(v.error());
  if (v->err != 0 && src && !is_ours(*src))
    return fail(Errc::invalid, src->to_string() + " is not an address of this host");
  // fib_props[] in the kernel's fib_semantics.c: the errors of unreachable, prohibit and blackhole routes.
  if (v->err == ENETUNREACH || v->err == EHOSTUNREACH || v->err == EACCES || v->err == EINVAL) {
    Route none;
    none.unreachable = true;
    return none;
  }
  if (v->err != 0) return refuse(*v, "route to " + dst.to_string(), device(oif));
  if (!found) return fail(Errc::system, "route to " + dst.to_string() + ": the kernel's answer has no route in it");
  if (src) found->source = *src;
  if (found->mtu == 0 && found->ifindex != 0 && !found->unreachable) {
    auto out = link(found->ifindex);
    if (!out) return std::unexpected(out.error());
    found->mtu = out->mtu;
  }
  return *found;
}

Result<std::vector<int>> Netlink::route_devices(const IpAddr& dst, std::optional<IpAddr> src) {
  rtmsg header{};
  header.rtm_family = wire::family(dst);
  header.rtm_dst_len = static_cast<unsigned char>(dst.size() * 8);
  header.rtm_flags = RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH;
  if (src) header.rtm_src_len = static_cast<unsigned char>(src->size() * 8);
  auto m = request(RTM_GETROUTE, 0, header);
  if (m) {
    wire::put(m.get(), RTA_DST, dst);
    if (src) wire::put(m.get(), RTA_SRC, *src);
  }
  std::vector<int> devices;
  auto v = impl_->transact(m, [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWROUTE) devices = wire::route_devices(h);
  });
  if (!v) return std::unexpected(v.error());
  return devices;
}

namespace {

wire::Msg group_route_request(int type, int flags, const GroupRoute& route) {
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_dst_len = 128;
  header.rtm_table = RT_TABLE_LOCAL;
  header.rtm_type = RTN_MULTICAST;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_protocol = wire::kRouteProtocol;
  auto m = request(type, flags, header);
  if (m) {
    wire::put(m.get(), RTA_DST, route.group);
    nla_put_u32(m.get(), RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
    nla_put_u32(m.get(), RTA_PRIORITY, route.metric);
  }
  return m;
}

}  // namespace

Result<> Netlink::add_group_route(const GroupRoute& route) {
  return impl_->change(group_route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route),
                       "route to group " + route.group.to_string(), route.ifindex);
}

Result<> Netlink::remove_group_route(const GroupRoute& route) {
  const auto m = group_route_request(RTM_DELROUTE, 0, route);
  const std::string what = "removing the route to group " + route.group.to_string();
  auto v = impl_->transact(m, [](nlmsghdr* /*h*/) {});
  if (!v) return std::unexpected(v.error());
  if (v->err == ESRCH) return fail(Errc::not_found, what + ": there is none");
  if (v->err != 0) return refuse(*v, what, device(route.ifindex));
  return {};
}

Result<std::vector<GroupRoute>> Netlink::group_routes() {
  rtmsg header{};
  header.rtm_family = AF_INET6;
  return impl_->dump<GroupRoute>([&] { return request(RTM_GETROUTE, NLM_F_DUMP, header); }, wire::group_route,
                                 "IPv6 routes");
}

// Kernels differ in the error for a foreign IPv4 source (EINVAL, ENETUNREACH). The route to the source address tells a
// foreign source from a missing route.
bool Netlink::is_ours(const IpAddr& addr) {
  const auto r = route(addr, std::nullopt);
  return r && r->local;
}

Result<std::optional<Neighbour>> Netlink::neighbour(int ifindex, const IpAddr& addr) {
  ndmsg header{};
  header.ndm_family = wire::family(addr);
  header.ndm_ifindex = ifindex;
  auto m = request(RTM_GETNEIGH, 0, header);
  if (m) wire::put(m.get(), NDA_DST, addr);
  std::optional<Neighbour> found;
  auto v = impl_->transact(m, [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWNEIGH) found = wire::neighbour(h);
  });
  if (!v) return std::unexpected(v.error());
  if (v->err == ENOENT) return std::optional<Neighbour>{};
  if (v->err != 0) return refuse(*v, "neighbour " + addr.to_string(), device(ifindex));
  return found;
}

Result<> Netlink::use_neighbour(int ifindex, const IpAddr& addr) {
  ndmsg header{};
  header.ndm_family = wire::family(addr);
  header.ndm_ifindex = ifindex;
  header.ndm_flags = NTF_USE;
  auto m = request(RTM_NEWNEIGH, NLM_F_CREATE, header);
  if (m) wire::put(m.get(), NDA_DST, addr);
  return impl_->change(m, "resolving neighbour " + addr.to_string(), ifindex);
}

Result<std::optional<Link>> Netlink::peer(int nsid, int ifindex) {
  if (ifindex <= 0) return std::optional<Link>{};
  return read_peer(nsid, ifindex, {});
}

Result<std::optional<Link>> Netlink::peer(int nsid, const std::string& name) { return read_peer(nsid, 0, name); }

Result<std::optional<Link>> Netlink::read_peer(int nsid, int ifindex, const std::string& name) {
  if (nsid < 0) return std::optional<Link>{};
  auto m = request(RTM_GETLINK, 0, link_header(ifindex));
  if (m && ifindex == 0) nla_put_string(m.get(), IFLA_IFNAME, name.c_str());
  if (m) {
    nla_put_u32(m.get(), IFLA_TARGET_NETNSID, static_cast<std::uint32_t>(nsid));
    nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  }
  std::optional<Link> found;
  auto v = impl_->transact(m, [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWLINK) found = wire::link(h);
  });
  if (!v) return std::unexpected(v.error());
  // EINVAL: no namespace has that id; this request allows no other reason (rtnl_getlink() in rtnetlink.c).
  if (v->err == EINVAL || v->err == ENODEV) return std::optional<Link>{};
  const std::string what = ifindex == 0 ? "network device \"" + name + "\"" : device(ifindex);
  if (v->err != 0) return refuse(*v, "reading it", what + " of namespace " + std::to_string(nsid));
  return found;
}

Result<int> Netlink::namespace_id(int netns) {
  const auto ask = [&](std::uint16_t type, int wish, int& id) -> Result<> {
    auto m = request(type, 0, rtgenmsg{AF_UNSPEC});
    if (m) {
      nla_put_u32(m.get(), NETNSA_FD, static_cast<std::uint32_t>(netns));
      if (type == RTM_NEWNSID) nla_put_u32(m.get(), NETNSA_NSID, static_cast<std::uint32_t>(wish));
    }
    auto v = impl_->transact(m, [&](nlmsghdr* h) {
      if (h->nlmsg_type != RTM_NEWNSID) return;
      if (const nlattr* a = nlmsg_find_attr(h, sizeof(rtgenmsg), NETNSA_NSID)) id = static_cast<int>(nla_get_u32(a));
    });
    if (!v) return std::unexpected(v.error());
    if (v->err != 0 && v->err != EEXIST) return refuse(*v, "its id", "network namespace");
    return {};
  };
  int id = NETNSA_NSID_NOT_ASSIGNED;
  if (auto ok = ask(RTM_GETNSID, 0, id); !ok) return std::unexpected(ok.error());
  if (id >= 0) return id;
  if (auto ok = ask(RTM_NEWNSID, NETNSA_NSID_NOT_ASSIGNED, id); !ok) return std::unexpected(ok.error());
  if (auto ok = ask(RTM_GETNSID, 0, id); !ok) return std::unexpected(ok.error());
  if (id < 0) return fail(Errc::system, "network namespace: the kernel gives it no id");
  return id;
}

Result<bool> Netlink::ingress_filters(int index) { return filters(index, true); }
Result<bool> Netlink::egress_filters(int index) { return filters(index, false); }

Result<bool> Netlink::filters(int index, bool ingress) {
  bool any = false;
  const auto done = for_filters(
      index, ingress, [&] { any = false; }, [&](const tcmsg& /*filter*/) { any = true; });
  if (!done) return std::unexpected(done.error());
  return any;
}

Result<std::vector<std::uint32_t>> Netlink::ingress_filter_handles(int index, unsigned preference) {
  std::vector<std::uint32_t> handles;
  const auto done = for_filters(
      index, true, [&] { handles.clear(); },
      [&](const tcmsg& filter) {
        if (TC_H_MAJ(filter.tcm_info) >> 16 == preference && filter.tcm_handle != 0)
          handles.push_back(filter.tcm_handle);
      });
  if (!done) return std::unexpected(done.error());
  return handles;
}

Result<> Netlink::for_filters(int index, bool ingress, const std::function<void()>& begin,
                              const std::function<void(const tcmsg&)>& each) {
  // A dump of a missing device would be empty, not an error.
  if (const auto there = link(index); !there) return std::unexpected(there.error());
  tcmsg header{};
  header.tcm_ifindex = index;
  header.tcm_parent = TC_H_MAKE(TC_H_CLSACT, ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  const auto read = [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWTFILTER && nlmsg_valid_hdr(h, sizeof(tcmsg)) != 0)
      each(*static_cast<const tcmsg*>(nlmsg_data(h)));
  };
  const auto done = impl_->scan([&] { return request(RTM_GETTFILTER, NLM_F_DUMP, header); }, begin, read,
                                (ingress ? "ingress filters of " : "egress filters of ") + device(index));
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<bool> Netlink::has_clsact(int index) {
  tcmsg header{};
  header.tcm_ifindex = index;
  header.tcm_parent = TC_H_CLSACT;
  bool found = false;
  // NLM_F_ECHO: kernels before 6.7 send the qdisc only with this flag.
  auto v = impl_->transact(request(RTM_GETQDISC, NLM_F_ECHO, header), [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWQDISC) found = wire::qdisc_kind(h) == "clsact";
  });
  if (!v) return std::unexpected(v.error());
  if (v->err == ENOENT) return false;
  if (v->err != 0) return refuse(*v, "reading its qdisc", device(index));
  return found;
}

}  // namespace heddle::netlink
