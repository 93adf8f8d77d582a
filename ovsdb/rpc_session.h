// One connection of a JsonRpcServer: reads and frames messages, hands them to the handler, queues and writes answers.
//
// Kept alive by its own pending reads and writes and by the server's table; close() ends both. Same thread as the
// server.
#pragma once

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <string>

#include "ovsdb/rpc_server.h"

namespace heddle::ovsdb {

class RpcConnection final : public RpcSession, public std::enable_shared_from_this<RpcConnection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  // `gone` is called once, when the connection ends for whatever reason but the server's own close().
  RpcConnection(Socket socket, SessionId id, RpcHandler& handler, const RpcLimits& limits, RpcCounters& counters,
                std::function<void(SessionId)> gone);

  void start() { read(); }
  void close();  // no callbacks after this

  [[nodiscard]] SessionId id() const override { return id_; }
  void notify(std::string_view method, Json params) override;

 private:
  void read();
  void process();
  Result<> dispatch(const Json& message);
  void respond(const Json& id, RpcReply reply);
  void send(const Json& message);
  void write();
  void refuse(const std::string& why);  // says why, then ends the connection
  void end();

  Socket socket_;
  SessionId id_;
  RpcHandler& handler_;
  const RpcLimits limits_;
  RpcCounters& counters_;
  std::function<void(SessionId)> gone_;
  JsonFramer framer_;
  std::array<char, 65536> input_{};
  std::string queued_;   // not handed to the kernel yet
  std::string writing_;  // being written
  bool ended_ = false;
  bool refused_ = false;  // closes when everything is written
};

}  // namespace heddle::ovsdb
