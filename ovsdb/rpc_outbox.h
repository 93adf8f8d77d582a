// SPDX-License-Identifier: Apache-2.0
// The sessions with unsent notifications (updates of monitors). A few sessions at a time are flushed, and requests of
// other clients are read in between. So the reply to a transaction does not wait until all monitoring clients are
// updated, and a client gets the updates of several quick transactions by one system call.
//
// Shared by the sessions of one RpcSessions, and kept alive by its own posted turn. Threads: the io_context's. A
// session waits for the turns of the sessions before it; each turn is one pass of the event loop. Nothing fails.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <deque>
#include <memory>

namespace heddle::ovsdb {

class RpcOutbox : public std::enable_shared_from_this<RpcOutbox> {
 public:
  class Sender {
   public:
    virtual ~Sender() = default;
    virtual void flush() = 0;  // writes the queued messages to the socket; must not call back into its owner
  };
  static constexpr std::size_t kTurn = 8;  // sessions per turn: about 25 us of system calls

  // Flushes the sender once, later, if it still exists then.
  void add(const boost::asio::any_io_executor& executor, std::weak_ptr<Sender> sender);

 private:
  void post(const boost::asio::any_io_executor& executor);
  void take_turn();

  std::deque<std::weak_ptr<Sender>> waiting_;
  bool posted_ = false;
};

}  // namespace heddle::ovsdb
