// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/rpc_memory.h"

#include <algorithm>

namespace heddle::ovsdb {

void RpcMemory::release(Holder& holder) {
  const auto it = holders_.find(&holder);
  if (it == holders_.end()) return;
  all_ -= it->second;
  holders_.erase(it);
}

void RpcMemory::hold(Holder& holder, std::size_t bytes) {
  release(holder);
  if (bytes > 0) holders_.emplace(&holder, bytes);
  all_ += bytes;
  while (all_ > limit_) {
    const auto most = std::max_element(holders_.begin(), holders_.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto [offender, held] = *most;
    const std::size_t all = all_;
    release(*offender);
    offender->cut_off(held, all);
  }
}

}  // namespace heddle::ovsdb
