// SPDX-License-Identifier: Apache-2.0
// The plan by itself: plain values in, plain values out.
#include "vswitchd/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heddle::vswitchd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FakeView final : public SwitchView {
 public:
  std::map<std::string, ofproto::SwitchPort> port_map;
  std::map<std::string, ofproto::BridgeConfig> bridge_map;

  [[nodiscard]] std::vector<std::string> ports() const override { return keys(port_map); }
  [[nodiscard]] std::vector<std::string> bridges() const override { return keys(bridge_map); }
  [[nodiscard]] const ofproto::SwitchPort* port(const std::string& name) const override { return find(port_map, name); }
  [[nodiscard]] const ofproto::BridgeConfig* bridge(const std::string& name) const override {
    return find(bridge_map, name);
  }

 private:
  static std::vector<std::string> keys(const auto& map) {
    std::vector<std::string> out;
    for (const auto& [name, value] : map) out.push_back(name);
    return out;
  }
  static auto find(const auto& map, const std::string& name) -> decltype(&map.begin()->second) {
    const auto it = map.find(name);
    return it == map.end() ? nullptr : &it->second;
  }
};

struct PlanTest : testing::Test {
  Desired want;
  SwitchViews now;
  FakeView* user = add_view("user");
  FakeView* kernel = add_view("kernel");
  std::map<ovsdb::Uuid, ofproto::OfPort> former;

  FakeView* add_view(const std::string& type) {
    auto view = std::make_unique<FakeView>();
    FakeView* made = view.get();
    now[type] = std::move(view);
    return made;
  }
  void want_bridge(const std::string& name, const std::string& datapath = "user") {
    want.bridges[name] = {datapath, {}, ovsdb::Uuid::random(), {}};
  }
  DesiredPort& want_port(const std::string& name, const std::string& bridge = "br0",
                         const std::string& datapath = "user") {
    auto port = std::make_shared<DesiredPort>();
    port->bridge = bridge;
    port->datapath = datapath;
    port->config.spec.name = name;
    port->row = ovsdb::Uuid::random();
    want.ports[name] = port;
    return *port;
  }
  static void have_port(FakeView* view, const std::string& name, const std::string& bridge = "br0") {
    ofproto::SwitchPort port;
    port.bridge = bridge;
    port.config.spec.name = name;
    view->port_map[name] = port;
  }
  Plan plan(const std::set<std::string>* names = nullptr) {
    return make_plan(
        want, now,
        [this](const ovsdb::Uuid& row) {
          const auto it = former.find(row);
          return it == former.end() ? std::nullopt : std::optional(it->second);
        },
        names);
  }
  static std::vector<std::string> names(const std::vector<Plan::Port>& ports) {
    std::vector<std::string> out;
    for (const Plan::Port& port : ports) out.push_back(port.want->config.spec.name);
    return out;
  }
};

TEST_F(PlanTest, NothingDiffers) {
  want_bridge("br0");
  user->bridge_map["br0"] = {};
  want_port("p1");
  have_port(user, "p1");
  const Plan made = plan();
  EXPECT_TRUE(made.all);
  EXPECT_THAT(made.stale_ports, IsEmpty());
  EXPECT_THAT(made.stale_bridges, IsEmpty());
  EXPECT_THAT(made.bridges, IsEmpty());
  EXPECT_THAT(names(made.ports), ElementsAre("p1")) << "its device may have been changed by hand";
}

TEST_F(PlanTest, TheOldGoes) {
  want_bridge("br0");
  want_bridge("moves", "kernel");
  user->bridge_map["br0"] = user->bridge_map["stranger"] = user->bridge_map["moves"] = {};
  have_port(user, "gone");
  have_port(user, "other_bridge", "stranger");
  want_port("other_bridge");
  have_port(user, "other_kind");
  want_port("other_kind").config.spec.kind = dp::PortKind::internal;
  have_port(user, "other_datapath", "moves");
  want_port("other_datapath", "moves", "kernel");
  const Plan made = plan();
  EXPECT_THAT(made.stale_ports, ElementsAre(Plan::Item{"user", "gone"}, Plan::Item{"user", "other_bridge"},
                                            Plan::Item{"user", "other_datapath"}, Plan::Item{"user", "other_kind"}));
  EXPECT_THAT(made.stale_bridges, ElementsAre(Plan::Item{"user", "moves"}, Plan::Item{"user", "stranger"}));
  EXPECT_THAT(made.bridges, ElementsAre(Plan::Item{"kernel", "moves"}));
}

TEST_F(PlanTest, BridgesThatAreNewOrDiffer) {
  want_bridge("new");
  want_bridge("same");
  want_bridge("set");
  user->bridge_map["same"] = {};
  user->bridge_map["set"] = {};
  want.bridges["set"].config.secure = true;
  want.broken_bridges.insert("broken");
  user->bridge_map["broken"] = {};
  const std::set<std::string> none;
  const Plan made = plan(&none);
  EXPECT_FALSE(made.all);
  EXPECT_THAT(made.bridges, ElementsAre(Plan::Item{"user", "new"}, Plan::Item{"user", "set"}));
  EXPECT_THAT(made.stale_bridges, IsEmpty()) << "a bridge whose row is wrong is left alone";
}

TEST_F(PlanTest, NumbersThatAreAskedForComeFirst) {
  want_bridge("br0");
  want_port("a");
  former[want_port("b").row] = 3;
  want_port("c").config.ofport_request = 4;
  former[want_port("d").row] = 5;
  const Plan made = plan();
  EXPECT_THAT(names(made.ports), ElementsAre("c", "b", "d", "a"));
  EXPECT_EQ(made.ports[1].former_number, 3);
  EXPECT_EQ(made.ports[3].former_number, std::nullopt);
}

TEST_F(PlanTest, OnlyTheNamesAskedFor) {
  want_bridge("br0");
  want_port("a");
  want_port("b");
  have_port(user, "c");
  have_port(user, "d");
  const std::set<std::string> some{"a", "c", "nowhere"};
  const Plan made = plan(&some);
  EXPECT_THAT(names(made.ports), ElementsAre("a"));
  EXPECT_THAT(made.stale_ports, ElementsAre(Plan::Item{"user", "c"}));
  EXPECT_THAT(made.errors, ElementsAre(testing::Pair("a", ""), testing::Pair("c", ""), testing::Pair("nowhere", "")));
}

TEST_F(PlanTest, WhatIsWrongBeforehand) {
  want_bridge("br0");
  user->bridge_map["br0"] = user->bridge_map["br1"] = {};
  want.broken["works"] = {"br0", ovsdb::Uuid::random(), "bad"};
  have_port(user, "works");
  want.broken["absent"] = {"br0", ovsdb::Uuid::random(), "bad"};
  want.broken["elsewhere"] = {"br0", ovsdb::Uuid::random(), "bad"};
  have_port(user, "elsewhere", "br1");
  want_port("remarked");
  want.remarks["remarked"] = "twice";
  const Plan made = plan();
  EXPECT_EQ(made.errors.at("works"), "bad; the port keeps its former settings");
  EXPECT_EQ(made.errors.at("absent"), "bad");
  EXPECT_EQ(made.errors.at("elsewhere"), "bad");
  EXPECT_EQ(made.errors.at("remarked"), "twice");
  EXPECT_THAT(made.stale_ports, ElementsAre(Plan::Item{"user", "elsewhere"}));
}

}  // namespace
}  // namespace heddle::vswitchd
