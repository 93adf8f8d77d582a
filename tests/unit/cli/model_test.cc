// SPDX-License-Identifier: Apache-2.0
// A snapshot without its empty columns, and the guards of a transaction that relies on such columns.
#include "cli/model.h"

#include "tests/unit/cli/fake_switch.h"

namespace heddle::cli {
namespace {

constexpr const char* kUuid = "01234567-89ab-4def-8123-456789abcdef";

struct Snapshot : testing::Test {
  Catalog catalog{*ovsdb::Schema::parse(kSchema)};
  Interest interest{{"Bridge", {"name", "ports", "stp_enable"}}};
  Model model{catalog};
  Record* bridge = nullptr;
  void SetUp() override {
    const Json updates{{"Bridge", {{kUuid, {{"initial", {{"name", "br0"}}}}}}}};
    ASSERT_TRUE(model.load(interest, updates));
    bridge = model.find_by_name(**catalog.table("Bridge"), "br0");
    ASSERT_NE(bridge, nullptr);
  }
};

TEST_F(Snapshot, RequestsInitialRowsOnly) {
  const Json request = Model::requests({{"Bridge", {"_uuid", "name"}}, {"Open_vSwitch", {}}});
  EXPECT_EQ(request["Bridge"][0]["columns"], Json::array({"name"}));
  EXPECT_EQ(request["Open_vSwitch"][0]["columns"], Json::array({"_uuid"}));
  EXPECT_EQ(request["Bridge"][0]["select"],
            (Json{{"initial", true}, {"insert", false}, {"delete", false}, {"modify", false}}));
}

TEST_F(Snapshot, AMissingColumnIsGuardedAsEmpty) {
  Model::rely_on(*bridge, "ports");
  Model::set(*bridge, "ports", Datum::of(Uuid::random()));
  const auto ops = model.transaction().ops;
  ASSERT_EQ(ops.size(), 2U);
  EXPECT_EQ(ops[0]["op"], "wait");
  EXPECT_EQ(ops[0]["columns"], Json::array({"ports"}));
  EXPECT_EQ(ops[0]["rows"], Json::parse(R"([{"ports": ["set", []]}])"));
}

TEST_F(Snapshot, SettingThePresentValueChangesNothing) {
  EXPECT_EQ(model.get(*bridge, "stp_enable").boolean(), false);
  Model::set(*bridge, "stp_enable", Datum::of(false));
  EXPECT_FALSE(model.changed());
  Model::set(*bridge, "stp_enable", Datum::of(true));
  EXPECT_TRUE(model.changed());
}

TEST_F(Snapshot, AMalformedRecordIsAnError) {
  EXPECT_FALSE(Model(catalog).load(interest, Json{{"Bridge", {{"no uuid", {{"initial", Json::object()}}}}}}));
  EXPECT_FALSE(Model(catalog).load(interest, Json{{"Bridge", {{kUuid, {{"insert", Json::object()}}}}}}));
  EXPECT_FALSE(Model(catalog).load(interest, Json{{"Bridge", {{kUuid, {{"initial", {{"name", 7}}}}}}}}));
}

}  // namespace
}  // namespace heddle::cli
