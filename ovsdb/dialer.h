// SPDX-License-Identifier: Apache-2.0
// Connects to a server by an active OVSDB connection method (unix:, tcp:, ssl:): looks its name up, tries its addresses
// one after the other, and gives up after limits::kHandshakeSeconds.
//
// Threads: the io_context's, which must outlive the object. One attempt at a time. Errors come to `done`, with the
// reason.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "base/result.h"
#include "ovsdb/stream.h"
#include "ovsdb/target.h"
#include "ovsdb/tls.h"

namespace heddle::ovsdb {

class Dialer {
 public:
  using Done = std::function<void(Result<std::unique_ptr<Stream>>)>;

  Dialer(boost::asio::io_context& io, std::shared_ptr<Tls> tls);
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

  // In the place of an attempt that runs. `done` is called once, later, unless it is cancelled before. The stream has
  // not done its handshake.
  void dial(const Target& target, Done done);
  void cancel();

 private:
  class Attempt;
  boost::asio::io_context& io_;
  std::shared_ptr<Tls> tls_;
  std::shared_ptr<Attempt> running_;
};

}  // namespace heddle::ovsdb
