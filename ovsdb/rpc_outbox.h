// SPDX-License-Identifier: Apache-2.0
// Sessions that have something to send which nobody waits for: updates for those who follow the database. They have
// their turn a few at a time, and what has come from other clients meanwhile is read in between. So a client that waits
// for the answer to its transaction does not wait until all who follow are told, and one that follows gets the updates
// of several transactions by one system call when they come faster than that.
//
// Shared by the sessions of one door, and kept alive by its own pending turn. Threads: the io_context's. Nothing is
// late for longer than the turns of the sessions before it: each turn is a pass of the event loop.
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
    virtual void flush() = 0;  // hands what is queued to the kernel; must not call back into its owner
  };
  static constexpr std::size_t kTurn = 8;  // sessions: some 25 us of system calls

  // Will be flushed once; not at all when it has gone by then.
  void add(const boost::asio::any_io_executor& executor, std::weak_ptr<Sender> sender);

 private:
  void post(const boost::asio::any_io_executor& executor);
  void take_turn();

  std::deque<std::weak_ptr<Sender>> waiting_;
  bool posted_ = false;
};

}  // namespace heddle::ovsdb
