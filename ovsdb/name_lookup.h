// SPDX-License-Identifier: Apache-2.0
// Looks up the addresses of a host without holding anything up: getaddrinfo(3) may wait for name servers for half a
// minute, and cannot be cancelled. So a thread of its own does it, which nobody waits for: it ends some time later, or
// with the process.
//
// Threads: start() and the destructor on one thread, on which `done` is posted; the caller's io_context must outlive
// the object. Bounded: at most kThreads look-ups in the process run at the same time; further ones fail.
#pragma once

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace heddle::ovsdb {

class NameLookup {
 public:
  static constexpr unsigned kThreads = 64;
  struct Address {
    sockaddr_storage socket{};
    socklen_t size = 0;
  };
  using Addresses = std::vector<Address>;  // in the order in which they should be tried; never empty
  using Done = std::function<void(const Result<Addresses>&)>;

  explicit NameLookup(boost::asio::io_context& io) : io_(io) {}
  ~NameLookup() { cancel(); }
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  // In the place of one that runs. The host may be an address, the port a number or a service's name. `done` is called
  // once, later, unless it is cancelled before.
  void start(const std::string& host, const std::string& port, Done done);
  void cancel();

 private:
  struct Shared;
  boost::asio::io_context& io_;
  std::shared_ptr<Shared> running_;
};

// The same for a thread that waits: until `until` at the latest (none: for ever).
Result<NameLookup::Addresses> look_up_name(const std::string& host, const std::string& port,
                                           std::optional<TimePoint> until);

}  // namespace heddle::ovsdb
