// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/remotes.h"

#include <cstring>

#include "base/limits.h"

namespace heddle::dp {
namespace {

bool is_set(const __u8 (&bytes)[16]) {
  constexpr std::array<__u8, 16> kZeros{};
  return std::memcmp(bytes, kZeros.data(), sizeof bytes) != 0;
}

IpAddr to_addr(const __u8 (&bytes)[16], bool v6) { return v6 ? IpAddr::v6_bytes(bytes) : IpAddr::v4_bytes(bytes); }

}  // namespace

void copy_address(__u8 (&to)[16], const std::optional<IpAddr>& from) {
  std::memset(to, 0, sizeof to);
  if (from) std::memcpy(to, from->data(), from->size());
}

Remotes::Remotes(BpfMap<__u32, hd_remote> map, netlink::Netlink& kernel) : map_(map), kernel_(kernel) {
  map_.for_each([this](__u32 number, const hd_remote& r) {
    if (number == 0 || !is_set(r.addr)) return;
    Entry& e = entries_[number];
    e.key.addr = to_addr(r.addr, r.v6 != 0);
    if (is_set(r.local)) e.key.local = to_addr(r.local, r.v6 != 0);
    e.view.usable = r.usable != 0;
    e.view.mtu = r.mtu;
    numbers_[e.key] = number;
    next_ = std::max(next_, number + 1);
  });
  for (std::uint32_t n = 1; n < next_; ++n)
    if (!entries_.contains(n)) free_.push_back(n);
}

Result<std::uint32_t> Remotes::free_number() {
  if (free_.empty() && next_ == limits::kTunnelRemotes) {
    std::vector<std::uint32_t> unused;
    for (const auto& [number, e] : entries_)
      if (e.refs == 0) unused.push_back(number);
    for (const std::uint32_t number : unused) forget(number);
  }
  if (!free_.empty()) {
    const std::uint32_t number = free_.back();
    free_.pop_back();
    return number;
  }
  if (next_ < limits::kTunnelRemotes) return next_++;
  return fail(Errc::limit, "more than " + std::to_string(limits::kTunnelRemotes - 1) + " remote VTEPs");
}

Result<std::uint32_t> Remotes::acquire(const Key& key) {
  const std::lock_guard lock(mutex_);
  if (const auto it = numbers_.find(key); it != numbers_.end()) {
    Entry& e = entries_.at(it->second);
    // Nobody cared for it meanwhile, or it is a former life's.
    if (e.refs++ == 0 || !e.asked) resolve(it->second, e);
    return it->second;
  }
  const auto number = free_number();
  if (!number) return number;
  Entry& e = entries_[*number];
  e.key = key;
  e.refs = 1;
  numbers_[key] = *number;
  resolve(*number, e);
  return *number;
}

bool Remotes::adopt(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(number);
  if (it == entries_.end()) return false;
  if (it->second.refs++ == 0) resolve(number, it->second);  // routes may have changed meanwhile
  return true;
}

// An entry without users stays until its number is needed: learned remotes come and go with their stations.
void Remotes::release(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(number);
  if (it != entries_.end() && it->second.refs > 0) --it->second.refs;
}

void Remotes::forget(std::uint32_t number) {
  const auto it = entries_.find(number);
  numbers_.erase(it->second.key);
  entries_.erase(it);
  (void)map_.put(number, {});
  free_.push_back(number);
}

void Remotes::drop_unused() {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint32_t> unused;
  for (const auto& [number, e] : entries_)
    if (e.refs == 0) unused.push_back(number);
  for (const std::uint32_t number : unused) forget(number);
}

std::optional<IpAddr> Remotes::address(std::uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(number);
  if (it == entries_.end()) return std::nullopt;
  return it->second.key.addr;
}

Remotes::View Remotes::view(std::uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(number);
  return it == entries_.end() ? View{} : it->second.view;
}

bool Remotes::empty() const {
  const std::lock_guard lock(mutex_);
  return entries_.empty();
}

// A few at a time, so that the handler need not wait for all.
bool Remotes::refresh() {
  constexpr int kAtOnce = 16;
  bool changed = false;
  std::uint32_t from = 0;
  for (bool more = true; more;) {
    const std::lock_guard lock(mutex_);
    auto it = entries_.upper_bound(from);
    for (int n = 0; n < kAtOnce && it != entries_.end(); ++n, ++it) {
      from = it->first;
      if (it->second.refs > 0) changed = resolve(it->first, it->second) || changed;
    }
    more = it != entries_.end();
  }
  return changed;
}

bool Remotes::resolve(std::uint32_t number, Entry& e) {
  View view;
  e.asked = true;
  const auto route = kernel_.route(e.key.addr, e.key.local);
  if (!route && e.key.local && route.error().code == Errc::invalid) {
    view.problem = "local_ip " + e.key.local->to_string() + " is not an address of this host";
  } else if (!route) {
    view.problem = route.error().text;
  } else if (route->unreachable) {
    view.problem = "no route to " + e.key.addr.to_string();
  } else if (route->local) {
    view.problem = "remote_ip " + e.key.addr.to_string() + " is an address of this host";
  } else {
    view.usable = true;
    view.mtu = route->mtu;
    view.local = e.key.local.value_or(route->source);
    view.ifindex = route->ifindex;
  }
  const bool changed = view.usable != e.view.usable || view.mtu != e.view.mtu || view.local != e.view.local ||
                       view.ifindex != e.view.ifindex || view.problem != e.view.problem;
  e.view = view;
  hd_remote r{};
  copy_address(r.addr, e.key.addr);
  copy_address(r.local, e.key.local);
  r.v6 = e.key.addr.is_v6();
  r.usable = view.usable;
  r.mtu = view.mtu;
  const auto now = map_.get(number);
  if (!now || std::memcmp(&*now, &r, sizeof r) != 0) (void)map_.put(number, r);
  return changed;
}

}  // namespace heddle::dp
