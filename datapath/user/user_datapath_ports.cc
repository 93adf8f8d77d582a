// SPDX-License-Identifier: Apache-2.0
// Ports and their devices.
#include <algorithm>

#include "base/log.h"
#include "datapath/user/tap_port.h"
#include "datapath/user/user_datapath_impl.h"

namespace heddle::dp {

UserDatapath::PortEntry* UserDatapath::find(PortNo no) {
  const auto it = ports_.find(no);
  return it == ports_.end() ? nullptr : &it->second;
}

const UserDatapath::PortEntry* UserDatapath::find(PortNo no) const {
  const auto it = ports_.find(no);
  return it == ports_.end() ? nullptr : &it->second;
}

// Round and round, so that a number is not soon another port's.
Result<PortNo> UserDatapath::free_number() {
  while (ports_.size() < limits::kPorts - 1) {
    last_number_ = static_cast<std::uint16_t>(last_number_ % (limits::kPorts - 1) + 1);
    if (!ports_.contains(static_cast<PortNo>(last_number_))) return static_cast<PortNo>(last_number_);
  }
  return fail(Errc::limit, "the switch has its most ports, " + std::to_string(limits::kPorts - 1));
}

// Fill rings may take three quarters of the packet memory; each queue's share gets smaller as there are more. 0: the
// sockets get memory of their own.
std::size_t UserDatapath::fill_share() const {
  const std::size_t most = pool_->count() * 3 / 4;
  const std::size_t left = most > filled_ ? most - filled_ : 0;
  const std::size_t fair = std::clamp<std::size_t>(pool_->count() / 8 / (queues_ + 1), 64, limits::kFill);
  return std::min(fair, left) / FramePool::kBundle * FramePool::kBundle;
}

void UserDatapath::put_conf(const PortEntry& p) {
  auto conf = std::make_shared<PortConf>();
  conf->no = p.no;
  conf->kind = p.spec.kind;
  conf->io = p.slot;
  conf->policy = p.policy;
  conf->tunnel_spec = p.spec.tunnel;
  conf->path = p.path;
  conf->flood = p.flood;
  conf->peer = peer_of(p);
  conf->shared = p.shared.get();
  const auto bridge = static_cast<std::size_t>(p.policy.bridge);
  conf->bridge = bridge < bridges_.size() ? &bridges_[bridge] : nullptr;
  if (const auto rules = rules_.find(p.policy.bridge); rules != rules_.end()) conf->rules = rules->second;
  conf->settle();
  draft_->set_port(std::move(conf));
}

Result<PortNo> UserDatapath::add_port(const PortSpec& spec) {
  if (by_name_.contains(spec.name)) return fail(Errc::exists, "port " + spec.name + " is in the switch already");
  if (spec.traits().has_peer && (spec.peer.empty() || spec.peer == spec.name))
    return fail(Errc::invalid, "patch port " + spec.name + " needs the name of another patch port (options:peer)");
  if (auto ok = begin(); !ok) return std::unexpected(ok.error());
  const auto no = free_number();
  if (!no) return no;
  PortEntry& p = ports_[*no];
  p.no = *no;
  p.spec = spec;
  p.shared = std::make_unique<PortShared>(options_.workers);
  if (spec.is_tunnel()) {
    if (auto ok = add_tunnel(p); !ok) {
      ports_.erase(*no);
      return std::unexpected(ok.error());
    }
  } else if (has_device(p)) {
    open_device(p);
  }
  by_name_[spec.name] = *no;
  {
    const std::lock_guard lock(fdb_mutex_);
    known_ports_[*no] = {p.path, spec.multipoint()};
    learners_[*no] = p.shared.get();
  }
  meet_peer(p);
  put_conf(p);
  // Nothing is forwarded by a port without a bridge: the workers hear of it with its policy, which comes next.
  if (spec.traits().has_peer) draft_->publish_addition(batching());
  return no;
}

void UserDatapath::batch_closed() {
  if (draft_) draft_->publish_deferred();
}

const KindSet& UserDatapath::kinds() const {
  static const KindSet all{PortKind::netdev, PortKind::tap, PortKind::internal, PortKind::vxlan, PortKind::patch};
  return all;
}

Result<PortNo> UserDatapath::apply(const PortConfig& config) {
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
  const PortConfig before{p.spec, p.policy, p.flood_list, p.qos_asked};
  if (auto ok = configure(p, config); !ok) {
    if (auto undo = configure(p, before); !undo)
      spdlog::warn("port {}: restoring its former settings: {}", p.spec.name, undo.error().text);
    return std::unexpected(ok.error());
  }
  return p.no;
}

Result<> UserDatapath::configure(PortEntry& p, const PortConfig& config) {
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

Result<> UserDatapath::set_port(PortNo no, const PortPolicy& policy) {
  PortEntry* p = find(no);
  if (p == nullptr) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(no)));
  if (policy.bridge != BridgeId::none && static_cast<std::size_t>(policy.bridge) >= limits::kBridges)
    return fail(Errc::invalid, "bridge number out of range");
  const bool new_rate = p->policy.policing != policy.policing;
  const PortPolicy before = std::exchange(p->policy, policy);
  put_conf(*p);
  if (before == PortPolicy{}) {
    draft_->publish_addition(batching());
  } else {
    draft_->publish();
  }
  // Not before: a worker may have been charging a frame at the old rate until now, and a slow rate charges minutes.
  if (new_rate) p->shared->policed.reset();
  return {};
}

Result<> UserDatapath::remove(PortNo no) {
  PortEntry* p = find(no);
  if (p == nullptr) return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(no)));
  {
    // The handler may be putting an entry for this port right now: from here on it finds no such port.
    const std::lock_guard lock(fdb_mutex_);
    known_ports_.erase(no);
    learners_.erase(no);
    for (std::size_t b = 0; b < bridges_.size(); ++b) bridges_[b].fdb.load(std::memory_order_relaxed)->remove_port(no);
  }
  draft_->remove_port(no);
  by_name_.erase(p->spec.name);
  meet_peer(*p);
  if (!has_device(*p)) {
    draft_->publish();
    if (p->spec.is_tunnel()) remove_tunnel(*p);
  } else {
    const bool open = p->slot != kNoIo;
    close_device(*p, "");  // publishes
    if (!open) draft_->publish();
    if (p->spec.kind == PortKind::internal) TapPort::remove(p->spec.name);
  }
  met_.erase(no);
  ports_.erase(no);
  return {};
}

void UserDatapath::clean_up() {
  while (!ports_.empty())
    if (auto r = remove(ports_.begin()->first); !r) return spdlog::error("clean-up: {}", r.error().text);
}

// A device of that name which is no tap may be one that this daemon made for another datapath, in a former life: the
// bridge has moved over to this one since.
Result<std::unique_ptr<PortIo>> UserDatapath::make_tap(const PortSpec& spec) {
  const TapConfig config{spec.name, spec.kind == PortKind::internal};
  auto tap = TapPort::open(config);
  if (tap || tap.error().code != Errc::exists || options_.owner.empty()) return tap;
  const auto link = kernel_->link(spec.name);
  if (!link || link->alias != options_.owner || link->kind == "tun") return tap;
  spdlog::warn("port {}: the {} device of that name that another datapath left is removed, with its IP addresses",
               spec.name, link->kind);
  if (auto r = kernel_->remove_link(link->index); !r) return std::unexpected(r.error());
  return TapPort::open(config);
}

Result<> UserDatapath::open_tap(PortEntry& p) {
  auto tap = make_tap(p.spec);
  if (!tap) return std::unexpected(tap.error());
  auto link = kernel_->link(p.spec.name);
  if (!link) return std::unexpected(link.error());
  if (p.spec.kind == PortKind::internal && !options_.owner.empty() && link->alias != options_.owner) {
    if (auto ok = kernel_->set_alias(link->index, options_.owner); !ok) return ok;
  }
  if (p.spec.mac && link->mac != *p.spec.mac) {
    if (auto ok = kernel_->set_mac(link->index, *p.spec.mac); !ok) return ok;
  }
  if (p.spec.mtu && link->mtu != *p.spec.mtu) {
    if (auto ok = kernel_->set_mtu(link->index, *p.spec.mtu); !ok) return ok;
  }
  p.io = std::move(*tap);
  p.link = *link;
  return {};
}

Result<> UserDatapath::open_netdev(PortEntry& p) {
  const std::string& name = p.spec.name;
  auto link = kernel_->link(name);
  if (!link) {
    if (link.error().code != Errc::not_found) return std::unexpected(link.error());
    return fail(Errc::not_found, "network device " + name + " not found: it is taken up as soon as it appears");
  }
  if (link->name == "lo") return fail(Errc::unsupported, "the loopback device cannot be a port of a bridge");
  if (link->master != 0) {
    auto master = kernel_->link(link->master);
    const std::string owner = master ? master->name : std::to_string(link->master);
    return fail(Errc::exists, "network device " + name + " belongs to " + owner + ": release it (ip link set dev " +
                                  name + " nomaster)");
  }
  // As a bridge port the device is wholly ours; what tunnels it carried go through the host's stack from now on.
  close_underlay(link->index);
  if (auto info = netlink::ethtool_info(name)) p.ethtool = *info;
  AfxdpConfig config;
  config.device = name;
  config.ifindex = link->index;
  config.mtu = std::max(link->mtu, p.spec.mtu.value_or(0));  // what mtu_request asks for is set afterwards
  config.queues = std::clamp<unsigned>(p.ethtool.rx_queues, 1, limits::kQueuesPerPort);
  if (p.ethtool.rx_queues > limits::kQueuesPerPort)
    return fail(Errc::unsupported, "network device " + name + " has " + std::to_string(p.ethtool.rx_queues) +
                                       " receive queues; lower them to " + std::to_string(limits::kQueuesPerPort) +
                                       " (ethtool -L " + name + ")");
  config.promiscuous = &promiscuous_;
  config.virtual_device = link->kind == "veth" || link->kind == "tun";
  // Devices of hosts are few, and carry what all guests send.
  if (!config.virtual_device || queues_ < XskFactory::kSharers) config.fill = fill_share();
  if (!link->admin_up) {
    if (auto ok = kernel_->set_up(link->index, true); !ok) return ok;
  }
  auto io = AfxdpPort::open(*xsks_, programs_, config);
  if (!io) return std::unexpected(io.error());
  p.io = std::move(*io);
  p.link = *link;
  if (config.fill > 0) p.sharing = config.queues;
  p.filled = config.fill * config.queues;
  queues_ += p.sharing;
  filled_ += p.filled;
  return {};
}

// Tries to take the device over; p.error says why that failed.
void UserDatapath::open_device(PortEntry& p) {
  const std::string before = std::exchange(p.error, "");
  const auto opened = p.spec.kind == PortKind::netdev ? open_netdev(p) : open_tap(p);
  Result<std::uint32_t> slot = fail(Errc::invalid, "");
  if (opened) slot = draft_->add_io(p.io, p.no, p.shared.get());
  if (!opened || !slot) {
    p.io.reset();
    p.link = {};
    p.error = opened ? slot.error().text : opened.error().text;
    if (p.error != before) spdlog::warn("port {}: {}", p.spec.name, p.error);
    if (!opened && opened.error().code == Errc::exists) retry_.add_port(p.no);
    return;
  }
  p.slot = *slot;
  if (p.qos) draft_->set_qos(p.slot, p.qos);
  if (p.spec.kind != PortKind::netdev) {
    (void)kernel_->set_up(p.link.index, true);
    if (auto info = netlink::ethtool_info(p.spec.name)) p.ethtool = *info;
  }
  auto link = kernel_->link(p.link.index);
  see_link(p, link ? *link : p.link);
  spdlog::info("port {}: device {} taken over ({})", p.spec.name, p.link.index,
               p.io->info().size() > 1 ? p.io->info()[1].second : p.io->info()[0].second);
}

// Another try for devices that somebody else held.
void UserDatapath::take_again(std::set<PortNo>& changed) {
  const auto port = [&](PortNo no) {
    PortEntry* p = find(no);
    if (p == nullptr || !has_device(*p) || p->slot != kNoIo) return;
    const std::string before = p->error;
    open_device(*p);
    if (p->slot == kNoIo) {
      if (p->error != before) changed.insert(no);
      return;
    }
    put_conf(*p);
    draft_->publish_addition(batching());
    changed.insert(no);
  };
  retry_.retry(port, [&](int ifindex) {
    if (!underlays_.contains(ifindex) && tunnels_->egress_devices().contains(ifindex)) open_underlay(ifindex);
  });
}

void UserDatapath::see_link(PortEntry& p, const netlink::Link& link) {
  p.link = link;
  p.shared->up.store(link.admin_up && link.lower_up, std::memory_order_relaxed);
  p.shared->mtu.store(link.mtu, std::memory_order_relaxed);
}

// Gives the device back. The port stays, without one, unless the draft does not have it any more.
void UserDatapath::close_device(PortEntry& p, const std::string& why) {
  p.shared->up.store(false, std::memory_order_relaxed);
  p.error = why;
  if (p.slot == kNoIo) return;
  const std::uint32_t slot = std::exchange(p.slot, kNoIo);
  if (!why.empty()) put_conf(p);
  draft_->remove_io(slot);
  if (p.spec.kind == PortKind::netdev) {
    queues_ -= std::exchange(p.sharing, 0);
    filled_ -= std::exchange(p.filled, 0);
  }
  p.rx_lost_before += p.io->rx_lost();
  p.io.reset();
  p.link = {};
}

PortState UserDatapath::state(PortNo no) const {
  PortState s;
  const PortEntry* p = find(no);
  if (p == nullptr) {
    s.error = "no such port";
    return s;
  }
  if (p->spec.is_tunnel()) s = tunnel_state(*p);
  if (p->spec.traits().has_peer) s = patch_state(*p);
  s.qos_error = p->qos_error;
  if (!has_device(*p)) return s;
  s.present = p->slot != kNoIo;
  s.error = p->error;
  s.ifindex = p->link.index;
  s.mac = p->link.mac;
  s.mtu = p->link.mtu;
  s.admin_up = p->link.admin_up;
  s.link_up = p->link.lower_up;
  s.link_speed = p->ethtool.speed_bps;
  s.full_duplex = p->ethtool.full_duplex;
  s.driver = p->ethtool.driver;
  if (p->io) s.details = p->io->info();
  return s;
}

PortCounters UserDatapath::counters(PortNo no) const {
  PortCounters sum;
  const PortEntry* p = find(no);
  if (p == nullptr) return sum;
  for (const auto& w : p->shared->worker) w.counters.add_to(sum);
  sum.drops[static_cast<std::size_t>(Drop::rx_queue_full)] += p->rx_lost_before + (p->io ? p->io->rx_lost() : 0);
  return sum;
}

}  // namespace heddle::dp
