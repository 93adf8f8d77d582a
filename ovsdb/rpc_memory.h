// SPDX-License-Identifier: Apache-2.0
// A common memory limit for all sessions of a handler: messages that a client has not read yet, and incomplete received
// messages. Each session has limits of its own (limits::kClientQueue, kJsonMessage); while all together hold more than
// limits::kClientMemory, the session that holds most is disconnected.
//
// Owned by the RpcHandler, whose sessions report to it. Threads: the io_context's. Amounts are bytes, as exact as the
// sessions report them. Nothing fails.
#pragma once

#include <cstddef>
#include <map>

#include "base/limits.h"

namespace heddle::ovsdb {

class RpcMemory {
 public:
  class Holder {
   public:
    virtual ~Holder() = default;
    // The holder must free its `held` bytes (of `all` bytes together). It is released already.
    virtual void cut_off(std::size_t held, std::size_t all) = 0;
  };

  // Replaces the holder's earlier amount. May cut off any holder, this one included.
  void hold(Holder& holder, std::size_t bytes);
  // Must be called before a holder is destroyed.
  void release(Holder& holder);
  [[nodiscard]] std::size_t held() const { return all_; }
  void set_limit(std::size_t bytes) { limit_ = bytes; }

 private:
  std::size_t limit_ = limits::kClientMemory;
  std::size_t all_ = 0;
  std::map<Holder*, std::size_t> holders_;  // with an amount above 0
};

}  // namespace heddle::ovsdb
