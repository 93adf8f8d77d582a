// SPDX-License-Identifier: Apache-2.0
// The sessions of a JSON-RPC server: an RpcConnection is one session, an RpcSessions the table of the sessions of one
// socket or remote.
//
// An RpcConnection reads and frames messages, passes them to the handler, and queues and writes replies and
// notifications in order; a notification is written with the next reply, or at the session's turn (RpcOutbox). Pending
// reads and writes and the table keep the connection alive; close() ends both. An RpcSessions owns its connections and
// closes them in the destructor; the handler must outlive it. Threads: the io_context's. Errors end the session; the
// owner gets the reason.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>

#include "base/log.h"
#include "ovsdb/rpc_outbox.h"
#include "ovsdb/rpc_server.h"
#include "ovsdb/stream.h"

namespace heddle::ovsdb {

// Shared by the sessions of one table.
struct RpcShared {
  RpcHandler& handler;
  RpcLimits limits;
  std::string name;  // of the socket or remote, for the log
  RpcCounters counters;
  LogLimit complaints;
  std::shared_ptr<RpcOutbox> outbox;
};

// class-size: the state of one connection: its stream, its probe, its outbox
class RpcConnection final : public RpcSession,
                            RpcMemory::Holder,
                            RpcOutbox::Sender,
                            public std::enable_shared_from_this<RpcConnection> {
 public:
  // Called once when the connection ends, except by close(). `why` is empty when the peer closed it.
  using Gone = std::function<void(SessionId, const std::string& why)>;
  RpcConnection(std::unique_ptr<Stream> stream, RpcShared& shared, Gone gone);
  ~RpcConnection() override = default;
  RpcConnection(const RpcConnection&) = delete;
  RpcConnection& operator=(const RpcConnection&) = delete;

  // `opened` is called after the handshake and RpcHandler::opened().
  void start(std::function<void()> opened);
  void close();      // no callbacks after this
  void set_probe();  // after a change of shared.limits.probe
  [[nodiscard]] bool is_open() const { return open_; }

  [[nodiscard]] SessionId id() const override { return id_; }
  [[nodiscard]] std::optional<std::string> identity() const override { return stream_->identity(); }
  void notify(std::string_view method, Json params) override;
  void notify_text(std::string_view method, std::string_view params) override;

 private:
  void read();
  void process();
  Result<> dispatch(const Json& message);
  void respond(const Json& id, RpcReply reply);
  void send(const Json& message) { send_text(dump_json(message)); }
  void send_text(std::string_view message);
  bool queue(std::initializer_list<std::string_view> pieces);  // of one message; false: the session has ended
  void flush() override;
  void write();
  void watch();  // probes the peer after every limits.probe of silence
  void wait_for_silence();
  void probe();
  void refuse(const std::string& why);  // sends the reason, then ends the connection
  void end(const std::string& why);
  void let_go();   // closes the stream and frees its memory
  void account();  // reports the held memory; may end the session
  void cut_off(std::size_t held, std::size_t all) override;
  void complain(const std::string& what);

  std::unique_ptr<Stream> stream_;
  RpcShared& shared_;  // not to be used once `ended_`
  SessionId id_;
  Gone gone_;
  JsonFramer framer_;
  boost::asio::steady_timer timer_;  // of the handshake, then of the peer's silence
  std::array<char, 65536> input_{};
  std::string queued_;    // not given to the stream yet
  std::string writing_;   // given to the stream
  std::size_t held_ = 0;  // last report to RpcMemory
  bool open_ = false;
  bool heard_ = false;    // the peer sent bytes since the timer was set
  bool probing_ = false;  // the reply to an echo request is awaited
  bool ended_ = false;
  bool refused_ = false;  // ends when everything is written
  bool waiting_ = false;  // for its turn in the outbox
};

class RpcSessions {
 public:
  RpcSessions(RpcHandler& handler, const RpcLimits& limits, std::string name)
      : shared_{handler, limits, std::move(name), {}, LogLimit{}, std::make_shared<RpcOutbox>()} {}
  ~RpcSessions() { close(); }
  RpcSessions(const RpcSessions&) = delete;
  RpcSessions& operator=(const RpcSessions&) = delete;

  using Opened = std::function<void()>;
  using Ended = std::function<void(const std::string& why)>;
  // Starts a session; drops the connection and returns false when limits.clients are open.
  bool admit(std::unique_ptr<Stream> stream, Opened opened = {}, Ended ended = {});
  void set_probe(Duration probe);
  void close();
  [[nodiscard]] const RpcCounters& counters() const { return shared_.counters; }
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }
  [[nodiscard]] std::size_t open() const;  // number of sessions after their handshake

 private:
  RpcShared shared_;
  std::map<SessionId, std::shared_ptr<RpcConnection>> sessions_;
};

}  // namespace heddle::ovsdb
