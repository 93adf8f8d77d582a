// SPDX-License-Identifier: Apache-2.0
// One ceiling for what all sessions of a handler hold together: answers that a client has not read yet, and messages of
// which only a part has come. Each session has limits of its own (limits::kClientQueue, kJsonMessage); when all of them
// together would hold more than limits::kClientMemory, the one that holds most is cut off, then the next.
//
// Owned by the RpcHandler, whose sessions report to it. Threads: the io_context's. Amounts are bytes, as exact as the
// session reports them.
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
    // It has to let go of the `held` bytes, of `all` together. It has been released already.
    virtual void cut_off(std::size_t held, std::size_t all) = 0;
  };

  // The holder, who had told of another amount or of none, holds this much now. May cut off any holder, this one too.
  void hold(Holder& holder, std::size_t bytes);
  // Before a holder goes.
  void release(Holder& holder);
  [[nodiscard]] std::size_t held() const { return all_; }
  void set_limit(std::size_t bytes) { limit_ = bytes; }

 private:
  std::size_t limit_ = limits::kClientMemory;
  std::size_t all_ = 0;
  std::map<Holder*, std::size_t> holders_;  // those that hold anything
};

}  // namespace heddle::ovsdb
