// SPDX-License-Identifier: Apache-2.0
// A bridge's forwarding database as the workers read it: (VLAN, MAC) -> port and tunnel path. One look-up is one hash
// and, nearly always, one cache line.
//
// Threads: one writer (handler); any number of readers under an RCU guard, without locks. A slot's key never changes
// while the table is in use (a removed entry leaves its key with value 0), so a reader can not see one entry's key with
// another's value. When removed keys pile up the writer moves to a fresh table and frees the old one after a grace
// period.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/addr.h"
#include "base/result.h"
#include "datapath/datapath.h"

namespace heddle::dp {

// A target in one word: port and, for a tunnel, the path to the remote. 0 is "none".
using FdbValue = std::uint64_t;
constexpr FdbValue fdb_value(PortNo port, std::uint32_t path) {
  return std::uint64_t{static_cast<std::uint16_t>(port)} << 32 | path;
}
constexpr PortNo fdb_port(FdbValue v) { return static_cast<PortNo>(v >> 32); }
constexpr std::uint32_t fdb_path(FdbValue v) { return static_cast<std::uint32_t>(v); }

// Nonzero for every VLAN and MAC.
constexpr std::uint64_t fdb_key(VlanId vlan, const MacAddr& mac) {
  return std::uint64_t{1} << 63 | std::uint64_t{vlan} << 48 | mac.to_u64();
}

class FdbTable {
 public:
  explicit FdbTable(std::size_t capacity);

  // --- writer ---
  // Both return the value that was there, 0 for none. put: Errc::limit when `capacity` entries are in the table.
  Result<FdbValue> put(std::uint64_t key, FdbValue value, std::uint32_t now);
  FdbValue remove(std::uint64_t key);
  void remove_port(PortNo port);
  // Worth a fresh table: removed keys make look-ups long, or the capacity is another.
  [[nodiscard]] bool worn() const { return used_ > slots_ - slots_ / 4; }
  [[nodiscard]] std::unique_ptr<FdbTable> rebuilt(std::size_t capacity) const;
  // Calls visit(key, value) for every entry.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < slots_; ++i)
      if (const FdbValue v = table_[i].value.load(std::memory_order_relaxed); v != 0)
        visit(table_[i].key.load(std::memory_order_relaxed), v);
  }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t size() const { return live_; }

  // --- readers ---
  [[nodiscard]] FdbValue find(std::uint64_t key) const {
    const Slot* s = slot_of(key);
    return s == nullptr ? 0 : s->value.load(std::memory_order_acquire);
  }
  // When an entry was last used, in seconds.
  using Use = std::atomic<std::uint32_t>;
  // The same with the place of the mark, for a frame's source; null when there is no entry. The mark lives as long as
  // the table.
  struct Entry {
    FdbValue value = 0;
    Use* use = nullptr;
  };
  [[nodiscard]] Entry find_entry(std::uint64_t key) const {
    const Slot* s = slot_of(key);
    if (s == nullptr) return {};
    return {s->value.load(std::memory_order_acquire), &used_at_[static_cast<std::size_t>(s - table_.get())]};
  }
  // Written once a second at most, so that many readers of one entry share its cache line.
  static void mark_used(Use& use, std::uint32_t now) {
    if (use.load(std::memory_order_relaxed) != now) use.store(now, std::memory_order_relaxed);
  }
  // Seconds at which the entry was last used; false when there is none.
  bool used_at(std::uint64_t key, std::uint32_t& when) const;

 private:
  struct Slot {
    std::atomic<std::uint64_t> key{0};
    std::atomic<FdbValue> value{0};
  };
  [[nodiscard]] std::size_t home(std::uint64_t key) const {
    // Multiplicative hashing with a second fold: MACs of one vendor differ in few low bits.
    std::uint64_t h = (key ^ key >> 29) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
    return static_cast<std::size_t>(h >> 32) & mask_;
  }
  [[nodiscard]] const Slot* slot_of(std::uint64_t key) const {
    for (std::size_t i = home(key), n = 0; n < slots_; i = (i + 1) & mask_, ++n) {
      const std::uint64_t k = table_[i].key.load(std::memory_order_acquire);
      if (k == key) return &table_[i];
      if (k == 0) return nullptr;
    }
    return nullptr;
  }

  FdbValue store(std::uint64_t key, FdbValue value, std::uint32_t now);

  std::size_t capacity_;
  std::size_t slots_;
  std::size_t mask_;
  std::size_t live_ = 0;
  std::size_t used_ = 0;  // slots with a key, removed ones too
  std::unique_ptr<Slot[]> table_;
  std::unique_ptr<Use[]> used_at_;
};

}  // namespace heddle::dp
