// SPDX-License-Identifier: Apache-2.0
// A BPF map with typed keys and values. Does not own the descriptor. Calls are system calls of about a microsecond;
// several threads may use one map, the kernel serialises writers of one element.
#pragma once

#include <bpf/bpf.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace heddle::dp {

template <typename Key, typename Value>
class BpfMap {
 public:
  BpfMap() = default;
  BpfMap(int fd, const char* name) : fd_(fd), name_(name) {}
  [[nodiscard]] int fd() const { return fd_; }

  // Adds or replaces. Errc::limit when the map is full or memory is refused.
  Result<> put(const Key& key, const Value& value) const {
    if (bpf_map_update_elem(fd_, &key, &value, BPF_ANY) == 0) return {};
    const int err = errno;
    auto error = fail_errno(err, std::string("BPF map ") + name_);
    if (err == E2BIG || err == ENOMEM || err == ENOSPC) return fail(Errc::limit, error.error().text);
    return error;
  }
  [[nodiscard]] std::optional<Value> get(const Key& key) const {
    Value value{};
    if (bpf_map_lookup_elem(fd_, &key, &value) != 0) return std::nullopt;
    return value;
  }
  // Returns whether the key was there.
  bool erase(const Key& key) const { return bpf_map_delete_elem(fd_, &key) == 0; }

  // Calls fn(key, value) for every element, in no order; fn may erase the element it is called for. Elements that come
  // or go meanwhile may be missed; none is seen twice unless it was put anew.
  template <typename Fn>
  void for_each(Fn fn) const {
    constexpr __u32 kBatch = 4096;
    std::vector<Key> keys(kBatch);
    std::vector<Value> values(kBatch);
    std::uint64_t cursor = 0;  // as large as any map's
    void* from = nullptr;
    for (bool more = true; more;) {
      __u32 n = kBatch;
      more = bpf_map_lookup_batch(fd_, from, &cursor, keys.data(), values.data(), &n, nullptr) == 0;
      if (!more && errno != ENOENT) return for_each_slowly(fn);
      for (__u32 i = 0; i < n; ++i) fn(keys[i], values[i]);
      from = &cursor;
    }
  }

 private:
  // A bucket with more elements than a batch takes (ENOSPC), or a kind of map without batches.
  template <typename Fn>
  void for_each_slowly(Fn fn) const {
    std::vector<Key> keys;
    Key key{};
    const Key* from = nullptr;
    while (bpf_map_get_next_key(fd_, from, &key) == 0) {
      keys.push_back(key);
      from = &keys.back();
    }
    for (const Key& k : keys)
      if (const auto value = get(k)) fn(k, *value);
  }

  int fd_ = -1;
  const char* name_ = "";
};

}  // namespace heddle::dp
