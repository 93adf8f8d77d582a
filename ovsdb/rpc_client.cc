// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/rpc_client.h"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/limits.h"
#include "ovsdb/client.h"

namespace heddle::ovsdb {

using boost::system::error_code;

RpcClient::RpcClient(std::unique_ptr<Stream> stream, Events events, Duration probe)
    : stream_(std::move(stream)),
      events_(std::move(events)),
      probe_(probe),
      framer_(limits::kReplicaMessage),
      timer_(stream_->executor()) {}

std::shared_ptr<RpcClient> RpcClient::start(std::unique_ptr<Stream> stream, Events events, Duration probe) {
  std::shared_ptr<RpcClient> client(new RpcClient(std::move(stream), std::move(events), probe));
  client->shake_hands();
  return client;
}

void RpcClient::shake_hands() {
  timer_.expires_after(std::chrono::seconds(limits::kHandshakeSeconds));
  timer_.async_wait([weak = weak_from_this()](const error_code& stopped) {
    const auto self = weak.lock();
    if (!stopped && self) self->end("no TLS handshake in time");
  });
  stream_->handshake([self = shared_from_this()](const error_code& error) {
    if (self->ended_) return;
    if (error) return self->end("TLS handshake failed: " + error.message());
    self->watch();
    const auto ready = self->events_.ready;  // it may close the session
    ready();
    self->read();
  });
}

void RpcClient::close() {
  events_ = {};
  awaited_.clear();
  end("");
}

// Posted, because the caller may be in the middle of a call.
void RpcClient::end(const std::string& why) {
  if (std::exchange(ended_, true)) return;
  timer_.cancel();
  stream_->close();
  queued_ = {};
  boost::asio::post(stream_->executor(), [self = shared_from_this(), why] {
    for (auto& [id, done] : std::exchange(self->awaited_, {})) done(fail(Errc::system, why));
    if (const auto ended = std::exchange(self->events_, {}).ended) ended(why);
  });
}

void RpcClient::watch() {
  if (probe_ <= Duration::zero()) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(probe_);
  timer_.async_wait([weak = weak_from_this()](const error_code& stopped) {
    const auto self = weak.lock();
    if (stopped || !self || self->ended_) return;
    if (!std::exchange(self->heard_, false)) {
      if (std::exchange(self->probing_, true)) return self->end("the server does not answer");
      self->call("echo", Json::array(), [](const Result<Json>&) {});
    }
    self->watch();
  });
}

void RpcClient::call(const std::string& method, Json params, Done done) {
  const std::uint64_t id = ++last_id_;
  awaited_[id] = std::move(done);
  if (ended_) {
    boost::asio::post(stream_->executor(), [self = shared_from_this(), id] {
      if (auto waiting = self->awaited_.extract(id); !waiting.empty())
        waiting.mapped()(fail(Errc::system, "the connection has ended"));
    });
    return;
  }
  send(Json{{"id", id}, {"method", method}, {"params", std::move(params)}});
}

void RpcClient::send(const Json& message) {
  queued_ += dump_json(message);
  if (queued_.size() > limits::kClientQueue) return end("the server takes too little");
  if (writing_.empty()) write();
}

void RpcClient::write() {
  if (ended_ || queued_.empty()) return;
  writing_ = std::exchange(queued_, {});
  stream_->write_all(boost::asio::buffer(writing_), [self = shared_from_this()](const error_code& error, std::size_t) {
    self->writing_ = {};
    if (self->ended_) return;
    if (error) return self->end(error.message());
    self->write();
  });
}

void RpcClient::read() {
  stream_->read_some(boost::asio::buffer(input_), [self = shared_from_this()](const error_code& error, std::size_t n) {
    if (self->ended_) return;
    if (error)
      return self->end(error == boost::asio::error::eof ? "the server closed the connection" : error.message());
    self->heard_ = true;
    self->probing_ = false;
    self->framer_.append({self->input_.data(), n});
    self->process();
  });
}

void RpcClient::process() {
  while (!ended_) {
    auto next = framer_.next();
    if (!next) return end(next.error().text);
    if (!*next) return read();
    dispatch(**next);
  }
}

void RpcClient::dispatch(const Json& message) {
  if (!message.is_object()) return end("a message that is not JSON-RPC");
  const auto member = [&](const char* name) {
    const auto it = message.find(name);
    return it == message.end() ? Json() : *it;
  };
  const Json method = member("method");
  const Json id = member("id");
  if (method.is_string()) {
    const Json params = member("params");
    if (id.is_null()) {
      if (const auto notified = events_.notified) notified(method.get<std::string>(), params);
    } else if (method == "echo") {
      send(Json{{"id", id}, {"result", params}, {"error", nullptr}});
    } else {
      send(Json{{"id", id}, {"result", nullptr}, {"error", "unknown method"}});
    }
    return;
  }
  if (!id.is_number_unsigned()) return end("a reply to nothing");
  auto waiting = awaited_.extract(id.get<std::uint64_t>());
  if (waiting.empty()) return end("a reply to nothing");
  const Json error = member("error");
  waiting.mapped()(error.is_null() ? Result<Json>(member("result")) : fail(Errc::invalid, error_text(error)));
}

}  // namespace heddle::ovsdb
