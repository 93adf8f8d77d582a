// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/rpc_session.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace heddle::ovsdb {

RpcConnection::RpcConnection(std::unique_ptr<Stream> stream, RpcShared& shared, Gone gone)
    : stream_(std::move(stream)),
      shared_(shared),
      id_(shared.handler.new_session()),
      gone_(std::move(gone)),
      framer_(shared.limits.message),
      timer_(stream_->executor()) {}

void RpcConnection::start(std::function<void()> opened) {
  timer_.expires_after(std::chrono::seconds(limits::kHandshakeSeconds));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
    const auto self = weak.lock();
    if (stopped || !self || self->ended_ || self->open_) return;
    ++self->shared_.counters.silent;
    self->end("no TLS handshake in time");
  });
  stream_->handshake([self = shared_from_this(), opened = std::move(opened)](const boost::system::error_code& error) {
    if (self->ended_) return;
    if (error) {
      ++self->shared_.counters.untrusted;
      self->complain("TLS handshake failed: " + error.message());
      return self->end("TLS handshake failed: " + error.message());
    }
    self->open_ = true;
    self->watch();
    self->shared_.handler.opened(*self);
    if (opened) opened();
    self->read();
  });
}

void RpcConnection::complain(const std::string& what) {
  unsigned held_back = 0;
  if (shared_.complaints.allow(held_back))
    spdlog::warn("{}: session {} ({}): {} ({} complaints before this one not logged)", shared_.name, id_,
                 stream_->peer(), what, held_back);
}

void RpcConnection::let_go() {
  ended_ = true;
  shared_.handler.memory().release(*this);
  timer_.cancel();
  stream_->close();
}

void RpcConnection::close() {
  gone_ = nullptr;
  if (!ended_) let_go();
}

void RpcConnection::end(const std::string& why) {
  if (ended_) return;
  let_go();
  queued_ = {};
  // Posted, because the caller may be iterating over the sessions.
  boost::asio::post(stream_->executor(), [self = shared_from_this(), why] {
    if (const auto gone = std::exchange(self->gone_, nullptr)) gone(self->id_, why);
  });
}

void RpcConnection::set_probe() {
  if (open_ && !ended_) watch();
}

void RpcConnection::watch() {
  heard_ = probing_ = false;
  timer_.cancel();
  if (shared_.limits.probe > Duration::zero()) wait_for_silence();
}

void RpcConnection::wait_for_silence() {
  timer_.expires_after(shared_.limits.probe);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
    const auto self = weak.lock();
    if (!stopped && self && !self->ended_) self->probe();
  });
}

void RpcConnection::probe() {
  if (!std::exchange(heard_, false)) {
    if (probing_) {
      ++shared_.counters.silent;
      complain("cut off, it does not answer probes");
      return end("no answer to an inactivity probe");
    }
    probing_ = true;
    send(Json{{"id", "echo"}, {"method", "echo"}, {"params", Json::array()}});
    if (ended_) return;
  }
  wait_for_silence();
}

void RpcConnection::read() {
  stream_->read_some(boost::asio::buffer(input_),
                     [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                       if (self->ended_ || self->refused_) return;
                       if (error) return self->end(error == boost::asio::error::eof ? "" : error.message());
                       self->heard_ = true;
                       self->probing_ = false;
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
    if (ended_) return;  // the handler's replies may have ended the session
  }
  account();
  if (!ended_) read();
}

Result<> RpcConnection::dispatch(const Json& message) {
  if (!message.is_object()) return fail(Errc::invalid, "a JSON-RPC message is an object, not " + dump_brief(message));
  const auto method = message.find("method");
  if (method == message.end() || method->is_null()) {
    // A reply, probably to a probe; its content does not matter.
    if (message.contains("result") || message.contains("error")) return {};
    return fail(Errc::invalid, "a JSON-RPC message has a \"method\" or a \"result\": " + dump_brief(message));
  }
  const auto params = message.find("params");
  const auto id = message.find("id");
  // Some clients send null for an empty array.
  const bool well_formed = method->is_string() && params != message.end() &&
                           (params->is_array() || params->is_null()) && id != message.end();
  if (!well_formed)
    return fail(Errc::invalid, "a JSON-RPC request has a string \"method\", an array \"params\" and an \"id\": " +
                                   dump_brief(message));
  const auto& name = method->get_ref<const std::string&>();
  const Json none = Json::array();
  const Json& given = params->is_null() ? none : *params;
  if (id->is_null()) {
    shared_.handler.notification(*this, name, given);
    return {};
  }
  shared_.handler.request(*this, *id, name, given, [weak = weak_from_this(), request = *id](RpcReply reply) {
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

// Notifications that wait for their turn count as unread output, so larger amounts are written at once.
constexpr std::size_t kMuch = 65536;

void RpcConnection::notify_text(std::string_view method, std::string_view params) {
  if (!queue({R"({"id":null,"method":")", method, R"(","params":)", params, "}"})) return;
  if (!writing_.empty()) return;
  if (queued_.size() >= kMuch) return write();
  if (std::exchange(waiting_, true)) return;
  shared_.outbox->add(stream_->executor(), std::shared_ptr<RpcOutbox::Sender>(shared_from_this(), this));
}

void RpcConnection::send_text(std::string_view message) {
  if (queue({message})) write();
}

bool RpcConnection::queue(std::initializer_list<std::string_view> pieces) {
  if (ended_ || refused_) return false;
  for (const std::string_view piece : pieces) queued_ += piece;
  // Nothing stands between two messages, as from ovsdb-server: some readers count braces from a message's first byte.
  if (queued_.size() + writing_.size() > shared_.limits.queue) {
    ++shared_.counters.slow;
    complain("cut off, " + std::to_string(queued_.size() + writing_.size()) +
             " bytes wait for a client that does not read them");
    end("it did not read what it was sent");
    return false;
  }
  account();
  return !ended_;
}

void RpcConnection::flush() {
  waiting_ = false;
  if (!ended_) write();
}

void RpcConnection::write() {
  if (!writing_.empty()) return;
  if (queued_.empty()) {
    if (refused_) end("it sent a message that cannot be used");
    return;
  }
  writing_ = std::exchange(queued_, {});
  stream_->write_all(boost::asio::buffer(writing_),
                     [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                       if (self->ended_) return;
                       if (error) return self->end(error.message());
                       self->writing_ = {};
                       self->account();
                       if (!self->ended_) self->write();
                     });
}

void RpcConnection::account() {
  constexpr std::size_t step = 4096;  // smaller changes are not reported
  const std::size_t held = (framer_.held() + queued_.size() + writing_.size()) / step * step;
  if (std::exchange(held_, held) != held) shared_.handler.memory().hold(*this, held);
}

void RpcConnection::cut_off(std::size_t held, std::size_t all) {
  ++shared_.counters.greedy;
  complain("cut off, it holds " + std::to_string(held) + " of the " + std::to_string(all) +
           " bytes that all clients hold together: answers that it has not read, or half a message");
  end("all clients together held too much memory, and it held most");
}

void RpcConnection::refuse(const std::string& why) {
  if (ended_) return;
  ++shared_.counters.malformed;
  complain("closed, it sent a message that cannot be used: " + why);
  if (!writing_.empty()) return end(why);  // a peer that does not read gets no message
  send(Json{{"id", nullptr}, {"result", nullptr}, {"error", Json{{"error", "syntax error"}, {"details", why}}}});
  refused_ = true;
  write();
}

bool RpcSessions::admit(std::unique_ptr<Stream> stream, Opened opened, Ended ended) {
  if (sessions_.size() >= shared_.limits.clients) {
    ++shared_.counters.refused;
    unsigned held_back = 0;
    if (shared_.complaints.allow(held_back))
      spdlog::warn("{}: connection refused, {} are open already ({} complaints before this one not logged)",
                   shared_.name, sessions_.size(), held_back);
    return false;
  }
  ++shared_.counters.sessions;
  auto session = std::make_shared<RpcConnection>(
      std::move(stream), shared_, [this, ended = std::move(ended)](SessionId gone, const std::string& why) {
        const auto taken = sessions_.extract(gone);
        if (taken && taken.mapped()->is_open()) shared_.handler.closed(gone);
        if (ended) ended(why);
      });
  sessions_.emplace(session->id(), session);
  session->start(std::move(opened));
  return true;
}

void RpcSessions::set_probe(Duration probe) {
  if (probe == shared_.limits.probe) return;
  shared_.limits.probe = probe;
  for (const auto& [id, session] : sessions_) session->set_probe();
}

void RpcSessions::close() {
  const auto all = std::exchange(sessions_, {});
  for (const auto& [id, session] : all) {
    session->close();
    if (session->is_open()) shared_.handler.closed(id);
  }
}

std::size_t RpcSessions::open() const {
  return static_cast<std::size_t>(
      std::count_if(sessions_.begin(), sessions_.end(), [](const auto& s) { return s.second->is_open(); }));
}

}  // namespace heddle::ovsdb
