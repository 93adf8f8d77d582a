// SPDX-License-Identifier: Apache-2.0
// The sessions of a JSON-RPC server: RpcConnection is one of them, RpcSessions the table of those that came in by the
// same door.
//
// An RpcConnection reads and frames messages, hands them to the handler, queues and writes answers, in the order in
// which they were given to it; notifications wait for an answer behind them, or for their turn (RpcOutbox). It is kept
// alive by its own pending reads and writes and by the table; close() ends both. An RpcSessions owns its connections
// and closes them when it goes; the handler must outlive it. Threads: the io_context's.
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

// What the sessions of one table have in common.
struct RpcShared {
  RpcHandler& handler;
  RpcLimits limits;
  std::string name;  // of the door, for the log
  RpcCounters counters;
  LogLimit complaints;
  std::shared_ptr<RpcOutbox> outbox;
};

class RpcConnection final : public RpcSession,
                            RpcMemory::Holder,
                            RpcOutbox::Sender,
                            public std::enable_shared_from_this<RpcConnection> {
 public:
  // Called once, when the connection ends for whatever reason but close(). `why` is empty when the peer hung up.
  using Gone = std::function<void(SessionId, const std::string& why)>;
  RpcConnection(std::unique_ptr<Stream> stream, RpcShared& shared, Gone gone);
  ~RpcConnection() override = default;
  RpcConnection(const RpcConnection&) = delete;
  RpcConnection& operator=(const RpcConnection&) = delete;

  // `opened` is called when the handshake is done and the handler knows the session.
  void start(std::function<void()> opened);
  void close();      // no callbacks after this
  void set_probe();  // shared.limits.probe has changed
  [[nodiscard]] bool is_open() const { return open_; }

  [[nodiscard]] SessionId id() const override { return id_; }
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
  void watch();  // asks the peer whether it is there when it has been silent for long
  void wait_for_silence();
  void probe();
  void refuse(const std::string& why);  // says why, then ends the connection
  void end(const std::string& why);
  void let_go();   // of the stream and of what is kept for it
  void account();  // tells how much is held; may end the session
  void cut_off(std::size_t held, std::size_t all) override;
  void complain(const std::string& what);

  std::unique_ptr<Stream> stream_;
  RpcShared& shared_;  // not to be used once `ended_`
  SessionId id_;
  Gone gone_;
  JsonFramer framer_;
  boost::asio::steady_timer timer_;  // of the handshake, then of the peer's silence
  std::array<char, 65536> input_{};
  std::string queued_;    // not handed to the kernel yet
  std::string writing_;   // being written
  std::size_t held_ = 0;  // as it was told last
  bool open_ = false;
  bool heard_ = false;    // since the timer was set
  bool probing_ = false;  // an echo is under way
  bool ended_ = false;
  bool refused_ = false;  // closes when everything is written
  bool waiting_ = false;  // for its turn to send
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
  // Takes the connection on, or drops it when there are too many already (false).
  bool admit(std::unique_ptr<Stream> stream, Opened opened = {}, Ended ended = {});
  void set_probe(Duration probe);
  void close();
  [[nodiscard]] const RpcCounters& counters() const { return shared_.counters; }
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }
  [[nodiscard]] std::size_t open() const;  // those whose handshake is done

 private:
  RpcShared shared_;
  std::map<SessionId, std::shared_ptr<RpcConnection>> sessions_;
};

}  // namespace heddle::ovsdb
