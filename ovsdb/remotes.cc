// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/remotes.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/log.h"
#include "ovsdb/listener.h"
#include "ovsdb/rpc_session.h"

namespace heddle::ovsdb {

namespace {

class ListeningRemote final : public Remote {
 public:
  ListeningRemote(const RemoteParts& parts, const Target& target, const RemoteOptions& options)
      : parts_(parts),
        target_(target),
        options_(options),
        sessions_(parts.handler, remote_limits(target, options), "remote " + target.text),
        retry_(parts.io) {
    open();
  }

  void use(const RemoteOptions& options) override {
    options_ = options;
    sessions_.set_probe(remote_limits(target_, options).probe);
    if (!listener_) open();  // new options, such as TLS files, may have removed the obstacle
  }
  [[nodiscard]] RemoteStatus status() const override {
    RemoteStatus out = status_;
    out.sessions = sessions_.open();
    out.counters = sessions_.counters();
    out.connected = out.sessions > 0;
    out.state = listener_ ? "LISTENING" : "BACKOFF";
    out.port = listener_ ? listener_->port() : 0;
    return out;
  }

 private:
  void open() {
    const auto accept = [this](Socket socket) { admit(std::move(socket)); };
    auto ready = target_.tls ? parts_.tls->check() : Result<>{};
    auto listener = !ready         ? Result<std::unique_ptr<Listener>>(std::unexpected(ready.error()))
                    : target_.file ? Listener::on_file(parts_.io, target_.place, accept)
                                   : Listener::on_tcp(parts_.io, target_.place, target_.port, accept);
    if (listener) {
      listener_ = std::move(*listener);
      parts_.changed();
      spdlog::info("remote {}: listening", target_.text);
      return;
    }
    complain(listener.error().text);
    retry_.expires_after(options_.max_backoff);
    retry_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& stopped) {
      if (!stopped && !alive.expired() && !listener_) open();
    });
  }
  void admit(Socket socket) {
    const auto opened = [this] {
      status_.last_connect = Clock::now();
      parts_.changed();
    };
    const auto ended = [this](const std::string& why) {
      status_.last_disconnect = Clock::now();
      if (!why.empty()) status_.last_error = why;
      parts_.changed();
    };
    if (!target_.tls) {
      sessions_.admit(plain_stream(std::move(socket)), opened, ended);
      return;
    }
    auto stream = parts_.tls->stream(std::move(socket), TlsRole::server);
    if (stream)
      sessions_.admit(std::move(*stream), opened, ended);
    else
      complain(stream.error().text);
  }
  void complain(const std::string& error) {
    if (std::exchange(status_.last_error, error) != error) spdlog::error("remote {}: {}", target_.text, error);
    parts_.changed();
  }

  RemoteParts parts_;
  Target target_;
  RemoteOptions options_;
  RpcSessions sessions_;
  RemoteStatus status_;
  std::unique_ptr<Listener> listener_;
  boost::asio::steady_timer retry_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace

RpcLimits remote_limits(const Target& target, const RemoteOptions& options) {
  RpcLimits out;
  out.clients = options.clients;
  out.probe = target.file ? Duration::zero() : options.probe;
  return out;
}

std::unique_ptr<Remote> listening_remote(const RemoteParts& parts, const Target& target, const RemoteOptions& options) {
  return std::make_unique<ListeningRemote>(parts, target, options);
}

RpcRemotes::RpcRemotes(boost::asio::io_context& io, RpcHandler& handler, std::shared_ptr<Tls> tls, Changed changed)
    : parts_{io, handler, std::move(tls), changed ? std::move(changed) : [] {}} {}

void RpcRemotes::set(const std::map<std::string, std::pair<Target, RemoteOptions>>& wanted) {
  std::erase_if(remotes_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  for (const auto& [text, one] : wanted) {
    const auto& [target, options] = one;
    if (const auto it = remotes_.find(text); it != remotes_.end()) {
      it->second->use(options);
      continue;
    }
    if (remotes_.size() >= limits::kRemotes) {
      spdlog::error("remote {}: not served, there may be {} at most", text, limits::kRemotes);
      continue;
    }
    remotes_.emplace(
        text, target.passive ? listening_remote(parts_, target, options) : calling_remote(parts_, target, options));
  }
}

std::optional<RemoteStatus> RpcRemotes::status(const std::string& target) const {
  const auto it = remotes_.find(target);
  return it == remotes_.end() ? std::nullopt : std::optional(it->second->status());
}

std::map<std::string, RemoteStatus> RpcRemotes::statuses() const {
  std::map<std::string, RemoteStatus> all;
  for (const auto& [target, remote] : remotes_) all.emplace(target, remote->status());
  return all;
}

}  // namespace heddle::ovsdb
