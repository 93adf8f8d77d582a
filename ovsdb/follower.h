// SPDX-License-Identifier: Apache-2.0
// Follows a database of another server (RFC 7047, and monitor_cond_since of ovsdb-server(7)): stays connected to one of
// several servers, is told of the rows that it asks for, and runs transactions there. The servers may be one, a
// cluster, or relays of one: a server that is not connected to its cluster is left for the next, at once.
//
// Owner: whoever made it; the listener must outlive it. Threads: the io_context's. Rows are handed on, not kept.
// After a loss it asks only for what has changed since, where the server still knows that. Errors are not fatal: it
// tries the next server after a pause that grows to limits::kBackoffSeconds, for ever; status() has the last one.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ovsdb/dialer.h"
#include "ovsdb/json.h"
#include "ovsdb/rpc_client.h"
#include "ovsdb/target.h"
#include "ovsdb/tls.h"

namespace heddle::ovsdb {

class Follower {
 public:
  // All calls come on the io_context's thread, and none from within a call of the Follower.
  class Listener {
   public:
    virtual ~Listener() = default;
    // All rows come anew: those that are not told before in_step() are not there any more.
    virtual void dump_begins() = 0;
    // `row`: all its columns. Not checked: it is the server's word.
    virtual void row_is(const std::string& table, const std::string& uuid, const Json& row) = 0;
    // Only the columns that changed; of a set with room for several elements, those that came and those that went.
    virtual void row_changed(const std::string& table, const std::string& uuid, const Json& difference) = 0;
    virtual void row_gone(const std::string& table, const std::string& uuid) = 0;
    // Everything until now has been told.
    virtual void in_step() = 0;
    // The server is lost, until the next in_step().
    virtual void lost(const std::string& why) = 0;
  };

  struct Config {
    std::vector<Target> servers;  // active ones, at least one
    std::string database;
    std::string version;                                      // of its schema, up to the first dot: "1"
    std::map<std::string, std::vector<std::string>> columns;  // by table
    std::string lock = {};  // that it asks for with each connection (RFC 7047 section 4.1.8); empty: none
  };
  // By table: a "where" (RFC 7047 section 5.1); clauses are alternatives. A table that is not named: no row.
  using Conditions = std::map<std::string, Json>;

  Follower(boost::asio::io_context& io, std::shared_ptr<Tls> tls, Config config, Listener& listener);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  // Begins to connect.
  void start(Conditions conditions);
  // Rows that come with them, or go, are told, and then in_step() again.
  void set_conditions(Conditions conditions);

  // Of one transaction: the results of its operations (RFC 7047 section 4.1.3), or the first error among them. When the
  // server is lost meanwhile, the transaction may or may not have been done, and `done` need not be called: lost() is.
  using Done = std::function<void(Result<Json>)>;
  void transact(Json operations, Done done);

  struct Status {
    bool in_step = false;
    bool locked = false;     // it has Config::lock
    std::string server;      // connected or being tried, as it was asked for
    std::string last_error;  // with the server's name; empty once it is in step
    std::string local;       // our own address of the connection; empty: none, or not TCP
  };
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  void dial();
  void connected(std::unique_ptr<Stream> stream);
  void check_schema();
  void check_server();
  void look_at_server(const Json& updates);
  void ask_for_rows();
  void ask_for_lock();
  void notified(const std::string& method, const Json& params);
  void take_updates(const Json& updates);
  void reached(const Json& transaction);
  void failed(const std::string& why);
  // A reply of the present session, or failed().
  void call(const std::string& method, Json params, std::function<void(const Json&)> then);
  [[nodiscard]] Json requests() const;

  boost::asio::io_context& io_;
  Config config_;
  Listener& listener_;
  Dialer dialer_;
  boost::asio::steady_timer timer_;
  Conditions conditions_;
  Conditions known_conditions_;  // under which everything up to last_ was told
  std::string last_;             // transaction; empty: none
  std::shared_ptr<RpcClient> session_;
  std::size_t server_ = 0;  // in config_.servers
  std::size_t tried_ = 0;   // servers since the last that was in step
  Duration pause_{};
  unsigned changing_ = 0;  // changes of conditions that are not answered yet
  bool monitoring_ = false;
  Status status_;
};

}  // namespace heddle::ovsdb
