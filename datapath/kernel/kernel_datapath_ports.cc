// SPDX-License-Identifier: Apache-2.0
// Ports: numbers, policies, counters.
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {
namespace {

constexpr __u32 kPolicyFlags = HD_LEARN | HD_PROTECTED | HD_POLICED;

void apply_policy(hd_port& conf, const PortPolicy& policy) {
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

bool same_vlans(const hd_port& a, const hd_port& b) {
  return a.bridge == b.bridge && a.mode == b.mode && a.tag == b.tag &&
         std::memcmp(a.vlans, b.vlans, sizeof a.vlans) == 0;
}

}  // namespace

KernelDatapath::PortEntry* KernelDatapath::find(PortNo no) {
  const auto it = ports_.find(no);
  return it == ports_.end() ? nullptr : &it->second;
}

const KernelDatapath::PortEntry* KernelDatapath::find(PortNo no) const {
  const auto it = ports_.find(no);
  return it == ports_.end() ? nullptr : &it->second;
}

// Round and round, so that a number is not soon another port's.
Result<PortNo> KernelDatapath::free_number() {
  constexpr std::size_t most = limits::kPorts - 1;
  const auto full = [] {
    return fail(Errc::limit, "the switch has its most ports, " + std::to_string(limits::kPorts - 1));
  };
  if (ports_.size() + former_ports_.size() >= most) return full();
  std::set<PortNo> taken;
  for (const auto& [name, former] : former_ports_) taken.insert(former.no);
  for (std::size_t tries = 1; tries < limits::kPorts; ++tries) {
    last_number_ = static_cast<std::uint16_t>(last_number_ % most + 1);
    const auto no = static_cast<PortNo>(last_number_);
    if (!ports_.contains(no) && !taken.contains(no)) return no;
  }
  return full();
}

void KernelDatapath::begin_number(PortNo no) {
  const auto key = static_cast<__u32>(no);
  hd_port nobody{};
  nobody.bridge = HD_NO_BRIDGE;
  (void)programs_->ports.put(key, nobody);
  (void)programs_->drops.put(key, {});
  (void)programs_->policers.put(key, {});
  const std::vector<hd_traffic> zeros(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  bpf_map_update_elem(programs_->traffic(), &key, zeros.data(), BPF_ANY);
  events_->reset(no);
}

// Only another rate begins with a full bucket.
Result<> KernelDatapath::put_policer(PortNo no, const Policing& policing) {
  constexpr double kBits = 8;
  constexpr double kMostOfByte = 1ULL << 43;   // 60 bit/s; packets of up to 2^20 bytes
  constexpr double kMostOfFrame = 1ULL << 47;  // 0.5 frames a second; packets of up to 2^16 frames
  const hd_policer next{bucket(policing.bits_per_second, policing.burst_bits, kBits, kMostOfByte),
                        bucket(policing.packets_per_second, policing.burst_packets, 1, kMostOfFrame)};
  const auto key = static_cast<__u32>(no);
  const auto same = [](const hd_bucket& a, const hd_bucket& b) { return a.cost == b.cost && a.burst == b.burst; };
  const auto now = programs_->policers.get(key);
  if (now && same(now->bytes, next.bytes) && same(now->frames, next.frames)) return {};
  return programs_->policers.put(key, next);
}

void KernelDatapath::remember(const PortEntry& p) {
  hd_name value{};
  std::strncpy(value.name, p.spec.name.c_str(), sizeof value.name - 1);
  value.kind = static_cast<__u32>(p.spec.kind);
  value.ifindex = static_cast<__u32>(p.hook.ifindex());
  value.made_clsact = p.hook.made_clsact();
  if (auto ok = programs_->names.put({static_cast<__u16>(p.no), 0}, value); !ok) spdlog::warn("{}", ok.error().text);
}

// Words of an element change one by one under the programs' eyes. Where VLAN rules of a port in use change, it belongs
// to no bridge until every program that saw the old ones has ended, so that no frame is judged by half of each.
Result<> KernelDatapath::write_conf(PortEntry& p, const hd_port& next) {
  const auto key = static_cast<__u32>(p.no);
  if (std::memcmp(&next, &p.conf, sizeof next) == 0) return {};
  if (!same_vlans(p.conf, next) && p.conf.bridge != HD_NO_BRIDGE) {
    hd_port between = p.conf;
    between.bridge = HD_NO_BRIDGE;
    if (auto ok = programs_->ports.put(key, between); !ok) return ok;
    if (next.bridge != HD_NO_BRIDGE) fdb_->wait_for_programs();
  }
  if (next.bridge != HD_NO_BRIDGE && !same_vlans(p.conf, next)) {
    hd_port almost = next;
    almost.bridge = HD_NO_BRIDGE;
    if (auto ok = programs_->ports.put(key, almost); !ok) return ok;
  }
  if (auto ok = programs_->ports.put(key, next); !ok) return ok;
  p.conf = next;
  return {};
}

const KindSet& KernelDatapath::kinds() const {
  static const KindSet all{PortKind::netdev, PortKind::tap, PortKind::internal, PortKind::vxlan, PortKind::patch};
  return all;
}

Result<PortNo> KernelDatapath::apply(const PortConfig& config) {
  const auto known = by_name_.find(config.spec.name);
  if (known == by_name_.end()) {
    const auto no = add_port(config.spec);
    if (!no) return no;
    if (auto ok = configure(*find(*no), config); !ok) {
      (void)remove(*no);
      return std::unexpected(ok.error());
    }
    return no;
  }
  PortEntry& p = *find(known->second);
  if (!may_become(p.spec, config.spec))
    return fail(Errc::exists, "port " + config.spec.name + " is in the switch already, as another kind of port");
  const PortConfig before{p.spec, p.policy, p.flood_list, p.qos};
  if (auto ok = configure(p, config); !ok) {
    if (auto undo = configure(p, before); !undo)
      spdlog::warn("port {}: restoring its former settings: {}", p.spec.name, undo.error().text);
    return std::unexpected(ok.error());
  }
  return p.no;
}

Result<> KernelDatapath::configure(PortEntry& p, const PortConfig& config) {
  p.spec.mac = config.spec.mac;
  p.spec.mtu = config.spec.mtu;
  if (config.policy != p.policy)
    if (auto ok = set_port(p.no, config.policy); !ok) return ok;
  if (config.flood != p.flood_list) {
    if (auto ok = set_flood(p, config.flood); !ok) return ok;
    p.flood_list = config.flood;
  }
  set_qos(p, config.qos);
  return {};
}

Result<PortNo> KernelDatapath::add_port(const PortSpec& spec) {
  if (by_name_.contains(spec.name)) return fail(Errc::exists, "port " + spec.name + " is in the switch already");
  if (spec.name.size() >= HD_NAME)
    return fail(Errc::limit, fmt::format("port names have at most {} characters", HD_NAME - 1));
  if (spec.traits().has_peer)
    if (auto ok = check_patch(spec); !ok) return std::unexpected(ok.error());
  const auto former = former_ports_.find(spec.name);
  const bool known = former != former_ports_.end() && former->second.kind == spec.kind;
  const auto no = known ? Result<PortNo>(former->second.no) : free_number();
  if (!no) return no;
  PortEntry& p = ports_[*no];
  p.no = *no;
  p.spec = spec;
  p.policy.bridge = BridgeId::none;
  if (!known) begin_number(*no);
  if (const auto conf = programs_->ports.get(static_cast<__u32>(*no))) p.conf = *conf;
  by_name_[spec.name] = *no;
  if (p.tunnel()) {
    if (auto ok = add_tunnel(p); !ok) {
      begin_number(*no);
      programs_->names.erase({static_cast<__u16>(*no), 0});
      by_name_.erase(spec.name);
      ports_.erase(*no);
      former_ports_.erase(spec.name);
      return std::unexpected(ok.error());
    }
  } else {
    fdb_->add_port(*no, {});
    open_device(p);
    // Whoever was behind another device is not there any more.
    if (known && p.hook.ifindex() != former->second.ifindex) {
      take_off(former->second);
      fdb_->remove_port(*no);
      fdb_->add_port(*no, {});
    }
  }
  if (known) former_ports_.erase(former);
  remember(p);
  arm_timer();
  return no;
}

Result<> KernelDatapath::set_port(PortNo no, const PortPolicy& policy) {
  PortEntry* p = find(no);
  if (p == nullptr) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(no)));
  if (policy.bridge != BridgeId::none && static_cast<std::size_t>(policy.bridge) >= limits::kBridges)
    return fail(Errc::invalid, "bridge number out of range");
  hd_port next = p->conf;
  apply_policy(next, policy);
  apply_bridge(*p, next);
  if (auto ok = put_policer(no, policy.policing); !ok) return ok;
  if (auto ok = write_conf(*p, next); !ok) return ok;
  const BridgeId before = std::exchange(p->policy, policy).bridge;
  if (before == BridgeId::none) {
    flood_soon(policy.bridge);
    return {};
  }
  flood(policy.bridge);
  if (before != policy.bridge) flood(before);
  return {};
}

// For what only adds to the sets.
void KernelDatapath::flood_soon(BridgeId bridge) {
  if (batching())
    to_flood_.insert(bridge);
  else
    flood(bridge);
}

void KernelDatapath::batch_closed() {
  while (!to_flood_.empty()) flood(*to_flood_.begin());
}

// During a take-over the sets stay as they were until all ports are there again.
void KernelDatapath::flood(BridgeId bridge) {
  to_flood_.erase(bridge);
  if (bridge == BridgeId::none || (!settled_ && programs_->taken_over())) return;
  std::vector<FloodSets::Member> members;
  for (const auto& [no, p] : ports_) {
    if (p.policy.bridge != bridge || (p.conf.flags & HD_RESERVED) != 0) continue;
    if (!p.tunnel() && p.hook.ifindex() == 0) continue;  // until there is a device: open_device()
    FloodSets::Member m{p.policy, {}};
    const auto number = static_cast<hd_target>(no);
    if (!p.multipoint()) m.targets.push_back(number | p.remote << 16);
    for (const std::uint32_t remote : p.flood) m.targets.push_back(number | remote << 16);
    members.push_back(std::move(m));
  }
  if (auto ok = floods_->update(bridge, members); !ok)
    spdlog::error("kernel datapath: flood sets of bridge number {}: {}", static_cast<int>(bridge), ok.error().text);
}

Result<> KernelDatapath::set_flood(PortEntry& p, std::span<const IpAddr> remotes) {
  if (!p.multipoint())
    return fail(Errc::invalid, "a flood list needs a multipoint tunnel port (options:remote_ip=flow)");
  if (remotes.size() > limits::kFloodList)
    return fail(Errc::limit, "flood list of " + std::to_string(remotes.size()) + " remotes: at most " +
                                 std::to_string(limits::kFloodList));
  std::vector<std::uint32_t> next;
  for (const IpAddr& remote : remotes) {
    const auto number = remotes_->acquire({remote, p.spec.tunnel.local});
    if (!number) {
      for (const std::uint32_t n : next) remotes_->release(n);
      return std::unexpected(number.error());
    }
    next.push_back(*number);
  }
  std::swap(p.flood, next);
  flood(p.policy.bridge);
  for (const std::uint32_t n : next) remotes_->release(n);
  return {};
}

Result<> KernelDatapath::remove(PortNo no) {
  PortEntry* p = find(no);
  if (p == nullptr) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(no)));
  (void)set_port(no, [] {
    PortPolicy nowhere;
    nowhere.bridge = BridgeId::none;
    return nowhere;
  }());
  fdb_->remove_port(no);
  if (p->tunnel()) {
    remove_tunnel(*p);
  } else {
    const std::string back = p->back.name;
    close_device(*p, "");
    if (p->internal()) remove_internal(p->spec.name, back);
    if (p->patch()) remove_patch(*p);
  }
  begin_number(no);
  programs_->names.erase({static_cast<__u16>(no), 0});
  by_name_.erase(p->spec.name);
  ports_.erase(no);
  return {};
}

PortState KernelDatapath::state(PortNo no) const {
  PortState s;
  const PortEntry* p = find(no);
  if (p == nullptr) {
    s.error = "no such port";
    return s;
  }
  if (p->tunnel()) s = tunnel_state(*p);
  if (p->patch()) s = patch_state(*p);
  s.qos_error = p->qos_error;
  if (p->tunnel() || p->patch()) return s;
  s.present = p->hook.ifindex() != 0;
  s.error = p->error;
  // A device in another namespace is that one's to look after; we see its address at most.
  s.ifindex = p->moved ? 0 : p->link.index;
  s.mac = p->moved ? MacAddr{} : p->link.mac;
  s.mtu = p->moved ? 0 : p->link.mtu;
  s.admin_up = p->link.admin_up;
  s.link_up = p->link.lower_up;
  s.link_speed = p->ethtool.speed_bps;
  s.full_duplex = p->ethtool.full_duplex;
  s.driver = p->ethtool.driver;
  if (!s.present) return s;
  const char* output = (p->conf.flags & HD_INWARD) != 0 ? "ingress"
                       : (p->conf.flags & HD_PEER) != 0 ? "peer"
                                                        : "device";
  s.details = {{"tc_hook", p->hook.kind()}, {"output", output}};
  if (p->shaped) s.details.emplace_back("qos", "htb");
  if (!p->qos_error.empty()) s.details.emplace_back("qos_error", p->qos_error);
  if (p->moved) s.details.emplace_back("moved", "the device is in another network namespace");
  return s;
}

PortCounters KernelDatapath::counters(PortNo no) const {
  PortCounters sum;
  const PortEntry* p = find(no);
  if (p == nullptr) return sum;
  const auto key = static_cast<__u32>(no);
  std::vector<hd_traffic> traffic(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(programs_->traffic(), &key, traffic.data()) == 0) {
    for (const hd_traffic& t : traffic) {
      sum.rx_packets += t.rx_packets;
      sum.rx_bytes += t.rx_bytes;
      sum.tx_packets += t.tx_packets;
      sum.tx_bytes += t.tx_bytes;
    }
  }
  if (const auto drops = programs_->drops.get(key)) std::copy_n(drops->count, kDropCount, sum.drops.begin());
  sum.drops[static_cast<std::size_t>(Drop::shaped)] += shaped_drops(*p);
  sum.learn_dropped = events_->learn_dropped(no);
  sum.icmp_too_big = events_->answered(no);
  return sum;
}

}  // namespace heddle::dp
