// SPDX-License-Identifier: Apache-2.0
// One JSON-RPC 1.0 session as its client (RFC 7047 section 4), without waiting: requests with their replies, the
// server's notifications, its "echo" requests answered, and probes of its own when the server is silent.
//
// Kept alive by shared_ptr and by pending reads and writes; close() ends both. Threads: the io_context's. Bounds: a
// message of limits::kReplicaMessage bytes, limits::kClientQueue bytes that wait to be sent. Errors end the session;
// the reason goes to `ended`, and every reply that is awaited fails with it.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "ovsdb/json.h"
#include "ovsdb/stream.h"

namespace heddle::ovsdb {

class RpcClient : public std::enable_shared_from_this<RpcClient> {
 public:
  // Errc::invalid, with error_text() as text, for a reply with an error; Errc::system when the session has ended.
  using Done = std::function<void(Result<Json>)>;
  struct Events {
    std::function<void()> ready;  // after the handshake
    std::function<void(const std::string& method, const Json& params)> notified;
    std::function<void(const std::string& why)> ended;  // once; not after close()
  };

  // `probe`: silence after which the server is asked for an echo, and again after which the session ends.
  static std::shared_ptr<RpcClient> start(std::unique_ptr<Stream> stream, Events events, Duration probe);
  RpcClient(const RpcClient&) = delete;
  RpcClient& operator=(const RpcClient&) = delete;
  ~RpcClient() = default;

  // `done` is not called after close().
  void call(const std::string& method, Json params, Done done);
  void close();
  [[nodiscard]] std::string peer() const { return stream_->peer(); }

 private:
  RpcClient(std::unique_ptr<Stream> stream, Events events, Duration probe);
  void shake_hands();
  void read();
  void process();
  void dispatch(const Json& message);
  void send(const Json& message);
  void write();
  void watch();
  void end(const std::string& why);

  std::unique_ptr<Stream> stream_;
  Events events_;
  Duration probe_;
  JsonFramer framer_;
  boost::asio::steady_timer timer_;
  std::array<char, 65536> input_{};
  std::string queued_;   // not given to the stream yet
  std::string writing_;  // given to the stream
  std::map<std::uint64_t, Done> awaited_;
  std::uint64_t last_id_ = 0;
  bool heard_ = false;  // since the timer was set
  bool probing_ = false;
  bool ended_ = false;
};

}  // namespace heddle::ovsdb
