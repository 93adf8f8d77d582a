// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/remote_vteps.h"

#include <array>
#include <cstring>
#include <utility>

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

RemoteVteps::RemoteVteps(const Programs& programs, netlink::Netlink& kernel)
    : map_(programs.remotes), grace_(programs.grace()), kernel_(kernel) {
  map_.for_each([this](__u32 number, const hd_remote& r) {
    if (number == 0 || !is_set(r.addr)) return;
    Key key{to_addr(r.addr, r.v6 != 0), std::nullopt};
    if (is_set(r.local)) key.local = to_addr(r.local, r.v6 != 0);
    Entry& e = numbers_.take_over(number, key);
    e.route.usable = r.usable != 0;
    e.route.mtu = r.mtu;
  });
  numbers_.close_gaps();
}

Result<std::uint32_t> RemoteVteps::acquire(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto acquired = numbers_.acquire(key, [this](std::uint32_t number, const Entry&) { forget(number); });
  if (!acquired) return std::unexpected(acquired.error());
  if (acquired->fresh && std::exchange(freed_, false)) grace_.wait();
  // Routes were not followed while the number had no user, or it is a former life's.
  if (acquired->unused || !acquired->entry->asked) resolve(acquired->number, *acquired->entry);
  return acquired->number;
}

bool RemoteVteps::adopt(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto adopted = numbers_.adopt(number);
  if (adopted.entry == nullptr) return false;
  if (adopted.unused) resolve(number, *adopted.entry);  // routes may have changed meanwhile
  return true;
}

void RemoteVteps::release(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  numbers_.release(number);
}

void RemoteVteps::drop_unused() {
  const std::lock_guard lock(mutex_);
  numbers_.drop_unused([this](std::uint32_t number, const Entry&) { forget(number); });
}

void RemoteVteps::forget(std::uint32_t number) {
  (void)map_.put(number, {});
  freed_ = true;
}

std::optional<IpAddr> RemoteVteps::address(std::uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const Entry* e = numbers_.find(number);
  if (e == nullptr) return std::nullopt;
  return e->key.addr;
}

Route RemoteVteps::route(std::uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const Entry* e = numbers_.find(number);
  return e == nullptr ? Route{} : e->route;
}

bool RemoteVteps::takes_more_than(unsigned mtu, const IpAddr& address) const {
  const std::lock_guard lock(mutex_);
  bool any = false;
  numbers_.for_each([&](std::uint32_t /*number*/, const Entry& e, unsigned users) {
    any = any || (users > 0 && e.key.addr == address && e.route.usable && e.route.mtu > mtu);
  });
  return any;
}

// A few at a time, so that the handler need not wait for all.
bool RemoteVteps::refresh() {
  constexpr int kAtOnce = 16;
  bool changed = false;
  std::uint32_t from = 0;
  do {
    const std::lock_guard lock(mutex_);
    from = numbers_.for_some(from, kAtOnce, [&](std::uint32_t number, Entry& e, unsigned users) {
      if (users > 0) changed = resolve(number, e) || changed;
    });
  } while (from != 0);
  return changed;
}

bool RemoteVteps::resolve(std::uint32_t number, Entry& e) {
  e.asked = true;
  const Route route = ask_route(kernel_, e.key.addr, e.key.local);
  const bool changed = route != e.route;
  e.route = route;
  hd_remote r{};
  copy_address(r.addr, e.key.addr);
  // The kernel finds the device of a group by the source address.
  copy_address(r.local, e.key.addr.is_multicast() && route.usable ? route.local : e.key.local);
  r.v6 = e.key.addr.is_v6();
  r.usable = route.usable;
  r.mtu = route.usable ? route.mtu : 0;
  const auto now = map_.get(number);
  if (!now || std::memcmp(&*now, &r, sizeof r) != 0) (void)map_.put(number, r);
  return changed;
}

}  // namespace heddle::dp
