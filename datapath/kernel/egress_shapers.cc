// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/egress_shapers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/shell_word.h"

namespace heddle::dp {
namespace {

constexpr std::uint16_t kMajor = 0x4844;  // "HD"
constexpr std::uint16_t kPortClass = 0xfffe;
static_assert(limits::kQueueMax + 1 < kPortClass);

constexpr std::uint64_t kLeastRate = 1500;       // bytes a second: HTB has no class without a rate
constexpr std::uint64_t kFrame = 1600;           // bytes: a burst must not be less than about one
constexpr std::uint64_t kBurstsPerSecond = 250;  // what a rate needs: the system may be that late
constexpr std::uint32_t kLargestTurn = 65536;    // bytes: a GSO packet

std::uint16_t minor_of(std::uint32_t queue) { return static_cast<std::uint16_t>(queue + 1); }

std::uint64_t bytes(std::uint64_t bits) { return std::max(bits / 8, kLeastRate); }

// What is left over is shared in the proportion of the rates.
netlink::HtbClass make_class(std::uint16_t minor, std::uint64_t rate, std::uint64_t ceil, std::uint64_t burst) {
  netlink::HtbClass c;
  c.minor = minor;
  c.rate = std::min(rate, ceil);
  c.ceil = ceil;
  c.burst = burst != 0 ? std::max(burst, kFrame) : c.rate / kBurstsPerSecond + kFrame;
  c.cburst = burst != 0 ? std::max(burst, kFrame) : c.ceil / kBurstsPerSecond + kFrame;
  c.quantum = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(c.rate / 10, kFrame, kLargestTurn));
  return c;
}

std::map<std::uint16_t, netlink::HtbClass> classes_of(const QosSpec& qos) {
  std::map<std::uint16_t, netlink::HtbClass> all;
  auto queues = qos.queues;
  queues.try_emplace(0);
  const std::uint64_t most = bytes(qos.max_rate);
  for (const auto& [number, q] : queues) {
    const std::uint64_t ceil = q.max_rate == 0 ? most : std::min(bytes(q.max_rate), most);
    netlink::HtbClass c = make_class(minor_of(number), bytes(q.min_rate), ceil, q.burst);
    c.parent = kPortClass;
    c.priority = q.priority;
    all[c.minor] = c;
  }
  return all;
}

}  // namespace

bool EgressShapers::has_ours(int ifindex) const {
  const auto root = kernel_.root_qdisc(ifindex);
  return root && *root && (*root)->major == kMajor && (*root)->kind == "htb";
}

void EgressShapers::remove_ours(int ifindex) const {
  if (has_ours(ifindex)) (void)kernel_.remove_root_qdisc(ifindex, kMajor);
}

void EgressShapers::lift(PortEntry& p) const {
  if (p.shaping.in_force) {
    p.shaping.before = drops(p);
    p.shaping.in_force = false;
  }
  remove_ours(p.way_out().index);
}

Result<> EgressShapers::add_discipline(const PortEntry& p) const {
  const netlink::Link& out = p.way_out();
  if (has_ours(out.index)) return {};
  const auto added = kernel_.add_htb(out.index, kMajor, minor_of(0), limits::kShapedFrames);
  if (added) return added;
  if (added.error().code != Errc::exists)
    return fail(added.error().code, "QoS of port " + p.name() + ": " + added.error().text);
  const auto root = kernel_.root_qdisc(out.index);
  return fail(Errc::exists,
              fmt::format("QoS of port {}: network device {} has a queueing discipline already ({}): "
                          "remove it (tc qdisc del dev {} root)",
                          p.name(), out.name, root && *root ? (*root)->kind : "unknown", shell_word(out.name)));
}

Result<> EgressShapers::shape(PortEntry& p) const {
  const int out = p.way_out().index;
  const QosSpec& qos = *p.config.qos;
  if (auto ok = add_discipline(p); !ok) return ok;
  const auto before = kernel_.classes(out, kMajor);
  if (!before) return std::unexpected(before.error());
  const std::uint64_t most = bytes(qos.max_rate);
  if (auto ok = kernel_.put_htb_class(out, kMajor, make_class(kPortClass, most, most, 0)); !ok) return ok;
  const auto wanted = classes_of(qos);
  for (const auto& [minor, c] : wanted) {
    if (auto ok = kernel_.put_htb_class(out, kMajor, c); !ok) return ok;
    if (auto ok = kernel_.set_class_limit(out, kMajor, minor, limits::kShapedFrames); !ok) return ok;
  }
  for (const auto& [minor, counted] : *before) {
    if (minor == kPortClass || wanted.contains(minor)) continue;
    if (auto ok = kernel_.remove_class(out, kMajor, minor); !ok) return ok;
    p.shaping.before += counted.dropped;
  }
  p.shaping.in_force = true;
  return {};
}

std::uint64_t EgressShapers::drops(const PortEntry& p) const {
  std::uint64_t sum = p.shaping.before;
  if (!p.shaping.in_force) return sum;
  const auto counted = kernel_.classes(p.way_out().index, kMajor);
  if (!counted) return sum;
  for (const auto& [minor, c] : *counted)
    if (minor != kPortClass) sum += c.dropped;
  return sum;
}

std::map<std::uint32_t, QueueCounters> EgressShapers::counters(const PortEntry& p) const {
  std::map<std::uint32_t, QueueCounters> all;
  if (!p.config.qos || !p.spec().traits().may_shape) return all;
  for (const auto& [number, q] : p.config.qos->queues) all[number] = {};
  if (!p.shaping.in_force) return all;
  const auto counted = kernel_.classes(p.way_out().index, kMajor);
  if (!counted) return all;
  for (auto& [number, c] : all)
    if (const auto it = counted->find(minor_of(number)); it != counted->end())
      c = {it->second.tx_packets, it->second.tx_bytes, it->second.dropped};
  return all;
}

}  // namespace heddle::dp
