// SPDX-License-Identifier: Apache-2.0
// A Datapath without packets, for tests of the layers above the seam: plain maps under one lock, so any thread may
// call. Tests simulate the outside: source_seen() is a received frame, device() a network device that is added, changed
// or removed.
#pragma once

#include <sys/eventfd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "datapath/datapath.h"

namespace heddle::test {

class FakeDatapath final : public dp::Datapath, private dp::Ports, private dp::Bridges, private dp::Stations {
 public:
  // `first_ifindex`: what its own devices' numbers begin with, so that those of two datapaths differ.
  explicit FakeDatapath(const TimeSource& time, int first_ifindex = 1000)
      : time_(time), first_ifindex_(first_ifindex) {}

  // --- simulated outside ---
  // Larger tables fail from now on, as without memory.
  void limit_fdb(std::size_t most) {
    const std::lock_guard lock(mutex_);
    fdb_most_ = most;
  }
  // Whether the bridge of this name can neither be made nor changed from now on.
  void refuse_bridge(const std::string& name, bool refuse) {
    const std::lock_guard lock(mutex_);
    if (refuse)
      refused_bridges_.insert(name);
    else
      refused_bridges_.erase(name);
  }
  // Whether the port of this name can neither be made nor changed from now on; it can be taken out of its bridge.
  void refuse_port(const std::string& name, bool refuse) {
    const std::lock_guard lock(mutex_);
    if (refuse)
      refused_ports_.insert(name);
    else
      refused_ports_.erase(name);
  }
  void source_seen(dp::FdbKey key, dp::FdbTarget target) {
    const std::lock_guard lock(mutex_);
    const auto it = fdb_.find(key);
    if (it != fdb_.end() && it->second.target == target) {
      it->second.seen = time_.now();
      return;
    }
    events_.push_back({key, target});
    eventfd_write(events_fd_.get(), 1);
  }
  void device(const std::string& name, std::optional<dp::PortState> state) {
    const std::lock_guard lock(mutex_);
    if (state) {
      state->present = true;
      devices_[name] = *state;
    } else {
      devices_.erase(name);
    }
    for (const auto& [number, port] : ports_)
      if (port.spec.name == name) changed_.insert(number);
    eventfd_write(control_fd_.get(), 1);
  }
  // Changes a device like `ip link set`.
  void set_device(int ifindex, std::optional<MacAddr> mac, std::optional<unsigned> mtu) {
    const std::lock_guard lock(mutex_);
    for (auto& [name, state] : devices_)
      if (state.ifindex == ifindex && mtu) state.mtu = *mtu;
    const auto own = ports_.find(static_cast<dp::PortNo>(ifindex - first_ifindex_));
    if (own == ports_.end()) return;
    dp::PortSpec& spec = own->second.spec;
    if (mac) spec.mac = mac;
    if (mtu) spec.mtu = mtu;
  }
  void count(dp::PortNo port, const dp::PortCounters& counters) {
    const std::lock_guard lock(mutex_);
    ports_.at(port).counters = counters;
  }
  void count_queue(dp::PortNo port, std::uint32_t queue, const dp::QueueCounters& counters) {
    const std::lock_guard lock(mutex_);
    ports_.at(port).queues[queue] = counters;
  }
  void count_mirror(dp::BridgeId bridge, unsigned slot, const dp::MirrorCounters& counters) {
    const std::lock_guard lock(mutex_);
    mirrored_[{bridge, slot}] = counters;
  }
  dp::BridgePolicy bridge_policy(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto it = bridge_policies_.find(bridges_.at(name));
    return it == bridge_policies_.end() ? dp::BridgePolicy{} : it->second;
  }
  std::size_t bridge_calls() const {
    const std::lock_guard lock(mutex_);
    return bridge_calls_;
  }
  struct Port {
    dp::PortSpec spec;
    dp::PortPolicy policy;
    std::vector<IpAddr> flood;
    dp::PortCounters counters;
    std::optional<dp::QosSpec> qos;
    std::string qos_error;
    std::map<std::uint32_t, dp::QueueCounters> queues;
  };
  std::map<std::string, Port> all_ports() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, Port> out;
    for (const auto& [number, port] : ports_) out[port.spec.name] = port;
    return out;
  }
  dp::PortNo number(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, port] : ports_)
      if (port.spec.name == name) return number;
    return dp::PortNo::none;
  }
  std::map<dp::FdbKey, dp::FdbTarget> fdb() const {
    const std::lock_guard lock(mutex_);
    std::map<dp::FdbKey, dp::FdbTarget> out;
    for (const auto& [key, entry] : fdb_) out[key] = entry.target;
    return out;
  }
  // The number that an earlier daemon gave to the bridge of this name.
  void remember_bridge(const std::string& name, dp::BridgeId id) {
    const std::lock_guard lock(mutex_);
    former_bridges_[name] = id;
  }
  // An entry of an earlier daemon. settle() lets it be reported; it is removed unless it is put before the next poll.
  void remember_entry(const dp::FdbKey& key, const dp::FdbTarget& target) {
    const std::lock_guard lock(mutex_);
    fdb_[key] = {target, time_.now()};
    former_.push_back({key, target});
  }
  std::map<std::string, dp::BridgeId> all_bridges() const {
    const std::lock_guard lock(mutex_);
    return bridges_;
  }
  // The caller's violations of the seam's rules.
  std::vector<std::string> complaints() const {
    const std::lock_guard lock(mutex_);
    return complaints_;
  }
  bool settled() const {
    const std::lock_guard lock(mutex_);
    return settled_;
  }
  bool cleaned_up() const {
    const std::lock_guard lock(mutex_);
    return cleaned_up_;
  }
  std::size_t add_calls() const {
    const std::lock_guard lock(mutex_);
    return add_calls_;
  }
  std::size_t state_calls() const {
    const std::lock_guard lock(mutex_);
    return state_calls_;
  }
  // Number of changes of existing ports.
  std::size_t set_calls() const {
    const std::lock_guard lock(mutex_);
    return apply_calls_ - add_calls_;
  }

  dp::Ports& ports() override { return *this; }
  dp::Bridges& bridges() override { return *this; }
  dp::Stations& stations() override { return *this; }

  // --- control thread: Bridges, Ports and lifecycle ---
  Result<dp::BridgeId> add(const std::string& name) override {
    const std::lock_guard lock(mutex_);
    if (bridges_.contains(name)) return fail(Errc::exists, "bridge " + name + " exists already");
    if (refused_bridges_.contains(name)) return fail(Errc::limit, "no memory");
    std::set<dp::BridgeId> used;
    for (const auto* numbers : {&bridges_, &former_bridges_})
      for (const auto& [other, id] : *numbers) used.insert(id);
    std::uint16_t n = 0;
    while (used.contains(static_cast<dp::BridgeId>(n))) ++n;
    const auto former = former_bridges_.find(name);
    if (former == former_bridges_.end() && n >= limits::kBridges)
      return fail(Errc::limit, "a switch has at most " + std::to_string(limits::kBridges) + " bridges");
    const auto id = former == former_bridges_.end() ? static_cast<dp::BridgeId>(n) : former->second;
    bridges_[name] = id;
    return id;
  }
  void remove(dp::BridgeId bridge) override {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, port] : ports_)
      if (port.policy.bridge == bridge) complaints_.push_back("remove_bridge: port " + port.spec.name + " is in it");
    const auto gone = [&](const auto& item) { return item.second == bridge; };
    if (std::erase_if(bridges_, gone) == 0) complaints_.push_back("remove_bridge: no such bridge");
    std::erase_if(former_bridges_, gone);
    std::erase_if(fdb_, [&](const auto& item) { return item.first.bridge == bridge; });
    capacity_.erase(bridge);
    bridge_policies_.erase(bridge);
  }
  Result<> set(dp::BridgeId bridge, const dp::BridgePolicy& policy) override {
    const std::lock_guard lock(mutex_);
    const auto it = std::ranges::find(bridges_, bridge, [](const auto& item) { return item.second; });
    if (it == bridges_.end()) return fail(Errc::invalid, "no such bridge");
    if (refused_bridges_.contains(it->first)) return fail(Errc::limit, "no memory");
    bridge_policies_[bridge] = policy;
    ++bridge_calls_;
    return {};
  }
  dp::MirrorCounters mirror_counters(dp::BridgeId bridge, unsigned slot) const override {
    const std::lock_guard lock(mutex_);
    const auto it = mirrored_.find({bridge, slot});
    return it == mirrored_.end() ? dp::MirrorCounters{} : it->second;
  }
  void settle() override {
    const std::lock_guard lock(mutex_);
    if (settled_) complaints_.emplace_back("settle: called twice");
    settled_ = true;
    for (const dp::LearnEvent& event : former_) events_.push_back(event);
    eventfd_write(events_fd_.get(), 1);
  }
  void clean_up() override {
    const std::lock_guard lock(mutex_);
    cleaned_up_ = true;
  }
  const dp::KindSet& kinds() const override { return kinds_; }
  Result<dp::PortNo> apply(const dp::PortConfig& config) override {
    const std::lock_guard lock(mutex_);
    ++apply_calls_;
    const std::string& name = config.spec.name;
    if (config.policy.bridge != dp::BridgeId::none && !has_bridge(config.policy.bridge))
      return fail(Errc::invalid, "port " + name + ": no such bridge");
    if (config.policy.bridge != dp::BridgeId::none && refused_ports_.contains(name))
      return fail(Errc::limit, "port " + name + ": no memory");
    const auto it = std::ranges::find(ports_, name, [](const auto& item) { return item.second.spec.name; });
    std::uint16_t number = 1;
    if (it != ports_.end()) {
      if (!dp::may_become(it->second.spec, config.spec)) return fail(Errc::exists, "port " + name + " exists already");
      number = static_cast<std::uint16_t>(it->first);
    } else {
      ++add_calls_;
      while (ports_.contains(static_cast<dp::PortNo>(number))) ++number;
      if (number >= limits::kPorts) return fail(Errc::limit, "no port number left");
      ports_[static_cast<dp::PortNo>(number)].spec = config.spec;
    }
    Port& port = ports_[static_cast<dp::PortNo>(number)];
    port.policy = config.policy;
    port.flood = config.flood;
    const auto possible = config.qos ? dp::check_qos(port.spec, *config.qos) : Result<>{};
    port.qos_error = possible ? "" : possible.error().text;
    port.qos = possible ? config.qos : std::nullopt;
    return static_cast<dp::PortNo>(number);
  }
  Result<> remove(dp::PortNo number) override {
    const std::lock_guard lock(mutex_);
    if (ports_.erase(number) == 0) return fail(Errc::not_found, "no such port");
    std::erase_if(fdb_, [&](const auto& item) { return item.second.target.port == number; });
    return {};
  }
  std::map<std::uint32_t, dp::QueueCounters> queue_counters(dp::PortNo number) const override {
    const std::lock_guard lock(mutex_);
    const auto it = ports_.find(number);
    return it == ports_.end() ? std::map<std::uint32_t, dp::QueueCounters>{} : it->second.queues;
  }
  dp::PortState state(dp::PortNo number) const override {
    const std::lock_guard lock(mutex_);
    ++state_calls_;
    const auto it = ports_.find(number);
    if (it == ports_.end()) return {};
    const dp::PortSpec& spec = it->second.spec;
    if (const auto device = devices_.find(spec.name); device != devices_.end()) return device->second;
    dp::PortState state;
    if (spec.kind == dp::PortKind::netdev) {
      state.error = "network device " + spec.name + " not found: it will be taken up when it appears";
      return state;
    }
    state.present = state.admin_up = state.link_up = true;
    state.qos_error = it->second.qos_error;
    state.ifindex = spec.traits().has_device ? first_ifindex_ + static_cast<int>(number) : 0;
    state.mac = spec.mac.value_or(MacAddr{});
    state.mtu = spec.mtu.value_or(1500);
    return state;
  }
  dp::PortCounters counters(dp::PortNo number) const override {
    const std::lock_guard lock(mutex_);
    const auto it = ports_.find(number);
    return it == ports_.end() ? dp::PortCounters{} : it->second.counters;
  }
  int control_fd() const override { return control_fd_.get(); }
  void run_control(const std::function<void(dp::PortNo)>& changed) override {
    std::set<dp::PortNo> now;
    {
      const std::lock_guard lock(mutex_);
      eventfd_t ignored = 0;
      eventfd_read(control_fd_.get(), &ignored);
      now.swap(changed_);
    }
    for (const dp::PortNo number : now) changed(number);
  }

  // --- FDB thread: Stations ---
  Result<> set_capacity(dp::BridgeId bridge, std::size_t entries) override {
    const std::lock_guard lock(mutex_);
    if (!has_bridge(bridge)) return fail(Errc::invalid, "no such bridge");
    if (entries > fdb_most_) return fail(Errc::limit, "no memory for " + std::to_string(entries) + " entries");
    capacity_[bridge] = entries;
    return {};
  }
  Result<> put(const dp::FdbKey& key, const dp::FdbTarget& target) override {
    const std::lock_guard lock(mutex_);
    if (!ports_.contains(target.port)) return fail(Errc::not_found, "no such port");
    if (!fdb_.contains(key)) {
      std::size_t held = 0;
      for (auto it = fdb_.lower_bound({key.bridge, 0, {}}); it != fdb_.end() && it->first.bridge == key.bridge; ++it)
        ++held;
      const auto room = capacity_.find(key.bridge);
      if (held >= (room == capacity_.end() ? limits::kFdbDefault : room->second))
        return fail(Errc::limit, "table is full");
    }
    fdb_[key] = {target, time_.now()};
    std::erase_if(reported_, [&](const dp::FdbKey& k) { return k == key; });
    std::erase_if(former_, [&](const dp::LearnEvent& e) { return e.key == key; });
    return {};
  }
  void remove(const dp::FdbKey& key) override {
    const std::lock_guard lock(mutex_);
    fdb_.erase(key);
  }
  void usage(std::span<dp::FdbUse> rows) const override {
    const std::lock_guard lock(mutex_);
    for (dp::FdbUse& row : rows) {
      const auto it = fdb_.find(row.key);
      row.idle_seconds = UINT32_MAX;
      if (it != fdb_.end())
        row.idle_seconds = static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::seconds>(time_.now() - it->second.seen).count());
    }
  }
  std::size_t poll(std::span<dp::LearnEvent> events) override {
    const std::lock_guard lock(mutex_);
    for (const dp::FdbKey& key : reported_) fdb_.erase(key);
    reported_.clear();
    std::size_t n = 0;
    for (; n < events.size() && !events_.empty(); ++n) {
      events[n] = events_.front();
      events_.pop_front();
      if (std::ranges::any_of(former_, [&](const dp::LearnEvent& e) { return e.key == events[n].key; }))
        reported_.push_back(events[n].key);
    }
    eventfd_t ignored = 0;
    if (events_.empty()) eventfd_read(events_fd_.get(), &ignored);
    return n;
  }
  int event_fd() const override { return events_fd_.get(); }

 private:
  bool has_bridge(dp::BridgeId id) const {
    return std::ranges::any_of(bridges_, [id](const auto& item) { return item.second == id; });
  }

  struct Entry {
    dp::FdbTarget target;
    TimePoint seen;
  };
  const TimeSource& time_;
  const int first_ifindex_;
  std::set<std::string> refused_bridges_;
  std::set<std::string> refused_ports_;
  mutable std::mutex mutex_;
  std::map<std::string, dp::BridgeId> bridges_;
  std::map<std::string, dp::BridgeId> former_bridges_;
  std::vector<std::string> complaints_;
  bool settled_ = false;
  mutable std::size_t state_calls_ = 0;
  bool cleaned_up_ = false;
  std::size_t fdb_most_ = limits::kFdbMax;
  std::map<dp::PortNo, Port> ports_;
  std::map<std::string, dp::PortState> devices_;
  std::set<dp::PortNo> changed_;
  std::map<dp::FdbKey, Entry> fdb_;
  std::map<dp::BridgeId, std::size_t> capacity_;
  std::deque<dp::LearnEvent> events_;
  std::vector<dp::LearnEvent> former_;  // not put yet
  std::vector<dp::FdbKey> reported_;    // keys of former_ that the last poll reported
  std::map<dp::BridgeId, dp::BridgePolicy> bridge_policies_;
  std::map<std::pair<dp::BridgeId, unsigned>, dp::MirrorCounters> mirrored_;
  std::size_t bridge_calls_ = 0;
  std::size_t add_calls_ = 0;
  std::size_t apply_calls_ = 0;
  const dp::KindSet kinds_ = [] {
    const auto all = dp::all_kinds();
    return dp::KindSet(all.begin(), all.end());
  }();
  Fd events_fd_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  Fd control_fd_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
};

}  // namespace heddle::test
