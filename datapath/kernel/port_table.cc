// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/port_table.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"

namespace heddle::dp {
namespace {

constexpr __u32 kPolicyFlags = HD_LEARN | HD_PROTECTED | HD_POLICED;

// `rate` and `burst` are in bits or frames, `unit` of which have one cost. What costs more than `most`, and a burst of
// more than half a year, is taken as that: the programs multiply in 64 bits.
hd_bucket bucket(std::uint64_t rate, std::uint64_t burst, double unit, double most) {
  if (rate == 0) return {};
  constexpr double kSecond = 1e9 * (1U << HD_TIME_SHIFT);
  constexpr double kFraction = 1U << HD_COST_SHIFT;
  constexpr double kMostBurst = 1ULL << 60;
  const double cost = std::clamp(kSecond / static_cast<double>(rate) * unit * kFraction, 1.0, most);
  hd_bucket b{};
  b.cost = static_cast<__u64>(cost);
  b.burst = static_cast<__u64>(std::min(cost / unit / kFraction * static_cast<double>(burst), kMostBurst));
  return b;
}

// Without what a newer version may have set: see layout.h.
hd_port known_part(hd_port conf) {
  conf.flags &= HD_PORT_FLAGS;
  conf.reserved1 = 0;
  std::fill_n(conf.reserved2, sizeof conf.reserved2, __u8{0});
  std::fill(std::begin(conf.reserved), std::end(conf.reserved), 0U);
  return conf;
}

bool same_vlans(const hd_port& a, const hd_port& b) {
  return a.bridge == b.bridge && a.mode == b.mode && a.tag == b.tag &&
         std::memcmp(a.vlans, b.vlans, sizeof a.vlans) == 0;
}

}  // namespace

void PortTable::write_policy(const PortPolicy& policy, hd_port& conf) {
  conf.bridge = static_cast<__u16>(policy.bridge);
  conf.mode = static_cast<__u8>(policy.vlan_mode);
  conf.tag = policy.tag;
  conf.flags &= ~kPolicyFlags;
  if (policy.learning) conf.flags |= HD_LEARN;
  if (policy.protected_port) conf.flags |= HD_PROTECTED;
  if (policy.policing.bits_per_second != 0 || policy.policing.packets_per_second != 0) conf.flags |= HD_POLICED;
  std::memset(conf.vlans, 0, sizeof conf.vlans);
  const auto carry = [&](unsigned vlan) { conf.vlans[vlan / 64] |= 1ULL << vlan % 64; };
  if (policy.vlan_mode == VlanMode::access) {
    if (policy.tag <= limits::kVlanMax) carry(policy.tag);
  } else if (policy.trunks.none()) {
    std::memset(conf.vlans, 0xff, sizeof conf.vlans);
  } else {
    for (unsigned vlan = 0; vlan < policy.trunks.size(); ++vlan)
      if (policy.carries(static_cast<VlanId>(vlan))) carry(vlan);
  }
}

void PortTable::reset_slot(PortNo no) {
  const auto key = static_cast<__u32>(no);
  hd_port nobody{};
  nobody.bridge = HD_NO_BRIDGE;
  (void)programs_.ports.put(key, nobody);
  (void)programs_.drops.put(key, {});
  (void)programs_.policers.put(key, {});
  const std::vector<hd_traffic> zeros(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  bpf_map_update_elem(programs_.traffic(), &key, zeros.data(), BPF_ANY);
  events_.reset(no);
}

void PortTable::read(PortEntry& p) const {
  if (const auto conf = programs_.ports.get(static_cast<__u32>(p.no))) p.conf = *conf;
}

// Only another rate begins with a full bucket.
Result<> PortTable::write_policer(PortNo no, const Policing& policing) {
  constexpr double kBits = 8;
  constexpr double kMostOfByte = 1ULL << 43;   // 60 bit/s; packets of up to 2^20 bytes
  constexpr double kMostOfFrame = 1ULL << 47;  // 0.5 frames a second; packets of up to 2^16 frames
  const hd_policer next{bucket(policing.bits_per_second, policing.burst_bits, kBits, kMostOfByte),
                        bucket(policing.packets_per_second, policing.burst_packets, 1, kMostOfFrame),
                        {}};
  const auto key = static_cast<__u32>(no);
  const auto same = [](const hd_bucket& a, const hd_bucket& b) { return a.cost == b.cost && a.burst == b.burst; };
  const auto now = programs_.policers.get(key);
  if (now && same(now->bytes, next.bytes) && same(now->frames, next.frames) && is_unused(now->reserved)) return {};
  return programs_.policers.put(key, next);
}

void PortTable::remember(const PortEntry& p) {
  hd_name value{};
  std::strncpy(value.name, p.spec().name.c_str(), sizeof value.name - 1);
  value.kind = static_cast<__u32>(p.spec().kind);
  value.ifindex = static_cast<__u32>(p.device.hook.ifindex());
  value.made_clsact = p.device.hook.made_clsact();
  if (auto ok = programs_.names.put({static_cast<__u16>(p.no), 0}, value); !ok) spdlog::warn("{}", ok.error().text);
}

void PortTable::forget(PortNo no) { programs_.names.erase({static_cast<__u16>(no), 0}); }

// Words of an element change one by one under the programs' eyes. Where VLAN rules of a port in use change, it belongs
// to no bridge until every program that saw the old ones has ended, so that no frame is judged by half of each.
Result<> PortTable::write(PortEntry& p, const hd_port& wanted) {
  const auto key = static_cast<__u32>(p.no);
  const hd_port next = known_part(wanted);
  if (std::memcmp(&next, &p.conf, sizeof next) == 0) return {};
  if (!same_vlans(p.conf, next) && p.conf.bridge != HD_NO_BRIDGE) {
    hd_port between = p.conf;
    between.bridge = HD_NO_BRIDGE;
    if (auto ok = programs_.ports.put(key, between); !ok) return ok;
    if (next.bridge != HD_NO_BRIDGE) programs_.grace().wait();
  }
  if (next.bridge != HD_NO_BRIDGE && !same_vlans(p.conf, next)) {
    hd_port almost = next;
    almost.bridge = HD_NO_BRIDGE;
    if (auto ok = programs_.ports.put(key, almost); !ok) return ok;
  }
  if (auto ok = programs_.ports.put(key, next); !ok) return ok;
  p.conf = next;
  return {};
}

PortCounters PortTable::counters(PortNo no) const {
  PortCounters sum;
  const auto key = static_cast<__u32>(no);
  std::vector<hd_traffic> traffic(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(programs_.traffic(), &key, traffic.data()) == 0) {
    for (const hd_traffic& t : traffic) {
      sum.rx_packets += t.rx_packets;
      sum.rx_bytes += t.rx_bytes;
      sum.tx_packets += t.tx_packets;
      sum.tx_bytes += t.tx_bytes;
    }
  }
  if (const auto drops = programs_.drops.get(key)) std::copy_n(drops->count, kDropCount, sum.drops.begin());
  sum.learn_dropped = events_.learn_dropped(no);
  sum.icmp_too_big = events_.answered(no);
  return sum;
}

}  // namespace heddle::dp
