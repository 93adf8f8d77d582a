// SPDX-License-Identifier: Apache-2.0
// An active remote: connects to a manager, serves it, and connects again when the session ends.
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/log.h"
#include "ovsdb/dialer.h"
#include "ovsdb/remotes.h"
#include "ovsdb/rpc_session.h"

namespace heddle::ovsdb {

namespace {

using boost::system::error_code;

constexpr Duration kFirstBackoff = std::chrono::seconds(1);

class CallingRemote final : public Remote, public std::enable_shared_from_this<CallingRemote> {
 public:
  CallingRemote(const RemoteParts& parts, const Target& target, const RemoteOptions& options)
      : parts_(parts),
        target_(target),
        options_(options),
        sessions_(parts.handler, remote_limits(target, options), "remote " + target.text),
        dialer_(parts.io, parts.tls),
        timer_(parts.io) {}

  void call() {
    state_ = "CONNECTING";
    dialer_.dial(target_, [this](Result<std::unique_ptr<Stream>> stream) {
      if (!stream) return failed(stream.error().text);
      connected(std::move(*stream));
    });
  }
  void stop() {
    ++attempt_;
    dialer_.cancel();
    timer_.cancel();
    sessions_.close();
  }

  void use(const RemoteOptions& options) override {
    options_ = options;
    sessions_.set_probe(remote_limits(target_, options).probe);
  }
  [[nodiscard]] RemoteStatus status() const override {
    RemoteStatus out = status_;
    out.sessions = sessions_.open();
    out.counters = sessions_.counters();
    out.connected = out.sessions > 0;
    out.state = state_;
    return out;
  }

 private:
  void connected(std::unique_ptr<Stream> stream) {
    ++attempt_;
    sessions_.admit(
        std::move(stream),
        [this] {
          spdlog::info("remote {}: connected", target_.text);
          state_ = "ACTIVE";
          status_.last_connect = Clock::now();
          backoff_ = kFirstBackoff;
          complaint_.clear();
          parts_.changed();
        },
        [this](const std::string& why) {
          if (state_ == "ACTIVE") status_.last_disconnect = Clock::now();
          failed(why.empty() ? "the other side closed the connection" : why);
        });
  }

  void failed(const std::string& why) {
    const auto attempt = ++attempt_;
    state_ = "BACKOFF";
    status_.last_error = why;
    if (std::exchange(complaint_, why) != why)
      spdlog::warn("remote {}: {}; trying again until it works", target_.text, why);
    parts_.changed();
    timer_.expires_after(std::min(backoff_, options_.max_backoff));
    backoff_ = std::min(backoff_ * 2, std::max(options_.max_backoff, kFirstBackoff));
    timer_.async_wait([weak = weak_from_this(), attempt](const error_code& stopped) {
      const auto self = weak.lock();
      if (!stopped && self && attempt == self->attempt_) self->call();
    });
  }

  RemoteParts parts_;
  Target target_;
  RemoteOptions options_;
  RpcSessions sessions_;
  RemoteStatus status_;
  std::string state_ = "BACKOFF";
  std::string complaint_;  // the last error in the log
  Dialer dialer_;
  boost::asio::steady_timer timer_;
  Duration backoff_ = kFirstBackoff;
  std::uint64_t attempt_ = 0;  // callbacks of earlier attempts do nothing
};

// Owns a CallingRemote, to which callbacks have weak references, and stops it in the destructor.
class Handle final : public Remote {
 public:
  explicit Handle(std::shared_ptr<CallingRemote> remote) : remote_(std::move(remote)) {}
  ~Handle() override { remote_->stop(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  void use(const RemoteOptions& options) override { remote_->use(options); }
  [[nodiscard]] RemoteStatus status() const override { return remote_->status(); }

 private:
  std::shared_ptr<CallingRemote> remote_;
};

}  // namespace

std::unique_ptr<Remote> calling_remote(const RemoteParts& parts, const Target& target, const RemoteOptions& options) {
  auto remote = std::make_shared<CallingRemote>(parts, target, options);
  remote->call();
  return std::make_unique<Handle>(std::move(remote));
}

}  // namespace heddle::ovsdb
