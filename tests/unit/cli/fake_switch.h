// SPDX-License-Identifier: Apache-2.0
// A switch for tests of vsctl: the real database engine on a socket, a fake daemon that confirms every configuration,
// and a control socket. Runs on its own thread.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cli/run.h"
#include "ovsdb/server.h"

namespace heddle::cli {

inline constexpr const char* kSchema = R"({"name": "Open_vSwitch", "version": "1.0.0", "tables": {
  "Open_vSwitch": {"isRoot": true, "maxRows": 1, "columns": {
    "bridges": {"type": {"key": {"type": "uuid", "refTable": "Bridge"}, "min": 0, "max": "unlimited"}},
    "manager_options": {"type": {"key": {"type": "uuid", "refTable": "Manager"}, "min": 0, "max": "unlimited"}},
    "ssl": {"type": {"key": {"type": "uuid", "refTable": "SSL"}, "min": 0}},
    "datapaths": {"type": {"key": "string", "value": {"type": "uuid", "refTable": "Datapath"}, "min": 0, "max": "unlimited"}},
    "next_cfg": {"type": "integer"}, "cur_cfg": {"type": "integer"},
    "ovs_version": {"type": {"key": "string", "min": 0}}}},
  "Bridge": {"indexes": [["name"]], "columns": {
    "name": {"type": "string", "mutable": false},
    "ports": {"type": {"key": {"type": "uuid", "refTable": "Port"}, "min": 0, "max": "unlimited"}},
    "datapath_type": {"type": "string"},
    "fail_mode": {"type": {"key": {"type": "string", "enum": ["set", ["standalone", "secure"]]}, "min": 0}},
    "stp_enable": {"type": "boolean"},
    "auto_attach": {"type": {"key": {"type": "uuid", "refTable": "AutoAttach"}, "min": 0}},
    "status": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}, "ephemeral": true},
    "controller": {"type": {"key": {"type": "uuid", "refTable": "Controller"}, "min": 0, "max": "unlimited"}},
    "external_ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}},
  "Port": {"indexes": [["name"]], "columns": {
    "name": {"type": "string", "mutable": false},
    "interfaces": {"type": {"key": {"type": "uuid", "refTable": "Interface"}, "min": 1, "max": "unlimited"}},
    "tag": {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 4095}, "min": 0}},
    "trunks": {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 4095}, "min": 0, "max": 4096}},
    "vlan_mode": {"type": {"key": {"type": "string", "enum": ["set", ["access", "trunk"]]}, "min": 0}},
    "fake_bridge": {"type": "boolean"}, "bond_fake_iface": {"type": "boolean"},
    "external_ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
    "qos": {"type": {"key": {"type": "uuid", "refTable": "QoS"}, "min": 0}}}},
  "Interface": {"indexes": [["name"]], "columns": {
    "name": {"type": "string", "mutable": false}, "type": {"type": "string"},
    "ofport": {"type": {"key": "integer", "min": 0}},
    "error": {"type": {"key": "string", "min": 0}},
    "options": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}},
  "Controller": {"columns": {"target": {"type": "string"}, "inactivity_probe": {"type": {"key": "integer", "min": 0}}}},
  "Manager": {"indexes": [["target"]], "columns": {"target": {"type": "string"}}},
  "SSL": {"maxRows": 1, "columns": {"private_key": {"type": "string"}, "certificate": {"type": "string"},
    "ca_cert": {"type": "string"}, "bootstrap_ca_cert": {"type": "boolean"}}},
  "AutoAttach": {"columns": {"mappings": {"type": {"key": "integer", "value": "integer", "min": 0, "max": "unlimited"}}}},
  "Datapath": {"columns": {
    "capabilities": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
    "ct_zones": {"type": {"key": "integer", "value": {"type": "uuid", "refTable": "CT_Zone"}, "min": 0, "max": "unlimited"}}}},
  "CT_Zone": {"columns": {"timeout_policy": {"type": {"key": {"type": "uuid", "refTable": "CT_Timeout_Policy"}, "min": 0}}}},
  "CT_Timeout_Policy": {"columns": {
    "timeouts": {"type": {"key": "string", "value": "integer", "min": 0, "max": "unlimited"}}}},
  "QoS": {"isRoot": true, "columns": {"type": {"type": "string"},
    "other_config": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}}}})";

struct Said {
  int code = 0;
  std::string out;
  std::string err;
};

class FakeSwitch : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "vsctl-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    database_ = std::move(ovsdb::Database::open(kSchema, "").value());
    ovsdb_ = std::make_unique<ovsdb::OvsdbServer>(io_, *database_);
    auto socket = ovsdb::JsonRpcServer::listen(io_, dir_ + "/db.sock", *ovsdb_);
    ASSERT_TRUE(socket.has_value()) << socket.error().text;
    socket_ = std::move(*socket);
    database_->add_observer([this](const ovsdb::Change&) { confirm(); });
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    io_.stop();
    thread_.join();
    control_.reset();
    socket_.reset();
    ovsdb_.reset();
    std::filesystem::remove_all(dir_);
  }

  // Runs a command line of words separated by spaces.
  Said vsctl(const std::string& line, const Caller& caller = {}) const {
    std::istringstream words(line);
    std::vector<std::string> args{"--rundir=" + dir_};
    for (std::string word; words >> word;) args.push_back(word);
    std::ostringstream out;
    std::ostringstream err;
    const int code = run(args, "", out, err, caller);
    return {code, out.str(), err.str()};
  }
  // The same; must succeed without output on stderr.
  std::string ok(const std::string& line) const {
    const auto said = vsctl(line);
    EXPECT_EQ(said.code, 0) << line;
    EXPECT_EQ(said.err, "") << line;
    return said.out;
  }
  // The same; must fail with this text on stderr.
  void refuses(const std::string& line, const std::string& text) const {
    const auto said = vsctl(line);
    EXPECT_EQ(said.code, 1) << line;
    EXPECT_NE(said.err.find(text), std::string::npos) << line << "\n  says " << said.err;
  }
  // Runs a function on the switch's thread and waits for it.
  template <typename F>
  void on_switch(F f) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }
  void serve_control() {
    on_switch([this] {
      for (const char* name : {"fdb-show", "drops", "fdb-add"}) {
        methods_.add(name, [name](const ovsdb::Json& params) {
          return ovsdb::RpcReply::ok(std::string(name) + " " + params.dump());
        });
      }
      methods_.add("fdb-flush", [](const ovsdb::Json&) { return ovsdb::RpcReply::fail("no bridge brX"); });
      control_ = std::move(ovsdb::JsonRpcServer::listen(io_, dir_ + "/vswitchd.77.ctl", methods_).value());
    });
  }

  std::string dir_;
  bool confirms_ = true;

 private:
  // The daemon's part: gives interfaces a number, or an error for a missing device, then sets cur_cfg.
  void confirm() {
    if (!confirms_) return;
    std::vector<ovsdb::RowUpdate> updates;
    for (const auto& row : database_->rows("Interface")) {
      const bool missing = row->get("name").string_or("").starts_with("missing");
      updates.push_back({"Interface",
                         row->uuid(),
                         {{"ofport", ovsdb::Datum::of(missing ? -1 : 1)},
                          {"error", missing ? ovsdb::Datum::of("no such device") : ovsdb::Datum{}}}});
    }
    for (const auto& row : database_->rows("Bridge")) {
      std::map<std::string, std::string> status;
      if (row->get("stp_enable").boolean_or(false)) status["no_effect"] = "stp_enable other_config:stp-priority";
      updates.push_back({"Bridge", row->uuid(), {{"status", ovsdb::Datum::map(status)}}});
    }
    for (const auto& row : database_->rows("Open_vSwitch")) {
      updates.push_back({"Open_vSwitch", row->uuid(), {{"cur_cfg", row->get("next_cfg")}}});
    }
    EXPECT_TRUE(database_->update(updates).has_value());
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  std::unique_ptr<ovsdb::Database> database_;
  std::unique_ptr<ovsdb::OvsdbServer> ovsdb_;
  ovsdb::RpcMethods methods_;
  std::unique_ptr<ovsdb::JsonRpcServer> socket_;
  std::unique_ptr<ovsdb::JsonRpcServer> control_;
  std::thread thread_;
};

}  // namespace heddle::cli
