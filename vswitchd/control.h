// SPDX-License-Identifier: Apache-2.0
// The control socket's commands: what an operator asks a running daemon. JSON-RPC 1.0 as ovs-appctl speaks it: the
// method is the command, the parameters are strings, the result is the text to print, an error is a string. A command
// that comes while the daemon starts is answered when its configuration has been applied.
//
// Owner: main. Threads: control only. The switches must outlive it. Every failure is an answer that names the object.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ofproto-lite/switch.h"
#include "ovsdb/rpc_server.h"
#include "vswitchd/clients.h"

namespace heddle::vswitchd {

class Control {
 public:
  using Args = std::vector<std::string>;

  // For the command "exit": `clean_up`, with --cleanup, before it is answered; it empties the switches and leaves
  // datapaths that must not be asked any more. `quit` after the answer.
  struct Ending {
    std::function<void()> clean_up;
    std::function<void()> quit;
  };
  explicit Control(Ending ending);
  // For the command "clients-show".
  void set_clients(std::function<Clients()> clients) { clients_ = std::move(clients); }
  // For the command "vtep-show": of one bridge, or of all.
  using Vteps = std::function<std::string(const std::optional<std::string>& bridge)>;
  void set_vteps(Vteps vteps) { vteps_ = std::move(vteps); }
  // The switches stand: runs the commands that have waited for them. The only call that run() needs.
  void begin(std::map<std::string, ofproto::Switch*> switches);

  // Runs one command.
  Result<std::string> run(const std::string& command, const Args& args);
  // Adds all commands to a JSON-RPC server's methods. This object must outlive them. They wait for begin(); at most
  // limits::kClients of them, and further ones fail.
  void add_to(ovsdb::RpcMethods& methods);

 private:
  struct Command {
    const char* name;
    const char* usage;
    std::size_t min_args;
    std::size_t max_args;
    const char* help;
    Result<std::string> (Control::*function)(const Args&);
  };
  static const std::vector<Command>& commands();

  Result<std::string> help(const Args& args);
  Result<std::string> version(const Args& args);
  Result<std::string> exit(const Args& args);
  Result<std::string> vlog_list(const Args& args);
  Result<std::string> vlog_reopen(const Args& args);
  Result<std::string> vlog_set(const Args& args);
  Result<std::string> clients_show(const Args& args);
  Result<std::string> fdb_show(const Args& args);
  Result<std::string> fdb_stats(const Args& args);
  Result<std::string> fdb_flush(const Args& args);
  Result<std::string> fdb_add(const Args& args);
  Result<std::string> fdb_del(const Args& args);
  Result<std::string> drops(const Args& args);
  Result<std::string> port_stats(const Args& args);
  Result<std::string> qos_show(const Args& args);
  Result<std::string> vtep_show(const Args& args);

  Result<ofproto::Bridge*> find_bridge(const std::string& name) const;
  struct Found {
    ofproto::Switch* sw;
    const ofproto::SwitchPort* port;
  };
  // The named port, or all of them.
  Result<std::vector<Found>> find_ports(const Args& args) const;

  void answer(const std::string& name, const ovsdb::Json& params, const ovsdb::Responder& respond);

  std::map<std::string, ofproto::Switch*> switches_;
  Ending ending_;
  std::function<Clients()> clients_ = [] { return Clients{}; };
  Vteps vteps_ = [](const std::optional<std::string>&) { return std::string(); };
  std::vector<std::function<void()>> waiting_;  // for begin()
  bool begun_ = false;
  bool cleaned_up_ = false;
};

}  // namespace heddle::vswitchd
