// SPDX-License-Identifier: Apache-2.0
// Egress shaping in Netlink: a hierarchical token bucket (HTB) at a device's root. Attributes as in linux/pkt_sched.h;
// their meaning is in tc-htb(8) and the kernel's net/sched/sch_htb.c.
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "netlink/impl.h"
#include "netlink/netlink.h"
#include "netlink/wire.h"

namespace heddle::netlink {
namespace {

constexpr std::uint64_t kTick = 64;  // nanoseconds: the kernel's unit of time for buckets (/proc/net/psched)
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kHtbVersion = 3;
constexpr std::uint32_t kRateToQuantum = 10;
constexpr std::uint32_t kLowestPriority = 7;

std::uint32_t handle(std::uint16_t major, std::uint16_t minor) { return std::uint32_t{major} << 16 | minor; }

tcmsg traffic_header(int index, std::uint32_t parent, std::uint32_t own) {
  tcmsg h{};
  h.tcm_ifindex = index;
  h.tcm_parent = parent;
  h.tcm_handle = own;
  return h;
}

// The kernel takes a bucket's size as the time of sending it at `rate`.
std::uint32_t ticks(std::uint64_t bytes, std::uint64_t rate) {
  bytes = std::min<std::uint64_t>(bytes, std::numeric_limits<std::uint32_t>::max());
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(bytes * kSecond / rate / kTick, 1, std::numeric_limits<std::uint32_t>::max()));
}

// The old 32-bit rate; a higher rate goes into an attribute of its own. With a named link layer the kernel computes
// the times and needs no rate table.
tc_ratespec ratespec(std::uint64_t rate) {
  tc_ratespec r{};
  r.rate = static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, std::numeric_limits<std::uint32_t>::max()));
  r.linklayer = TC_LINKLAYER_ETHERNET;
  return r;
}

std::string called(int index, std::uint16_t major, std::uint16_t minor) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string id;
  for (int shift = 12; shift >= 0; shift -= 4) id += kDigits[major >> shift & 15];
  id += ':';
  for (int shift = 12; shift >= 0; shift -= 4) id += kDigits[minor >> shift & 15];
  return "class " + id + " of " + device(index);
}

}  // namespace

Result<std::optional<Qdisc>> Netlink::root_qdisc(int index) {
  std::optional<Qdisc> found;
  // NLM_F_ECHO: kernels before 6.7 send the qdisc only with this flag. A hidden qdisc gives no message.
  auto v = impl_->transact(request(RTM_GETQDISC, NLM_F_ECHO, traffic_header(index, TC_H_ROOT, 0)), [&](nlmsghdr* h) {
    if (h->nlmsg_type != RTM_NEWQDISC || nlmsg_valid_hdr(h, sizeof(tcmsg)) == 0) return;
    const std::uint32_t own = static_cast<const tcmsg*>(nlmsg_data(h))->tcm_handle;
    found = Qdisc{static_cast<std::uint16_t>(own >> 16), wire::qdisc_kind(h)};
  });
  if (!v) return std::unexpected(v.error());
  if (v->err == ENOENT) return std::optional<Qdisc>{};
  if (v->err != 0) return refuse(*v, "reading its root qdisc", device(index));
  return found;
}

Result<> Netlink::add_htb(int index, std::uint16_t major, std::uint16_t fallback, std::uint32_t direct) {
  auto m = request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, traffic_header(index, TC_H_ROOT, handle(major, 0)));
  if (m) {
    nla_put_string(m.get(), TCA_KIND, "htb");
    nlattr* options = nla_nest_start(m.get(), TCA_OPTIONS);
    tc_htb_glob all{};
    all.version = kHtbVersion;
    all.rate2quantum = kRateToQuantum;
    all.defcls = fallback;
    nla_put(m.get(), TCA_HTB_INIT, sizeof all, &all);
    nla_put_u32(m.get(), TCA_HTB_DIRECT_QLEN, direct);
    nla_nest_end(m.get(), options);
  }
  auto v = impl_->transact(m, [](nlmsghdr*) {});
  if (!v) return std::unexpected(v.error());
  // tc_modify_qdisc() in net/sched/sch_api.c: neither the kernel nor a module has the kind.
  if (v->err == ENOENT) return fail(Errc::unsupported, "this kernel lacks HTB (sch_htb)");
  if (v->err != 0) return refuse(*v, "HTB", device(index));
  return {};
}

Result<> Netlink::remove_root_qdisc(int index, std::uint16_t major) {
  auto v =
      impl_->transact(request(RTM_DELQDISC, 0, traffic_header(index, TC_H_ROOT, handle(major, 0))), [](nlmsghdr*) {});
  if (!v) return std::unexpected(v.error());
  if (v->err == ENOENT) return fail(Errc::not_found, device(index) + " has no root qdisc");
  if (v->err != 0) return refuse(*v, "removal of its root qdisc", device(index));
  return {};
}

Result<> Netlink::put_htb_class(int index, std::uint16_t major, const HtbClass& c) {
  const std::string object = called(index, major, c.minor);
  if (c.rate == 0 || c.ceil == 0) return fail(Errc::invalid, object + ": a rate of 0");
  auto m = request(RTM_NEWTCLASS, NLM_F_CREATE | NLM_F_REPLACE,
                   traffic_header(index, handle(major, c.parent), handle(major, c.minor)));
  if (m) {
    nla_put_string(m.get(), TCA_KIND, "htb");
    nlattr* options = nla_nest_start(m.get(), TCA_OPTIONS);
    tc_htb_opt o{};
    o.rate = ratespec(c.rate);
    o.ceil = ratespec(c.ceil);
    o.buffer = ticks(c.burst, c.rate);
    o.cbuffer = ticks(c.cburst, c.ceil);
    o.quantum = c.quantum;
    o.prio = std::min(c.priority, kLowestPriority);
    nla_put(m.get(), TCA_HTB_PARMS, sizeof o, &o);
    if (c.rate > o.rate.rate) nla_put_u64(m.get(), TCA_HTB_RATE64, c.rate);
    if (c.ceil > o.ceil.rate) nla_put_u64(m.get(), TCA_HTB_CEIL64, c.ceil);
    nla_nest_end(m.get(), options);
  }
  return impl_->change(m, "rates", object);
}

Result<> Netlink::remove_class(int index, std::uint16_t major, std::uint16_t minor) {
  return impl_->change(request(RTM_DELTCLASS, 0, traffic_header(index, 0, handle(major, minor))), "removal",
                       called(index, major, minor));
}

// Gives the class a first-in-first-out queue of its own, as the kernel's default is, but with a handle, so that its
// length can be set. A second call changes the queue in place.
Result<> Netlink::set_class_limit(int index, std::uint16_t major, std::uint16_t minor, std::uint32_t frames) {
  auto m = request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, traffic_header(index, handle(major, minor), 0));
  if (m) {
    nla_put_string(m.get(), TCA_KIND, "pfifo");
    tc_fifo_qopt limit{};
    limit.limit = frames;
    nla_put(m.get(), TCA_OPTIONS, sizeof limit, &limit);
  }
  return impl_->change(m, "queue limit", called(index, major, minor));
}

Result<std::map<std::uint16_t, ClassStatistics>> Netlink::classes(int index, std::uint16_t major) {
  // A dump of a missing device would be empty, not an error.
  if (const auto there = link(index); !there) return std::unexpected(there.error());
  std::map<std::uint16_t, ClassStatistics> all;
  const auto take = [&](nlmsghdr* h) {
    if (h->nlmsg_type != RTM_NEWTCLASS || nlmsg_valid_hdr(h, sizeof(tcmsg)) == 0) return;
    const std::uint32_t own = static_cast<const tcmsg*>(nlmsg_data(h))->tcm_handle;
    if (own >> 16 == major)
      all[static_cast<std::uint16_t>(own)] = wire::class_statistics(h).value_or(ClassStatistics{});
  };
  // Dumps the classes of the whole device: a dump of a missing qdisc would be an error.
  const auto done = impl_->scan([&] { return request(RTM_GETTCLASS, NLM_F_DUMP, traffic_header(index, 0, 0)); },
                                [&] { all.clear(); }, take, "classes of " + device(index));
  if (!done) return std::unexpected(done.error());
  return all;
}

}  // namespace heddle::netlink
