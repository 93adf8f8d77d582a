// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/rpc_server.h"

#include <utility>

#include "ovsdb/listener.h"
#include "ovsdb/rpc_session.h"

namespace heddle::ovsdb {

namespace {

class ServerImpl final : public JsonRpcServer {
 public:
  ServerImpl(const std::string& path, RpcHandler& handler, const RpcLimits& limits)
      : sessions_(handler, limits, "socket " + path) {}
  Result<> start(boost::asio::io_context& io, const std::string& path) {
    auto listener =
        Listener::on_file(io, path, [this](Socket socket) { sessions_.admit(plain_stream(std::move(socket))); });
    if (!listener) return std::unexpected(listener.error());
    listener_ = std::move(*listener);
    return {};
  }
  [[nodiscard]] RpcCounters counters() const override { return sessions_.counters(); }
  [[nodiscard]] std::size_t sessions() const override { return sessions_.size(); }

 private:
  RpcSessions sessions_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace

Result<std::unique_ptr<JsonRpcServer>> JsonRpcServer::listen(boost::asio::io_context& io, const std::string& path,
                                                             RpcHandler& handler, const RpcLimits& limits) {
  auto server = std::make_unique<ServerImpl>(path, handler, limits);
  if (auto ok = server->start(io, path); !ok) return std::unexpected(ok.error());
  return server;
}

}  // namespace heddle::ovsdb
