// SPDX-License-Identifier: Apache-2.0
// Start and end of the kernel datapath, what is taken over from a former life, and the forwarding database's calls.
#include "datapath/kernel/kernel_datapath.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {
namespace {

// hdvx and a UDP port, or hd or hp and eight hexadecimal digits.
bool named_by_us(const std::string& name) {
  constexpr std::size_t kHash = 8;
  const auto only = [](std::string_view text, std::string_view allowed) {
    return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
  };
  const std::string_view rest = std::string_view(name).substr(std::min<std::size_t>(2, name.size()));
  if (!name.starts_with("hd") && !name.starts_with("hp")) return false;
  if (name.starts_with("hdvx")) return only(rest.substr(2), "0123456789");
  return rest.size() == kHash && only(rest, "0123456789abcdef");
}

}  // namespace

KernelDatapath::KernelDatapath(const KernelDatapathOptions& options) : options_(options) {}

KernelDatapath::~KernelDatapath() = default;

Result<> KernelDatapath::start() {
  auto kernel = netlink::Netlink::open();
  auto routes = netlink::Netlink::open();
  auto monitor = netlink::Monitor::open();
  if (!kernel) return std::unexpected(kernel.error());
  if (!routes) return std::unexpected(routes.error());
  if (!monitor) return std::unexpected(monitor.error());
  kernel_ = std::move(*kernel);
  kernel_routes_ = std::move(*routes);
  monitor_ = std::move(*monitor);
  pins_ = std::make_unique<Pins>(options_.bpffs, options_.owner, HD_LAYOUT);
  if (pins_->path().empty())
    spdlog::warn("kernel datapath: {}: forwarding will stop when the daemon ends or is restarted", pins_->why());
  auto programs = Programs::load(*pins_);
  if (!programs) return std::unexpected(programs.error());
  programs_ = std::move(*programs);
  remotes_ = std::make_unique<Remotes>(programs_->remotes, *kernel_routes_);
  fdb_ = std::make_unique<FdbTables>(*programs_, *pins_, *remotes_);
  floods_ = std::make_unique<FloodSets>(*programs_, options_.time != nullptr ? *options_.time : steady_);
  auto events = Events::open(*programs_, [this](PortNo no) {
    return answer_device_[static_cast<std::size_t>(no) % limits::kPorts].load(std::memory_order_relaxed);
  });
  if (!events) return std::unexpected(events.error());
  events_ = std::move(*events);
  recall();

  control_.reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  for (const int fd : {monitor_->fd(), timer_.get()}) {
    epoll_event e{};
    e.events = EPOLLIN;
    if (epoll_ctl(control_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return fail_errno(errno, "epoll");
  }
  return {};
}

// --- a former life ---

void KernelDatapath::recall() {
  if (!pins_->other_layouts().empty())
    spdlog::warn(
        "kernel datapath: the maps that an earlier version left have another layout: they are replaced, which "
        "interrupts forwarding for a moment and forgets what was learned");
  if (!programs_->taken_over()) return;
  programs_->names.for_each([this](const hd_name_key& key, const hd_name& value) {
    const std::string name(value.name, strnlen(value.name, sizeof value.name));
    if (key.is_bridge != 0) {
      former_bridges_[name] = static_cast<BridgeId>(key.number);
    } else {
      former_ports_[name] = {static_cast<PortNo>(key.number), static_cast<PortKind>(value.kind),
                             static_cast<int>(value.ifindex), value.made_clsact != 0};
    }
  });
  spdlog::info("kernel datapath: taking over {} bridges and {} ports", former_bridges_.size(), former_ports_.size());
}

// A former port's device may be another port's by now, under another name.
void KernelDatapath::take_off(const Former& former) {
  const auto uses = [&](const auto& e) { return e.second.hook.ifindex() == former.ifindex; };
  if (former.ifindex == 0 || std::ranges::any_of(ports_, uses)) return;
  free_device(former.ifindex, former.made_clsact);
}

// Takes off what an earlier daemon left on a device that is no port.
void KernelDatapath::free_device(int ifindex, bool made_clsact) const {
  drop_qdisc(ifindex);
  shut(ifindex);
  Hook::remove_left_over(*pins_, *kernel_, ifindex, made_clsact);
}

// The qdisc that an earlier daemon made goes with our filter, whichever port's name the device had then.
bool KernelDatapath::made_clsact_before(int ifindex) const {
  return std::ranges::any_of(former_ports_,
                             [&](const auto& e) { return e.second.made_clsact && e.second.ifindex == ifindex; });
}

void KernelDatapath::forget_ports() {
  for (const auto& [name, former] : former_ports_) {
    const auto no = static_cast<__u32>(former.no);
    spdlog::info("kernel datapath: port {} is not configured any more", name);
    begin_number(former.no);
    take_off(former);
    programs_->names.erase({static_cast<__u16>(no), 0});
    fdb_->remove_port(former.no);
  }
  former_ports_.clear();
}

void KernelDatapath::forget_bridges() {
  for (const auto& [name, id] : former_bridges_) {
    fdb_->remove_bridge(id);
    forget_policy(id);
    programs_->names.erase({static_cast<__u16>(id), 1});
  }
  former_bridges_.clear();
}

// Devices of ours that nobody uses, attachments to devices that are no ports, and what maps say of either.
void KernelDatapath::forget_devices() {
  std::set<int> ours;                // devices with a program
  std::set<std::string> configured;  // pairs of internal and patch ports, also of those in error
  for (const auto& [no, p] : ports_) {
    ours.insert(p.hook.ifindex());
    if (p.internal()) configured.insert({p.spec.name, back_name(p.spec.name)});
    if (p.patch()) configured.insert({p.device(), patch_name(p.spec.peer, p.spec.name)});
  }
  for (const auto& [port, device] : vxlan_) ours.insert(device.link.index);
  if (auto links = kernel_->links()) {
    for (const auto& link : *links) {
      const bool made = link.alias == options_.owner && (link.kind == "vxlan" || link.kind == "veth");
      if (made && !ours.contains(link.index) && !configured.contains(link.name)) (void)kernel_->remove_link(link.index);
    }
  }
  forget_filters(ours);
  for (const std::string& pin : pins_->names()) {
    if (!pin.starts_with("link-")) continue;
    const int ifindex = std::atoi(pin.c_str() + 5);  // NOLINT(cert-err34-c): our own file names; 0 is no device
    if (!ours.contains(ifindex)) free_device(ifindex, false);
  }
  programs_->devices.for_each([&](__u32 ifindex, __u32 /*port*/) {
    if (!ours.contains(static_cast<int>(ifindex))) programs_->devices.erase(ifindex);
  });
  programs_->strays.for_each([&](__u32 ifindex, const hd_drop_counts& /*counts*/) {
    if (!ours.contains(static_cast<int>(ifindex))) programs_->strays.erase(ifindex);
  });
  std::set<std::uint64_t> nets;
  const auto net = [](const hd_vni& n) { return std::uint64_t{n.device} << 32 | n.vni; };
  for (const auto& [no, p] : ports_)
    if (p.tunnel()) nets.insert(net(tunnel_key(p).net));
  programs_->tunnels.for_each([&](const hd_tunnel& key, __u32 port) {
    const PortEntry* p = find(static_cast<PortNo>(port));
    const bool good = p != nullptr && p->tunnel() &&
                      [&, want = tunnel_key(*p)] { return std::memcmp(&want, &key, sizeof key) == 0; }();
    if (!good) programs_->tunnels.erase(key);
  });
  programs_->vnis.for_each([&](const hd_vni& key, __u32 /*forms*/) {
    if (nets.contains(net(key)))
      write_vni(key);
    else
      programs_->vnis.erase(key);
  });
}

// Filters stay on their devices whatever becomes of pins.
void KernelDatapath::forget_filters(const std::set<int>& ours) {
  const auto links = kernel_->links();
  if (!links) return;
  for (const auto& link : *links)
    if (!ours.contains(link.index) && Hook::has_filter(*pins_, link.index)) free_device(link.index, false);
}

void KernelDatapath::settle() {
  if (std::exchange(settled_, true)) return;
  forget_ports();
  forget_devices();
  settle_qos();
  std::set<BridgeId> numbers;
  for (const auto& [name, id] : bridges_) {
    numbers.insert(id);
    if (!policies_.contains(id))
      if (auto ok = set(id, {}); !ok) spdlog::error("kernel datapath: bridge {}: {}", name, ok.error().text);
    flood(id);
  }
  floods_->drop_others(numbers);
  forget_bridges();
  auto known = fdb_->settle();
  remotes_->drop_unused();
  if (!known.empty()) spdlog::info("kernel datapath: {} stations are known from before", known.size());
  events_->adopt(std::move(known), [this](const FdbKey& key) { return !fdb_->unconfirmed(key); });
  pins_->remove_other_layouts();
}

void KernelDatapath::clean_up() {
  settle();
  while (!ports_.empty()) (void)remove(ports_.begin()->first);
  forget_devices();
  // A daemon that was killed in the act of making one had not marked it yet.
  if (const auto links = kernel_->links())
    for (const auto& link : *links)
      if (named_by_us(link.name) && may_adopt(link)) (void)kernel_->remove_link(link.index);
  pins_->remove_all();
}

// --- bridges ---

Result<BridgeId> KernelDatapath::add(const std::string& name) {
  if (bridges_.contains(name)) return fail(Errc::exists, "bridge " + name + " exists already");
  std::set<BridgeId> taken;
  for (const auto& [other, id] : bridges_) taken.insert(id);
  for (const auto& [other, id] : former_bridges_) taken.insert(id);
  std::size_t number = 0;
  while (taken.contains(static_cast<BridgeId>(number))) ++number;
  auto id = static_cast<BridgeId>(number);
  if (const auto former = former_bridges_.find(name); former != former_bridges_.end()) id = former->second;
  if (static_cast<std::size_t>(id) >= limits::kBridges)
    return fail(Errc::limit, fmt::format("bridge {}: a switch has at most {} bridges", name, limits::kBridges));
  if (auto ok = fdb_->add_bridge(id); !ok) return fail(ok.error().code, "bridge " + name + ": " + ok.error().text);
  former_bridges_.erase(name);
  bridges_[name] = id;
  hd_name value{};
  std::strncpy(value.name, name.c_str(), sizeof value.name - 1);
  if (auto ok = programs_->names.put({static_cast<__u16>(id), 1}, value); !ok) spdlog::warn("{}", ok.error().text);
  return id;
}

void KernelDatapath::remove(BridgeId bridge) {
  if (std::erase_if(bridges_, [&](const auto& b) { return b.second == bridge; }) == 0) return;
  if (auto ok = floods_->update(bridge, {}); !ok) spdlog::warn("{}", ok.error().text);
  fdb_->remove_bridge(bridge);
  forget_policy(bridge);
  programs_->names.erase({static_cast<__u16>(bridge), 1});
}

// --- handler ---

Result<> KernelDatapath::set_capacity(BridgeId bridge, std::size_t entries) {
  return fdb_->set_capacity(bridge, entries);
}
Result<> KernelDatapath::put(const FdbKey& key, const FdbTarget& target) { return fdb_->put(key, target); }
void KernelDatapath::remove(const FdbKey& key) { fdb_->remove(key); }
void KernelDatapath::usage(std::span<FdbUse> rows) const { fdb_->use(rows); }

std::size_t KernelDatapath::poll(std::span<LearnEvent> events) {
  for (const FdbKey& key : events_->take_adopted()) fdb_->withdraw_unconfirmed(key);
  return events_->poll(events);
}

Result<std::unique_ptr<Datapath>> make_kernel_datapath(const KernelDatapathOptions& options) {
  auto dp = std::make_unique<KernelDatapath>(options);
  if (auto ok = dp->start(); !ok) return std::unexpected(ok.error());
  return dp;
}

}  // namespace heddle::dp
