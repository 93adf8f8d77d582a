// SPDX-License-Identifier: Apache-2.0
// A BPF hash map of sealed numbers (bpf/layout.h) with typed keys: its interface is BpfMap<Key, __u32>'s.
#pragma once

#include <optional>

#include "datapath/kernel/bpf/layout.h"
#include "datapath/kernel/bpf_map.h"

namespace heddle::dp {

template <typename Key>
hd_sealed sealed(const Key& key, __u32 number) {
  static_assert(sizeof(Key) % sizeof(__u32) == 0);
  return hd_seal_number(&key, sizeof key, number);
}

inline __u32 number_in(hd_sealed word) { return static_cast<__u32>(word); }

template <typename Key>
class SealedMap {
 public:
  SealedMap() = default;
  SealedMap(int fd, const char* name) : map_(fd, name) {}
  [[nodiscard]] int fd() const { return map_.fd(); }
  Result<> put(const Key& key, __u32 number) const { return map_.put(key, sealed(key, number)); }
  [[nodiscard]] std::optional<__u32> get(const Key& key) const {
    const auto word = map_.get(key);
    if (!word) return std::nullopt;
    return number_in(*word);
  }
  bool erase(const Key& key) const { return map_.erase(key); }
  template <typename Fn>
  void for_each(Fn fn) const {
    map_.for_each([&](const Key& key, hd_sealed word) { fn(key, number_in(word)); });
  }

 private:
  BpfMap<Key, hd_sealed> map_;
};

}  // namespace heddle::dp
