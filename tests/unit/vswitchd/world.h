// SPDX-License-Identifier: Apache-2.0
// A database in memory, a datapath without packets, and the reconciler and control commands between them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/counting_database.h"
#include "tests/support/fake_datapath.h"
#include "vswitchd/control.h"
#include "vswitchd/reconcile.h"
#include "vswitchd/schema.h"

namespace heddle::vswitchd::test_world {

using ovsdb::Json;

struct DeviceCall {
  int ifindex;
  std::optional<MacAddr> mac;
  std::optional<unsigned> mtu;
};

struct World {
  FakeTime time;
  heddle::test::FakeDatapath dp{time};
  ofproto::Handler handler{dp.stations(), time};
  ofproto::Switch sw{dp, handler};
  std::unique_ptr<heddle::test::CountingDatabase> db =
      std::make_unique<heddle::test::CountingDatabase>(ovsdb::Database::open(builtin_schema(), "").value());
  std::vector<DeviceCall> device_calls;
  Reconciler reconciler{*db, {{"user", &sw}}, [this](int ifindex, auto mac, auto mtu) -> Result<> {
                          device_calls.push_back({ifindex, mac, mtu});
                          dp.set_device(ifindex, mac, mtu);
                          return {};
                        }};
  int cleaned_up = 0;
  Control control{{[this] { ++cleaned_up; }, [] {}}};

  int wishes = 0;  // runs that were asked for

  // As the daemon has it: what has changed is known. `watching` false: every run reads everything.
  explicit World(bool watching = true) {
    if (watching) reconciler.watch([this] { ++wishes; });
    reconciler.run();
    control.begin({{"user", &sw}});
  }

  void transact(const Json& operations) {
    const Json reply = db->transact(operations);
    for (const Json& result : reply)
      ASSERT_TRUE(!result.is_object() || !result.contains("error")) << reply.dump() << operations.dump();
  }
  static Json row(const char* table, const Json& columns, const char* id) {
    return {{"op", "insert"}, {"table", table}, {"row", columns}, {"uuid-name", id}};
  }
  static Json named(const char* id) { return Json::array({"named-uuid", id}); }
  static Json where_name(const std::string& name) { return Json::array({Json::array({"name", "==", name})}); }

  void add_port(const std::string& bridge, const std::string& name, Json interface = Json::object(),
                Json port = Json::object()) {
    insert_port(bridge, name, std::move(interface), std::move(port));
    reconciler.run();
  }
  void insert_port(const std::string& bridge, const std::string& name, Json interface = Json::object(),
                   Json port = Json::object()) {
    interface["name"] = name;
    port["name"] = name;
    port["interfaces"] = named("i");
    transact(Json::array({row("Interface", interface, "i"),
                          row("Port", port, "p"),
                          {{"op", "mutate"},
                           {"table", "Bridge"},
                           {"where", where_name(bridge)},
                           {"mutations", Json::array({Json::array({"ports", "insert", named("p")})})}}}));
  }
  void add_bridge(const std::string& name, Json columns = Json::object()) {
    insert_bridge(name, std::move(columns));
    reconciler.run();
  }
  void insert_bridge(const std::string& name, Json columns = Json::object()) {
    columns["name"] = name;
    columns["ports"] = named("p");
    transact(Json::array({row("Interface", {{"name", name}, {"type", "internal"}}, "i"),
                          row("Port", {{"name", name}, {"interfaces", named("i")}}, "p"),
                          row("Bridge", columns, "b"),
                          {{"op", "mutate"},
                           {"table", "Open_vSwitch"},
                           {"where", Json::array()},
                           {"mutations", Json::array({Json::array({"bridges", "insert", named("b")})})}}}));
  }
  void set(const char* table, const std::string& name, const Json& columns) {
    change(table, name, columns);
    reconciler.run();
  }
  void change(const char* table, const std::string& name, const Json& columns) {
    transact(Json::array({{{"op", "update"}, {"table", table}, {"where", where_name(name)}, {"row", columns}}}));
  }
  void remove_port(const std::string& bridge, const std::string& name) {
    move_port(bridge, name, "delete");
    reconciler.run();
  }
  // `how`: "insert" or "delete".
  void move_port(const std::string& bridge, const std::string& name, const char* how) {
    transact(Json::array({{{"op", "mutate"},
                           {"table", "Bridge"},
                           {"where", where_name(bridge)},
                           {"mutations", Json::array({Json::array({"ports", how, ref("Port", name)})})}}}));
  }
  [[nodiscard]] Json ref(const char* table, const std::string& name) const {
    return Json::array({"uuid", db->find_by(table, "name", ovsdb::Datum::of(name))->uuid().to_string()});
  }
  void add_mirror(const std::string& bridge, const std::string& name, Json columns) {
    insert_mirror(bridge, name, std::move(columns));
    reconciler.run();
  }
  void insert_mirror(const std::string& bridge, const std::string& name, Json columns) {
    columns["name"] = name;
    transact(Json::array({row("Mirror", columns, "m"),
                          {{"op", "mutate"},
                           {"table", "Bridge"},
                           {"where", where_name(bridge)},
                           {"mutations", Json::array({Json::array({"mirrors", "insert", named("m")})})}}}));
  }
  // A QoS of the port's own, with one queue.
  void insert_qos(const std::string& port, const Json& qos, const Json& queue) {
    Json columns = qos;
    columns["queues"] = Json::array({"map", Json::array({Json::array({0, named("q0")})})});
    transact(Json::array(
        {row("Queue", queue, "q0"),
         row("QoS", columns, "q"),
         {{"op", "update"}, {"table", "Port"}, {"where", where_name(port)}, {"row", {{"qos", named("q")}}}}}));
  }
  ovsdb::RowRef iface(const std::string& name) { return db->find_by("Interface", "name", ovsdb::Datum::of(name)); }
  std::string error(const std::string& name) { return iface(name)->get("error").string_or(""); }
  std::int64_t ofport(const std::string& name) { return iface(name)->get("ofport").integer_or(-99); }
  void device(const std::string& name, unsigned mtu = 1500, int ifindex = 7) {
    dp::PortState state;
    state.ifindex = ifindex;
    state.mac = *MacAddr::parse("02:00:00:00:00:07");
    state.mtu = mtu;
    state.admin_up = state.link_up = true;
    state.link_speed = 10'000'000'000;
    state.full_duplex = true;
    state.driver = "veth";
    dp.device(name, state);
    reconciler.run_control("user", dp);
  }
  static Json map(std::initializer_list<std::pair<const char*, const char*>> pairs) {
    Json list = Json::array();
    for (const auto& [key, value] : pairs) list.push_back(Json::array({key, value}));
    return Json::array({"map", list});
  }
};

}  // namespace heddle::vswitchd::test_world
