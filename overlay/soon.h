// SPDX-License-Identifier: Apache-2.0
// Work that is done at the event loop's next turn, once, however often it is asked for meanwhile: what comes together
// is done together.
//
// Owner: whoever does the work; when it goes, what was asked for is not done. Threads: the io_context's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <utility>

namespace heddle::overlay {

class Soon {
 public:
  Soon(boost::asio::io_context& io, std::function<void()> work) : io_(io), work_(std::move(work)) {}
  Soon(const Soon&) = delete;
  Soon& operator=(const Soon&) = delete;

  void operator()() {
    if (std::exchange(posted_, true)) return;
    boost::asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      posted_ = false;
      work_();
    });
  }

 private:
  boost::asio::io_context& io_;
  std::function<void()> work_;
  bool posted_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace heddle::overlay
