#include "ovsdb/rpc_session.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "base/log.h"

namespace heddle::ovsdb {

RpcConnection::RpcConnection(Socket socket, SessionId id, RpcHandler& handler, const RpcLimits& limits,
                             RpcCounters& counters, std::function<void(SessionId)> gone)
    : socket_(std::move(socket)),
      id_(id),
      handler_(handler),
      limits_(limits),
      counters_(counters),
      gone_(std::move(gone)),
      framer_(limits.message) {}

void RpcConnection::close() {
  ended_ = true;
  gone_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void RpcConnection::end() {
  if (ended_) return;
  ended_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  // Later, because the caller may be somebody who is going through all sessions.
  boost::asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (const auto gone = std::exchange(self->gone_, nullptr)) gone(self->id_);
  });
}

void RpcConnection::read() {
  socket_.async_read_some(boost::asio::buffer(input_),
                          [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                            if (self->ended_ || self->refused_) return;
                            if (error) return self->end();
                            self->framer_.append({self->input_.data(), size});
                            self->process();
                          });
}

void RpcConnection::process() {
  for (;;) {
    auto next = framer_.next();
    if (!next) return refuse(next.error().text);
    const std::optional<Json> message = std::move(*next);
    if (!message) break;
    if (auto ok = dispatch(*message); !ok) return refuse(ok.error().text);
    if (ended_) return;  // the handler's answers made it end
  }
  read();
}

Result<> RpcConnection::dispatch(const Json& message) {
  if (!message.is_object()) return fail(Errc::invalid, "a JSON-RPC message is an object, not " + dump_brief(message));
  const auto method = message.find("method");
  if (method == message.end() || method->is_null()) {
    // A reply. Nothing was asked of the peer, so there is nobody to give it to.
    if (message.contains("result") || message.contains("error")) return {};
    return fail(Errc::invalid, "a JSON-RPC message has a \"method\" or a \"result\": " + dump_brief(message));
  }
  const auto params = message.find("params");
  const auto id = message.find("id");
  if (!method->is_string() || params == message.end() || !params->is_array() || id == message.end())
    return fail(Errc::invalid, "a JSON-RPC request has a string \"method\", an array \"params\" and an \"id\": " +
                                   dump_brief(message));
  const auto& name = method->get_ref<const std::string&>();
  if (id->is_null()) {
    handler_.notification(*this, name, *params);
    return {};
  }
  handler_.request(*this, *id, name, *params, [weak = weak_from_this(), request = *id](RpcReply reply) {
    if (const auto self = weak.lock()) self->respond(request, std::move(reply));
  });
  return {};
}

void RpcConnection::respond(const Json& id, RpcReply reply) {
  send(Json{{"id", id}, {"result", std::move(reply.result)}, {"error", std::move(reply.error)}});
}

void RpcConnection::notify(std::string_view method, Json params) {
  send(Json{{"id", nullptr}, {"method", method}, {"params", std::move(params)}});
}

void RpcConnection::send(const Json& message) {
  if (ended_ || refused_) return;
  queued_ += dump_json(message);
  queued_ += '\n';
  if (queued_.size() + writing_.size() > limits_.queue) {
    ++counters_.slow;
    spdlog::warn("JSON-RPC session {}: cut off, {} bytes wait for a client that does not read them", id_,
                 queued_.size() + writing_.size());
    return end();
  }
  write();
}

void RpcConnection::write() {
  if (!writing_.empty()) return;
  if (queued_.empty()) {
    if (refused_) end();
    return;
  }
  writing_ = std::exchange(queued_, {});
  boost::asio::async_write(socket_, boost::asio::buffer(writing_),
                           [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                             if (self->ended_) return;
                             if (error) return self->end();
                             self->writing_.clear();
                             self->write();
                           });
}

void RpcConnection::refuse(const std::string& why) {
  if (ended_) return;
  ++counters_.malformed;
  spdlog::warn("JSON-RPC session {}: closed, it sent a message that cannot be used: {}", id_, why);
  if (!writing_.empty()) return end();  // it does not read, so it need not be told
  send(Json{{"id", nullptr}, {"result", nullptr}, {"error", Json{{"error", "syntax error"}, {"details", why}}}});
  refused_ = true;
  write();
}

}  // namespace heddle::ovsdb
