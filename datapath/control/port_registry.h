// SPDX-License-Identifier: Apache-2.0
// The ports of a datapath by number and by name.
//
// Owner: a provider's Ports facet. Control thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/result.h"
#include "datapath/port.h"

namespace heddle::dp {

template <typename Entry>
class PortRegistry {
 public:
  [[nodiscard]] Entry* find(PortNo no) {
    const auto it = ports_.find(no);
    return it == ports_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const Entry* find(PortNo no) const {
    const auto it = ports_.find(no);
    return it == ports_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] Entry* find(const std::string& name) {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : find(it->second);
  }
  [[nodiscard]] const Entry* find(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : find(it->second);
  }

  // A number that is neither in use nor `reserved`. Numbers are given round and round, so that a number is not soon
  // another port's. Errc::limit.
  Result<PortNo> free_number(const std::function<bool(PortNo)>& reserved = nullptr) {
    constexpr std::size_t most = limits::kPorts - 1;
    for (std::size_t tries = 0; tries < most && ports_.size() < most; ++tries) {
      last_ = static_cast<std::uint16_t>(last_ % most + 1);
      const auto no = static_cast<PortNo>(last_);
      if (!ports_.contains(no) && !(reserved && reserved(no))) return no;
    }
    return fail(Errc::limit, "the switch has its most ports, " + std::to_string(most));
  }
  // The number and the name are free.
  Entry& add(PortNo no, const std::string& name) {
    by_name_[name] = no;
    return ports_[no];
  }
  void remove(PortNo no, const std::string& name) {
    by_name_.erase(name);
    ports_.erase(no);
  }
  // Takes the name away from a port that is about to go: nobody finds it by name any more.
  void forget_name(const std::string& name) { by_name_.erase(name); }

  [[nodiscard]] bool empty() const { return ports_.empty(); }
  [[nodiscard]] std::size_t size() const { return ports_.size(); }
  [[nodiscard]] auto begin() { return ports_.begin(); }
  [[nodiscard]] auto end() { return ports_.end(); }
  [[nodiscard]] auto begin() const { return ports_.begin(); }
  [[nodiscard]] auto end() const { return ports_.end(); }
  // The first port behind `no`, for rounds that are continued later.
  [[nodiscard]] auto after(PortNo no) { return ports_.upper_bound(no); }

 private:
  std::map<PortNo, Entry> ports_;
  std::map<std::string, PortNo> by_name_;
  std::uint16_t last_ = 0;
};

}  // namespace heddle::dp
