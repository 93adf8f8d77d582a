// SPDX-License-Identifier: Apache-2.0
// QoS: a hierarchical token bucket (HTB) at the device by which a port's frames leave.
//
//   4844:          the major number by which we know ours
//   4844:fffe      the port: nothing exceeds its max_rate
//   4844:<n+1>     queue n; 4844:1 is there always, for what no queue was chosen for
//
// An internal port's frames leave by the back end of its pair while it has QoS: nothing can wait on the way into a
// device's receive side.
#include <algorithm>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath_impl.h"

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

netlink::Link& KernelDatapath::way_out(PortEntry& p) { return p.internal() ? p.back : p.link; }

// Reads again how the device is, after its discipline changed.
void KernelDatapath::see_way_out(PortEntry& p) {
  netlink::Link& out = way_out(p);
  if (auto now = kernel_->link(out.index)) out = *now;
  if (p.moved) p.link = out;
  write_device(p);
}

// Whether our discipline is at the device's root.
bool KernelDatapath::has_our_qdisc(int ifindex) const {
  const auto root = kernel_->root_qdisc(ifindex);
  return root && *root && (*root)->major == kMajor && (*root)->kind == "htb";
}

// What an earlier daemon left on a device.
void KernelDatapath::drop_qdisc(int ifindex) const {
  if (has_our_qdisc(ifindex)) (void)kernel_->remove_root_qdisc(ifindex, kMajor);
}

// Takes the port's off. How many frames its queues have dropped is kept, for the port's counter.
void KernelDatapath::lift_qos(PortEntry& p) {
  const int ifindex = way_out(p).index;
  if (p.shaped) {
    p.shaped_before = shaped_drops(p);
    p.shaped = false;
    write_device(p);
  }
  drop_qdisc(ifindex);
}

Result<> KernelDatapath::add_qdisc(const PortEntry& p, const netlink::Link& out) const {
  if (has_our_qdisc(out.index)) return {};
  auto added = kernel_->add_htb(out.index, kMajor, minor_of(0), limits::kShapedFrames);
  if (added) return added;
  if (added.error().code != Errc::exists)
    return fail(added.error().code, "QoS of port " + p.spec.name + ": " + added.error().text);
  const auto root = kernel_->root_qdisc(out.index);
  return fail(Errc::exists, fmt::format("QoS of port {}: network device {} has a queueing discipline already ({}): "
                                        "remove it (tc qdisc del dev {} root)",
                                        p.spec.name, out.name, root && *root ? (*root)->kind : "unknown", out.name));
}

// Puts the port's wish in force. Classes that stay are changed in place: what waits there goes on waiting.
Result<> KernelDatapath::shape(PortEntry& p) {
  const netlink::Link& out = way_out(p);
  if (auto ok = add_qdisc(p, out); !ok) return ok;
  const auto before = kernel_->classes(out.index, kMajor);
  if (!before) return std::unexpected(before.error());
  const std::uint64_t most = bytes(p.qos->max_rate);
  if (auto ok = kernel_->put_htb_class(out.index, kMajor, make_class(kPortClass, most, most, 0)); !ok) return ok;
  const auto wanted = classes_of(*p.qos);
  for (const auto& [minor, c] : wanted) {
    if (auto ok = kernel_->put_htb_class(out.index, kMajor, c); !ok) return ok;
    if (auto ok = kernel_->set_class_limit(out.index, kMajor, minor, limits::kShapedFrames); !ok) return ok;
  }
  for (const auto& [minor, counted] : *before) {
    if (minor == kPortClass || wanted.contains(minor)) continue;
    if (auto ok = kernel_->remove_class(out.index, kMajor, minor); !ok) return ok;
    p.shaped_before += counted.dropped;
  }
  p.shaped = true;
  return {};
}

// The port's device is as its QoS asks for; without a device, it will be.
Result<> KernelDatapath::apply_qos(PortEntry& p) {
  p.qos_error.clear();
  if (p.hook.ifindex() == 0) return {};
  Result<> ok{};
  if (p.qos) ok = shape(p);
  if (!ok || !p.qos) lift_qos(p);
  see_way_out(p);
  if (!ok) p.qos_error = ok.error().text;
  return ok;
}

// A wish that failed is tried again by every call, for its cause may be gone.
void KernelDatapath::set_qos(PortEntry& p, const std::optional<QosSpec>& qos) {
  if (p.qos == qos && p.shaped == qos.has_value()) return;
  p.qos = qos;
  const auto possible = qos ? check_qos(p.spec, *qos) : Result<>{};
  if (!possible) {
    if (p.shaped) lift_qos(p);
    p.qos_error = possible.error().text;
    return;
  }
  if (p.tunnel() || p.patch()) {
    p.qos_error.clear();
    return;
  }
  if (auto ok = apply_qos(p); !ok) spdlog::debug("{}", ok.error().text);
}

std::uint64_t KernelDatapath::shaped_drops(const PortEntry& p) const {
  std::uint64_t sum = p.shaped_before;
  if (!p.shaped) return sum;
  const auto counted = kernel_->classes(p.internal() ? p.back.index : p.link.index, kMajor);
  if (!counted) return sum;
  for (const auto& [minor, c] : *counted)
    if (minor != kPortClass) sum += c.dropped;
  return sum;
}

std::map<std::uint32_t, QueueCounters> KernelDatapath::queue_counters(PortNo no) const {
  std::map<std::uint32_t, QueueCounters> all;
  const PortEntry* p = find(no);
  if (p == nullptr || !p->qos) return all;
  for (const auto& [number, q] : p->qos->queues) all[number] = {};
  if (!p->shaped) return all;
  const auto counted = kernel_->classes(p->internal() ? p->back.index : p->link.index, kMajor);
  if (!counted) return all;
  for (auto& [number, c] : all)
    if (const auto it = counted->find(minor_of(number)); it != counted->end())
      c = {it->second.tx_packets, it->second.tx_bytes, it->second.dropped};
  return all;
}

// Somebody changed the discipline of the port's device.
void KernelDatapath::on_qdisc(PortEntry& p) {
  if (p.shaped && way_out(p).qdisc != "htb") {
    spdlog::warn("port {}: somebody removed the QoS of its device: it is set again", p.spec.name);
    p.shaped = false;
    if (auto ok = apply_qos(p); !ok) spdlog::warn("{}", ok.error().text);
  }
}

// Of ports that are shaped no more, since the daemon was away.
void KernelDatapath::settle_qos() {
  for (auto& [no, p] : ports_) {
    if (p.hook.ifindex() == 0 || p.shaped || way_out(p).qdisc != "htb" || !has_our_qdisc(way_out(p).index)) continue;
    spdlog::info("port {}: QoS is not configured any more", p.spec.name);
    drop_qdisc(way_out(p).index);
    see_way_out(p);
  }
}

}  // namespace heddle::dp
