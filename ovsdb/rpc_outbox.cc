// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/rpc_outbox.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace heddle::ovsdb {

void RpcOutbox::add(const boost::asio::any_io_executor& executor, std::weak_ptr<Sender> sender) {
  waiting_.push_back(std::move(sender));
  if (!std::exchange(posted_, true)) post(executor);
}

// A posted function runs after the handlers of ready descriptors, so requests are served first.
void RpcOutbox::post(const boost::asio::any_io_executor& executor) {
  boost::asio::post(executor, [self = shared_from_this(), executor] {
    self->take_turn();
    self->posted_ = !self->waiting_.empty();
    if (self->posted_) self->post(executor);
  });
}

void RpcOutbox::take_turn() {
  for (std::size_t n = 0; n < kTurn && !waiting_.empty(); ++n) {
    const auto sender = std::exchange(waiting_.front(), {}).lock();
    waiting_.pop_front();
    if (sender) sender->flush();
  }
}

}  // namespace heddle::ovsdb
