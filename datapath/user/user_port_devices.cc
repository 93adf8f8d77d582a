// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/user_port_devices.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "datapath/control/netdev.h"

namespace heddle::dp {

const UserPortDevices::Device* UserPortDevices::find(PortNo no) const {
  const auto it = devices_.find(no);
  return it == devices_.end() ? nullptr : &it->second;
}

void UserPortDevices::add(PortNo no, const PortSpec& spec, PortShared& shared) {
  Device& d = devices_[no];
  d.spec = spec;
  d.shared = &shared;
  open(no, d);
}

void UserPortDevices::remove(PortNo no) {
  const auto it = devices_.find(no);
  if (it == devices_.end()) return;
  Device& d = it->second;
  const bool elsewhere = d.moved;  // and a device of that name here is another
  if (elsewhere) d.open.io->end_device();
  if (!close(no, d, "")) workers_.draft().publish();
  if (!elsewhere) PortKinds::discard(d.spec);
  devices_.erase(it);
}

void UserPortDevices::set_spec(PortNo no, const PortSpec& spec) {
  if (const auto it = devices_.find(no); it != devices_.end()) it->second.spec = spec;
}

void UserPortDevices::set_qos(PortNo no, std::shared_ptr<const QosConf> qos) {
  const auto it = devices_.find(no);
  if (it == devices_.end()) return;
  Device& d = it->second;
  const bool had = std::exchange(d.qos, std::move(qos)) != nullptr;
  if (d.slot == kNoIo || (!had && !d.qos)) return;
  workers_.draft().set_qos(d.slot, d.qos);
  workers_.draft().publish();
}

std::uint32_t UserPortDevices::slot(PortNo no) const {
  const Device* d = find(no);
  return d == nullptr ? kNoIo : d->slot;
}

void UserPortDevices::add_state(PortNo no, PortState& state) const {
  const Device* d = find(no);
  if (d == nullptr) return;
  state.present = d->slot != kNoIo;
  state.error = d->error;
  state.moved = d->moved;
  const netlink::Link link = d->moved ? kinds_.look_elsewhere(*d->open.io) : d->open.link;
  state.ifindex = d->moved ? 0 : link.index;
  state.mac = link.mac;
  state.mtu = link.mtu;
  state.admin_up = link.admin_up;
  state.link_up = link.lower_up;
  state.link_speed = d->open.ethtool.speed_bps;
  state.full_duplex = d->open.ethtool.full_duplex;
  state.driver = d->open.ethtool.driver;
  if (d->open.io) state.details = d->open.io->info();
  if (d->moved) state.details.emplace_back("moved", "the device is in another network namespace");
}

void UserPortDevices::add_counters(PortNo no, PortCounters& sum) const {
  const Device* d = find(no);
  if (d == nullptr) return;
  sum.drops[static_cast<std::size_t>(Drop::rx_queue_full)] +=
      d->rx_lost_before + (d->open.io ? d->open.io->rx_lost() : 0);
  kinds_.add_card_errors(d->open.link, sum);
}

bool UserPortDevices::has(const std::string& device) const {
  return std::ranges::any_of(devices_, [&](const auto& e) { return e.second.spec.name == device; });
}

// Tries to take the device over; d.error has the reason when that fails.
bool UserPortDevices::open(PortNo no, Device& d) {
  const std::string before = std::exchange(d.error, "");
  OpenDevice opened;
  const auto ok = kinds_.open(d.spec, opened);
  Result<std::uint32_t> slot = fail(Errc::invalid, "");
  if (ok) slot = workers_.draft().add_io(opened.io, no, d.shared);
  if (!opened.ethtool.driver.empty()) d.open.ethtool = opened.ethtool;
  if (!ok || !slot) {
    d.error = ok ? slot.error().text : ok.error().text;
    if (d.error != before) spdlog::warn("port {}: {}", d.spec.name, d.error);
    if (!ok && ok.error().code == Errc::exists) retry_.add_port(no);
    return false;
  }
  d.open = std::move(opened);
  d.slot = *slot;
  if (d.qos) workers_.draft().set_qos(d.slot, d.qos);
  see(d, d.open.link);
  const auto info = d.open.io->info();
  spdlog::info("port {}: device {} taken over ({})", d.spec.name, d.open.link.index,
               info.size() > 1 ? info[1].second : info[0].second);
  return true;
}

// For a port that is in the draft already.
void UserPortDevices::reopen(PortNo no, Device& d) {
  if (!open(no, d)) return;
  workers_.draft().set_slot(no, d.slot);
  workers_.draft().publish_addition(true);
}

void UserPortDevices::see(Device& d, const netlink::Link& link) {
  d.open.link = link;
  d.shared->up.store(link.admin_up && link.lower_up, std::memory_order_relaxed);
  d.shared->mtu.store(link.mtu, std::memory_order_relaxed);
}

// No news come from another namespace: whether the device takes a frame is asked with each.
void UserPortDevices::see_moved(Device& d) {
  d.moved = true;
  d.alias = d.open.link.alias;
  d.open.link = {};
  d.shared->up.store(true, std::memory_order_relaxed);
  d.shared->mtu.store(UINT16_MAX, std::memory_order_relaxed);
}

// Gives the device back, and publishes. False: there was none.
bool UserPortDevices::close(PortNo no, Device& d, const std::string& why) {
  d.shared->up.store(false, std::memory_order_relaxed);
  d.moved = false;
  d.error = why;
  if (d.slot == kNoIo) return false;
  workers_.draft().set_slot(no, kNoIo);
  workers_.draft().remove_io(std::exchange(d.slot, kNoIo));
  d.rx_lost_before += d.open.io->rx_lost();
  d.open.io.reset();
  d.open.share = {};
  d.open.link = {};
  return true;
}

void UserPortDevices::on_link(const netlink::Link& link, std::set<PortNo>& changed) {
  for (auto& [no, d] : devices_) {
    const bool ours = d.open.link.index == link.index && link.index != 0;
    const bool named = d.spec.name == link.name;
    if (ours && !named) {
      close(no, d, renamed_text(d.spec.name, link.name));
    } else if (ours && take_new_queues(no, d)) {
      spdlog::info("port {}: device {} has another number of queues", d.spec.name, link.index);
    } else if (ours && d.open.link != link) {
      see(d, link);
    } else if (named && !ours && (!d.moved || link.alias == d.alias)) {
      if (d.moved) spdlog::info("port {}: its device is back", d.spec.name);
      close(no, d, "replaced");
      reopen(no, d);
    } else {
      continue;
    }
    changed.insert(no);
  }
}

// A queue that came after the device was opened has no socket of ours: its frames would be lost.
bool UserPortDevices::take_new_queues(PortNo no, Device& d) {
  if (d.slot == kNoIo || d.moved || !kinds_.has_other_queues(d.spec, *d.open.io)) return false;
  close(no, d, "its queues changed");
  reopen(no, d);
  return true;
}

void UserPortDevices::check_queues(std::set<PortNo>& changed) {
  for (auto& [no, d] : devices_)
    if (take_new_queues(no, d)) changed.insert(no);
}

void UserPortDevices::on_link_gone(const netlink::Link& link, std::set<PortNo>& changed) {
  for (auto& [no, d] : devices_) {
    if (d.open.link.index != link.index || link.index == 0) continue;
    if (d.open.io->place()) {
      see_moved(d);
      spdlog::info("port {}: its device is in another namespace now", d.spec.name);
      changed.insert(no);
      continue;
    }
    close(no, d, gone_text(d.spec.name));
    spdlog::warn("port {}: {}", d.spec.name, d.error);
    if (d.spec.traits().made_by_us) reopen(no, d);
    changed.insert(no);
  }
}

bool UserPortDevices::try_again(PortNo no) {
  const auto it = devices_.find(no);
  if (it == devices_.end() || it->second.slot != kNoIo) return false;
  const std::string before = it->second.error;
  reopen(no, it->second);
  return it->second.error != before;
}

std::vector<netlink::Link> UserPortDevices::held_links() const {
  std::vector<netlink::Link> out;
  for (const auto& [no, d] : devices_)
    if (d.open.link.index != 0) out.push_back(d.open.link);
  return out;
}

std::set<int> UserPortDevices::host_devices() const {
  std::set<int> out;
  for (const auto& [no, d] : devices_)
    if (d.open.link.index != 0 && d.open.io->host_side()) out.insert(d.open.link.index);
  return out;
}

}  // namespace heddle::dp
