// SPDX-License-Identifier: Apache-2.0
// An active remote: connects to a manager, serves it, and connects again when the session ends.
#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <vector>

#include "base/log.h"
#include "ovsdb/name_lookup.h"
#include "ovsdb/remotes.h"
#include "ovsdb/rpc_session.h"

namespace heddle::ovsdb {

namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;
using Endpoint = boost::asio::generic::stream_protocol::endpoint;

constexpr Duration kFirstBackoff = std::chrono::seconds(1);

class CallingRemote final : public Remote, public std::enable_shared_from_this<CallingRemote> {
 public:
  CallingRemote(const RemoteParts& parts, const Target& target, const RemoteOptions& options)
      : parts_(parts),
        target_(target),
        options_(options),
        sessions_(parts.handler, remote_limits(target, options), "remote " + target.text),
        socket_(parts.io),
        lookup_(parts.io),
        timer_(parts.io) {}

  void call() {
    state_ = "CONNECTING";
    const auto attempt = ++attempt_;
    timer_.expires_after(std::chrono::seconds(limits::kHandshakeSeconds));
    timer_.async_wait([weak = weak_from_this(), attempt](const error_code& stopped) {
      const auto self = weak.lock();
      if (stopped || !self || attempt != self->attempt_) return;
      self->lookup_.cancel();
      self->failed("no answer in time");
    });
    if (target_.file) return connect({boost::asio::local::stream_protocol::endpoint(target_.place)});
    error_code error;
    const auto ip = boost::asio::ip::make_address(target_.place, error);
    if (!error) return connect({tcp::endpoint(ip, target_.port)});
    lookup_.start(target_.place, std::to_string(target_.port),
                  [weak = weak_from_this(), attempt](const Result<NameLookup::Addresses>& found) {
                    const auto self = weak.lock();
                    if (!self || attempt != self->attempt_) return;
                    if (!found) return self->failed("host " + self->target_.place + ": " + found.error().text);
                    std::vector<Endpoint> all;
                    for (const auto& address : *found) all.emplace_back(&address.socket, address.size, IPPROTO_TCP);
                    self->connect(std::move(all));
                  });
  }
  void stop() {
    ++attempt_;
    lookup_.cancel();
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
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
  // Tries the addresses one after the other.
  void connect(std::vector<Endpoint> endpoints) {
    if (endpoints.empty()) return failed("host " + target_.place + " has no address");
    const Endpoint first = endpoints.front();
    endpoints.erase(endpoints.begin());
    error_code ignored;
    socket_.close(ignored);
    socket_.async_connect(first, [weak = weak_from_this(), attempt = attempt_,
                                  rest = std::move(endpoints)](const error_code& error) mutable {
      const auto self = weak.lock();
      if (!self || attempt != self->attempt_) return;
      if (!error) return self->connected();
      if (rest.empty()) return self->failed(error.message());
      self->connect(std::move(rest));
    });
  }

  void connected() {
    ++attempt_;
    timer_.cancel();
    Socket socket = std::exchange(socket_, Socket(socket_.get_executor()));
    auto stream = target_.tls ? parts_.tls->stream(std::move(socket), TlsRole::client)
                              : Result<std::unique_ptr<Stream>>(plain_stream(std::move(socket)));
    if (!stream) return failed(stream.error().text);
    sessions_.admit(
        std::move(*stream),
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
    error_code ignored;
    socket_.close(ignored);
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
  Socket socket_;          // being connected
  NameLookup lookup_;
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
