// SPDX-License-Identifier: Apache-2.0
// Small numbers for keys, with a count of users: remote VTEPs and the paths to them. A key without users keeps its
// number until the number is needed, since learned remotes come and go with their stations.
//
// Not synchronised: the owner has a mutex where two threads use it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace heddle::dp {

// Entry has a member `key` of type Key. Numbers are 1 to limits::kTunnelRemotes - 1.
template <typename Key, typename Entry>
class CountedNumbers {
 public:
  struct Acquired {
    std::uint32_t number = 0;
    Entry* entry = nullptr;
    bool fresh = false;   // the entry is new
    bool unused = false;  // it had no user before
  };

  // One more user of the key's number. `forget(number, entry)` is called for each unused entry whose number is taken
  // away to make room. Errc::limit.
  template <typename Forget>
  Result<Acquired> acquire(const Key& key, Forget forget) {
    if (const auto it = numbers_.find(key); it != numbers_.end()) {
      Slot& slot = slots_.at(it->second);
      return Acquired{it->second, &slot.entry, false, slot.users++ == 0};
    }
    if (free_.empty() && next_ == limits::kTunnelRemotes) drop_unused(forget);
    std::uint32_t number = 0;
    if (!free_.empty()) {
      number = free_.back();
      free_.pop_back();
    } else if (next_ < limits::kTunnelRemotes) {
      number = next_++;
    } else {
      return fail(Errc::limit, "more than " + std::to_string(limits::kTunnelRemotes - 1) + " remote VTEPs");
    }
    numbers_[key] = number;
    Slot& slot = slots_[number];
    slot.entry.key = key;
    slot.users = 1;
    return Acquired{number, &slot.entry, true, true};
  }
  // One more user of a number; nothing when nobody has it.
  Acquired adopt(std::uint32_t number) {
    const auto it = slots_.find(number);
    if (it == slots_.end()) return {};
    return {number, &it->second.entry, false, it->second.users++ == 0};
  }
  // A number that is in use outside already. Before the first acquire(); close_gaps() follows the last.
  Entry& take_over(std::uint32_t number, const Key& key) {
    numbers_[key] = number;
    next_ = std::max(next_, number + 1);
    Slot& slot = slots_[number];
    slot.entry.key = key;
    return slot.entry;
  }
  void close_gaps() {
    for (std::uint32_t n = 1; n < next_; ++n)
      if (!slots_.contains(n)) free_.push_back(n);
  }
  void release(std::uint32_t number) {
    const auto it = slots_.find(number);
    if (it != slots_.end() && it->second.users > 0) --it->second.users;
  }
  template <typename Forget>
  void drop_unused(Forget forget) {
    drop_if([](const Slot& slot) { return slot.users == 0; }, forget);
  }
  // Whoever uses the entries that `gone` selects must not any more.
  template <typename Gone, typename Forget>
  void drop(Gone gone, Forget forget) {
    drop_if([&](const Slot& slot) { return gone(slot.entry); }, forget);
  }

  [[nodiscard]] const Entry* find(std::uint32_t number) const {
    const auto it = slots_.find(number);
    return it == slots_.end() ? nullptr : &it->second.entry;
  }
  template <typename Fn>
  void for_each(Fn fn) const {
    for (const auto& [number, slot] : slots_) fn(number, slot.entry, slot.users);
  }
  // Up to `most` entries behind `from`, of which the last is the result; 0 when there are no more.
  template <typename Fn>
  std::uint32_t for_some(std::uint32_t from, int most, Fn fn) {
    auto it = slots_.upper_bound(from);
    for (int n = 0; n < most && it != slots_.end(); ++n, ++it) {
      from = it->first;
      fn(it->first, it->second.entry, it->second.users);
    }
    return it == slots_.end() ? 0 : from;
  }
  template <typename Fn>
  void for_each(Fn fn) {
    for (auto& [number, slot] : slots_) fn(number, slot.entry, slot.users);
  }

 private:
  struct Slot {
    Entry entry;
    unsigned users = 0;
  };
  template <typename Gone, typename Forget>
  void drop_if(Gone gone, Forget forget) {
    for (auto it = slots_.begin(); it != slots_.end();) {
      if (!gone(it->second)) {
        ++it;
        continue;
      }
      forget(it->first, it->second.entry);
      numbers_.erase(it->second.entry.key);
      free_.push_back(it->first);
      it = slots_.erase(it);
    }
  }

  std::map<std::uint32_t, Slot> slots_;
  std::map<Key, std::uint32_t> numbers_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 1;
};

// Numbers for a whole flood list, all or none. `acquire(remote)` gives a Result with a number, `release(number)` takes
// it back.
template <typename Remotes, typename Acquire, typename Release>
Result<std::vector<std::uint32_t>> acquire_all(const Remotes& remotes, Acquire acquire, Release release) {
  std::vector<std::uint32_t> numbers;
  for (const auto& remote : remotes) {
    const Result<std::uint32_t> number = acquire(remote);
    if (!number) {
      for (const std::uint32_t n : numbers) release(n);
      return std::unexpected(number.error());
    }
    numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace heddle::dp
