// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/fdb_table.h"

#include <algorithm>
#include <bit>

namespace heddle::dp {

// At most half full with live entries, so that there is room for as many removed ones before it is worn.
FdbTable::FdbTable(std::size_t capacity)
    : capacity_(capacity),
      slots_(std::bit_ceil(capacity * 2 + 16)),
      mask_(slots_ - 1),
      table_(std::make_unique<Slot[]>(slots_)),
      used_at_(std::make_unique<Use[]>(slots_)) {}

Result<FdbValue> FdbTable::put(std::uint64_t key, FdbValue value, std::uint32_t now) {
  if (live_ >= capacity_ && find(key) == 0)
    return fail(Errc::limit, "forwarding database is full (" + std::to_string(capacity_) + " entries)");
  return store(key, value, now);
}

FdbValue FdbTable::store(std::uint64_t key, FdbValue value, std::uint32_t now) {
  std::size_t i = home(key);
  while (table_[i].key.load(std::memory_order_relaxed) != 0 && table_[i].key.load(std::memory_order_relaxed) != key)
    i = (i + 1) & mask_;
  Slot& s = table_[i];
  if (s.key.load(std::memory_order_relaxed) == 0) ++used_;
  used_at_[i].store(now, std::memory_order_relaxed);
  const FdbValue before = s.value.exchange(value, std::memory_order_acq_rel);
  s.key.store(key, std::memory_order_release);
  if (before == 0) ++live_;
  return before;
}

FdbValue FdbTable::remove(std::uint64_t key) {
  const Slot* found = slot_of(key);
  if (found == nullptr) return 0;
  Slot& s = table_[static_cast<std::size_t>(found - table_.get())];
  const FdbValue before = s.value.exchange(0, std::memory_order_acq_rel);
  if (before != 0) --live_;
  return before;
}

void FdbTable::remove_port(PortNo port) {
  for (std::size_t i = 0; i < slots_; ++i) {
    const FdbValue v = table_[i].value.load(std::memory_order_relaxed);
    if (v == 0 || fdb_port(v) != port) continue;
    table_[i].value.store(0, std::memory_order_release);
    --live_;
  }
}

// Entries stay even when there are more than the new capacity.
std::unique_ptr<FdbTable> FdbTable::rebuilt(std::size_t capacity) const {
  auto fresh = std::make_unique<FdbTable>(std::max(capacity, live_));
  fresh->capacity_ = capacity;
  for (std::size_t i = 0; i < slots_; ++i) {
    const FdbValue v = table_[i].value.load(std::memory_order_relaxed);
    if (v != 0)
      fresh->store(table_[i].key.load(std::memory_order_relaxed), v, used_at_[i].load(std::memory_order_relaxed));
  }
  return fresh;
}

bool FdbTable::used_at(std::uint64_t key, std::uint32_t& when) const {
  const Slot* s = slot_of(key);
  if (s == nullptr || s->value.load(std::memory_order_relaxed) == 0) return false;
  when = used_at_[static_cast<std::size_t>(s - table_.get())].load(std::memory_order_relaxed);
  return true;
}

}  // namespace heddle::dp
