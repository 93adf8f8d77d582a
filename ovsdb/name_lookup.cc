// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/name_lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace heddle::ovsdb {
namespace {

using Addresses = NameLookup::Addresses;

Result<Addresses> ask(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); code != 0)
    return fail(Errc::system, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  Addresses all;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    NameLookup::Address address{{}, a->ai_addrlen};
    if (address.size > sizeof address.socket) continue;
    std::memcpy(&address.socket, a->ai_addr, address.size);
    all.push_back(address);
  }
  if (all.empty()) return fail(Errc::system, "it has no address");
  return all;
}

std::atomic<unsigned> running{0};

// `done` is called on the new thread, or at once when there can be none.
void in_background(const std::string& host, const std::string& port, const NameLookup::Done& done) {
  if (++running > NameLookup::kThreads) {
    --running;
    return done(fail(Errc::limit, "too many names are being looked up"));
  }
  try {
    std::thread thread([host, port, done] {
      const auto found = ask(host, port);
      --running;
      done(found);
    });
    pthread_setname_np(thread.native_handle(), "name-lookup");
    thread.detach();
  } catch (const std::system_error& e) {
    --running;
    done(fail(Errc::system, std::string("no thread to look up names: ") + e.what()));
  }
}

}  // namespace

// What the thread and the object have in common.
struct NameLookup::Shared {
  std::mutex mutex;
  boost::asio::io_context* io = nullptr;  // null: cancelled
  Done done;
};

void NameLookup::start(const std::string& host, const std::string& port, Done done) {
  cancel();
  running_ = std::make_shared<Shared>();
  running_->io = &io_;
  running_->done = std::move(done);
  in_background(host, port, [shared = running_](const Result<Addresses>& found) {
    const std::lock_guard lock(shared->mutex);
    if (shared->io == nullptr) return;
    boost::asio::post(*shared->io, [shared, found] {
      Done call;
      {
        const std::lock_guard again(shared->mutex);
        if (shared->io != nullptr) call = std::move(shared->done);
        shared->io = nullptr;
      }
      if (call) call(found);
    });
  });
}

void NameLookup::cancel() {
  if (!running_) return;
  const std::lock_guard lock(running_->mutex);
  running_->io = nullptr;
}

Result<Addresses> look_up_name(const std::string& host, const std::string& port, std::optional<TimePoint> until) {
  struct Wait {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<Addresses>> found;
  };
  const auto wait = std::make_shared<Wait>();
  in_background(host, port, [wait](const Result<Addresses>& found) {
    const std::lock_guard lock(wait->mutex);
    wait->found = found;
    wait->changed.notify_all();
  });
  std::unique_lock lock(wait->mutex);
  const auto has_come = [&] { return wait->found.has_value(); };
  if (!until)
    wait->changed.wait(lock, has_come);
  else if (!wait->changed.wait_until(lock, *until, has_come))
    return fail(Errc::system, "no answer of a name server in time");
  return *wait->found;
}

}  // namespace heddle::ovsdb
