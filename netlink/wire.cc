// SPDX-License-Identifier: Apache-2.0
#include "netlink/wire.h"

#include <linux/gen_stats.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <set>
#include <span>

namespace heddle::netlink::wire {
namespace {

// An address attribute of the message's family; nothing when its length does not fit the family.
std::optional<IpAddr> ip(const nlattr* a, unsigned char family) {
  if (a == nullptr) return std::nullopt;
  if (family == AF_INET && nla_len(a) == 4) return IpAddr::v4_bytes(nla_data(a));
  if (family == AF_INET6 && nla_len(a) == 16) return IpAddr::v6_bytes(nla_data(a));
  return std::nullopt;
}

std::optional<MacAddr> mac(const nlattr* a) {
  if (a == nullptr || nla_len(a) != 6) return std::nullopt;
  MacAddr m;
  std::memcpy(m.bytes.data(), nla_data(a), 6);
  return m;
}

// RTA_VIA: a gateway of another family than the destination's (RFC 8950).
std::optional<IpAddr> via(const nlattr* a) {
  if (a == nullptr || nla_len(a) < 2) return std::nullopt;
  const auto* bytes = static_cast<const unsigned char*>(nla_data(a));
  __kernel_sa_family_t family = 0;
  std::memcpy(&family, bytes, sizeof family);
  if (family == AF_INET && nla_len(a) >= 6) return IpAddr::v4_bytes(bytes + 2);
  if (family == AF_INET6 && nla_len(a) >= 18) return IpAddr::v6_bytes(bytes + 2);
  return std::nullopt;
}

std::string kind(nlattr* linkinfo) {
  std::array<nlattr*, IFLA_INFO_MAX + 1> tb{};
  static const std::array<nla_policy, IFLA_INFO_MAX + 1> policy = [] {
    std::array<nla_policy, IFLA_INFO_MAX + 1> p{};
    p[IFLA_INFO_KIND].type = NLA_STRING;
    return p;
  }();
  if (linkinfo == nullptr || nla_parse_nested(tb.data(), IFLA_INFO_MAX, linkinfo, policy.data()) < 0) return {};
  return tb[IFLA_INFO_KIND] != nullptr ? nla_get_string(tb[IFLA_INFO_KIND]) : std::string{};
}

unsigned mtu_metric(nlattr* metrics) {
  std::array<nlattr*, RTAX_MAX + 1> tb{};
  static const std::array<nla_policy, RTAX_MAX + 1> policy = [] {
    std::array<nla_policy, RTAX_MAX + 1> p{};
    p[RTAX_MTU].type = NLA_U32;
    return p;
  }();
  if (metrics == nullptr || nla_parse_nested(tb.data(), RTAX_MAX, metrics, policy.data()) < 0) return 0;
  return tb[RTAX_MTU] != nullptr ? nla_get_u32(tb[RTAX_MTU]) : 0;
}

Neighbour::State state(unsigned nud) {
  using enum Neighbour::State;
  switch (nud) {
    case NUD_INCOMPLETE:
      return incomplete;
    case NUD_REACHABLE:
      return reachable;
    case NUD_STALE:
      return stale;
    case NUD_DELAY:
      return delay;
    case NUD_PROBE:
      return probe;
    case NUD_FAILED:
      return failed;
    case NUD_NOARP:
      return noarp;
    case NUD_PERMANENT:
      return permanent;
    default:
      return none;
  }
}

}  // namespace

std::optional<Link> link(nlmsghdr* message) {
  static const std::array<nla_policy, IFLA_MAX + 1> policy = [] {
    std::array<nla_policy, IFLA_MAX + 1> p{};
    p[IFLA_IFNAME].type = NLA_STRING;
    p[IFLA_MTU].type = NLA_U32;
    p[IFLA_MASTER].type = NLA_U32;
    p[IFLA_NUM_RX_QUEUES].type = NLA_U32;
    p[IFLA_LINK].type = NLA_U32;
    p[IFLA_LINK_NETNSID].type = NLA_U32;
    p[IFLA_PROMISCUITY].type = NLA_U32;
    p[IFLA_IFALIAS].type = NLA_STRING;
    p[IFLA_QDISC].type = NLA_STRING;
    p[IFLA_LINKINFO].type = NLA_NESTED;
    return p;
  }();
  std::array<nlattr*, IFLA_MAX + 1> tb{};
  if (nlmsg_parse(message, sizeof(ifinfomsg), tb.data(), IFLA_MAX, policy.data()) < 0) return std::nullopt;
  const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(message));
  if (header->ifi_family != AF_UNSPEC || tb[IFLA_IFNAME] == nullptr) return std::nullopt;
  Link l;
  l.index = header->ifi_index;
  l.name = nla_get_string(tb[IFLA_IFNAME]);
  l.mac = mac(tb[IFLA_ADDRESS]).value_or(MacAddr{});
  l.admin_up = (header->ifi_flags & IFF_UP) != 0;
  l.lower_up = (header->ifi_flags & IFF_LOWER_UP) != 0;
  l.kind = kind(tb[IFLA_LINKINFO]);
  if (tb[IFLA_MTU] != nullptr) l.mtu = nla_get_u32(tb[IFLA_MTU]);
  if (tb[IFLA_MASTER] != nullptr) l.master = static_cast<int>(nla_get_u32(tb[IFLA_MASTER]));
  if (tb[IFLA_NUM_RX_QUEUES] != nullptr) l.rx_queues = nla_get_u32(tb[IFLA_NUM_RX_QUEUES]);
  if (tb[IFLA_LINK] != nullptr) l.link = static_cast<int>(nla_get_u32(tb[IFLA_LINK]));
  if (tb[IFLA_LINK_NETNSID] != nullptr) l.link_netns = static_cast<int>(nla_get_u32(tb[IFLA_LINK_NETNSID]));
  if (tb[IFLA_PROMISCUITY] != nullptr) l.promiscuity = nla_get_u32(tb[IFLA_PROMISCUITY]);
  if (tb[IFLA_IFALIAS] != nullptr) l.alias = nla_get_string(tb[IFLA_IFALIAS]);
  if (tb[IFLA_QDISC] != nullptr) l.qdisc = nla_get_string(tb[IFLA_QDISC]);
  return l;
}

std::optional<LinkStatistics> statistics(nlmsghdr* message) {
  if (message->nlmsg_type != RTM_NEWLINK || !nlmsg_valid_hdr(message, sizeof(ifinfomsg))) return std::nullopt;
  const nlattr* a = nlmsg_find_attr(message, sizeof(ifinfomsg), IFLA_STATS64);
  rtnl_link_stats64 all{};
  constexpr std::size_t kOldest = offsetof(rtnl_link_stats64, rx_nohandler);  // newer kernels append fields
  if (a == nullptr || static_cast<std::size_t>(nla_len(a)) < kOldest) return std::nullopt;
  std::memcpy(&all, nla_data(a), std::min(sizeof all, static_cast<std::size_t>(nla_len(a))));
  return LinkStatistics{all.rx_packets,      all.rx_bytes,        all.tx_packets,
                        all.tx_bytes,        all.rx_frame_errors, all.tx_dropped + all.tx_errors,
                        all.collisions,      all.rx_crc_errors,   all.rx_over_errors,
                        all.rx_missed_errors};
}

std::optional<Address> address(nlmsghdr* message) {
  std::array<nlattr*, IFA_MAX + 1> tb{};
  static const std::array<nla_policy, IFA_MAX + 1> policy = [] {
    std::array<nla_policy, IFA_MAX + 1> p{};
    p[IFA_FLAGS].type = NLA_U32;
    return p;
  }();
  if (nlmsg_parse(message, sizeof(ifaddrmsg), tb.data(), IFA_MAX, policy.data()) < 0) return std::nullopt;
  const auto* header = static_cast<const ifaddrmsg*>(nlmsg_data(message));
  // On a point-to-point link IFA_ADDRESS is the peer's address and IFA_LOCAL this host's (linux/if_addr.h).
  const auto addr = ip(tb[IFA_LOCAL] != nullptr ? tb[IFA_LOCAL] : tb[IFA_ADDRESS], header->ifa_family);
  if (!addr) return std::nullopt;
  const unsigned flags = tb[IFA_FLAGS] != nullptr ? nla_get_u32(tb[IFA_FLAGS]) : header->ifa_flags;
  // An address that failed duplicate detection stays tentative; an optimistic address may be used (RFC 4429).
  const bool tentative = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  return Address{static_cast<int>(header->ifa_index), *addr, header->ifa_prefixlen, tentative};
}

std::optional<Neighbour> neighbour(nlmsghdr* message) {
  std::array<nlattr*, NDA_MAX + 1> tb{};
  if (nlmsg_parse(message, sizeof(ndmsg), tb.data(), NDA_MAX, nullptr) < 0) return std::nullopt;
  const auto* header = static_cast<const ndmsg*>(nlmsg_data(message));
  const auto addr = ip(tb[NDA_DST], header->ndm_family);
  if (!addr || (header->ndm_flags & NTF_PROXY) != 0) return std::nullopt;
  Neighbour n{header->ndm_ifindex, *addr, mac(tb[NDA_LLADDR]), state(header->ndm_state)};
  if (message->nlmsg_type == RTM_DELNEIGH) n.state = Neighbour::State::none;
  return n;
}

std::optional<Route> route(nlmsghdr* message) {
  std::array<nlattr*, RTA_MAX + 1> tb{};
  static const std::array<nla_policy, RTA_MAX + 1> policy = [] {
    std::array<nla_policy, RTA_MAX + 1> p{};
    p[RTA_OIF].type = NLA_U32;
    p[RTA_METRICS].type = NLA_NESTED;
    return p;
  }();
  if (nlmsg_parse(message, sizeof(rtmsg), tb.data(), RTA_MAX, policy.data()) < 0) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
  const auto family = header->rtm_family;
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  constexpr std::array<std::uint8_t, 16> kAny{};
  Route r;
  r.source = family == AF_INET ? IpAddr{} : IpAddr::v6_bytes(kAny.data());
  if (tb[RTA_OIF] != nullptr) r.ifindex = static_cast<int>(nla_get_u32(tb[RTA_OIF]));
  r.gateway = ip(tb[RTA_GATEWAY], family);
  if (!r.gateway) r.gateway = via(tb[RTA_VIA]);
  if (const auto source = ip(tb[RTA_PREFSRC], family))
    r.source = *source;
  else if (const auto asked = ip(tb[RTA_SRC], family))
    r.source = *asked;
  r.mtu = mtu_metric(tb[RTA_METRICS]);
  r.local = header->rtm_type == RTN_LOCAL;
  r.unreachable = header->rtm_type == RTN_UNREACHABLE || header->rtm_type == RTN_BLACKHOLE ||
                  header->rtm_type == RTN_PROHIBIT || header->rtm_type == RTN_THROW;
  return r;
}

std::vector<int> route_devices(nlmsghdr* message) {
  std::array<nlattr*, RTA_MAX + 1> tb{};
  static const std::array<nla_policy, RTA_MAX + 1> policy = [] {
    std::array<nla_policy, RTA_MAX + 1> p{};
    p[RTA_OIF].type = NLA_U32;
    return p;
  }();
  if (nlmsg_parse(message, sizeof(rtmsg), tb.data(), RTA_MAX, policy.data()) < 0) return {};
  std::set<int> devices;
  if (tb[RTA_OIF] != nullptr) devices.insert(static_cast<int>(nla_get_u32(tb[RTA_OIF])));
  if (tb[RTA_MULTIPATH] != nullptr) {
    auto* hop = static_cast<rtnexthop*>(nla_data(tb[RTA_MULTIPATH]));
    auto left = static_cast<std::size_t>(nla_len(tb[RTA_MULTIPATH]));
    while (left >= sizeof *hop && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left) {
      devices.insert(hop->rtnh_ifindex);
      const std::size_t step = NLA_ALIGN(hop->rtnh_len);
      if (step >= left) break;
      left -= step;
      hop = reinterpret_cast<rtnexthop*>(reinterpret_cast<char*>(hop) + step);
    }
  }
  return {devices.begin(), devices.end()};
}

std::optional<GroupRoute> group_route(nlmsghdr* message) {
  std::array<nlattr*, RTA_MAX + 1> tb{};
  static const std::array<nla_policy, RTA_MAX + 1> policy = [] {
    std::array<nla_policy, RTA_MAX + 1> p{};
    p[RTA_OIF].type = NLA_U32;
    p[RTA_PRIORITY].type = NLA_U32;
    return p;
  }();
  if (nlmsg_parse(message, sizeof(rtmsg), tb.data(), RTA_MAX, policy.data()) < 0) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
  if (header->rtm_family != AF_INET6 || header->rtm_protocol != kRouteProtocol || header->rtm_dst_len != 128)
    return std::nullopt;
  const auto group = ip(tb[RTA_DST], AF_INET6);
  if (!group || tb[RTA_OIF] == nullptr || tb[RTA_PRIORITY] == nullptr) return std::nullopt;
  return GroupRoute{*group, static_cast<int>(nla_get_u32(tb[RTA_OIF])), nla_get_u32(tb[RTA_PRIORITY])};
}

std::string qdisc_kind(nlmsghdr* message) {
  static const std::array<nla_policy, TCA_MAX + 1> policy = [] {
    std::array<nla_policy, TCA_MAX + 1> p{};
    p[TCA_KIND].type = NLA_STRING;
    return p;
  }();
  std::array<nlattr*, TCA_MAX + 1> tb{};
  if (nlmsg_parse(message, sizeof(tcmsg), tb.data(), TCA_MAX, policy.data()) < 0 || tb[TCA_KIND] == nullptr) return {};
  return nla_get_string(tb[TCA_KIND]);
}

std::optional<ClassStatistics> class_statistics(nlmsghdr* message) {
  if (nlmsg_valid_hdr(message, sizeof(tcmsg)) == 0) return std::nullopt;
  const nlattr* stats = nlmsg_find_attr(message, sizeof(tcmsg), TCA_STATS2);
  std::array<nlattr*, TCA_STATS_MAX + 1> tb{};
  if (stats == nullptr || nla_parse_nested(tb.data(), TCA_STATS_MAX, const_cast<nlattr*>(stats), nullptr) < 0)
    return std::nullopt;
  constexpr int kBasic = offsetof(gnet_stats_basic, packets) + sizeof(gnet_stats_basic::packets);
  if (tb[TCA_STATS_BASIC] == nullptr || nla_len(tb[TCA_STATS_BASIC]) < kBasic) return std::nullopt;
  gnet_stats_basic basic{};
  std::memcpy(&basic, nla_data(tb[TCA_STATS_BASIC]), kBasic);
  ClassStatistics s{basic.packets, basic.bytes, 0};
  // The 32-bit counter overflows; since 5.5 the kernel adds one of 64 bits.
  if (const nlattr* all = tb[TCA_STATS_PKT64];
      all != nullptr && nla_len(all) >= static_cast<int>(sizeof(std::uint64_t)))
    s.tx_packets = nla_get_u64(all);
  gnet_stats_queue queue{};
  if (const nlattr* q = tb[TCA_STATS_QUEUE]; q != nullptr && nla_len(q) >= static_cast<int>(sizeof queue)) {
    std::memcpy(&queue, nla_data(q), sizeof queue);
    s.dropped = queue.drops;
  }
  return s;
}

}  // namespace heddle::netlink::wire
