// SPDX-License-Identifier: Apache-2.0
// Rows from other hosts' hands, and transactions against the database that serves them.
#include "overlay/reflector_rows.h"

#include <gtest/gtest.h>

#include "overlay/schema.h"
#include "ovsdb/database.h"

namespace heddle::overlay {
namespace {

const Json kMac{{"vni", 10}, {"mac", "02:00:00:00:00:01"}, {"vtep", "a"}, {"ip", "192.0.2.1"}, {"fixed", false}};
const Json kMember{{"vni", 10}, {"vtep", "a"}, {"ip", "2001:db8::1"}, {"flood", true}};

TEST(ReflectorRows, AreReadAsTheyAreWritten) {
  ASSERT_TRUE(mac_row(kMac));
  EXPECT_EQ(to_json(*mac_row(kMac)), kMac);
  ASSERT_TRUE(member_row(kMember));
  EXPECT_EQ(to_json(*member_row(kMember)), kMember);
}

TEST(ReflectorRows, ThatNoVtepWroteAreNone) {
  const auto changed = [](Json row, const char* column, Json value) {
    row[column] = std::move(value);
    return row;
  };
  for (const auto& [column, value] : {std::pair<const char*, Json>{"vni", -1},
                                      {"vni", 16777216},
                                      {"vni", "10"},
                                      {"vni", 1e30},
                                      {"vni", nullptr},
                                      {"vtep", ""},
                                      {"vtep", 7},
                                      {"ip", ""},
                                      {"ip", "0.0.0.0"},
                                      {"ip", "239.1.1.1"},
                                      {"ip", "fe80::1"},
                                      {"ip", Json::array({"set", Json::array()})}}) {
    EXPECT_FALSE(mac_row(changed(kMac, column, value))) << column << " " << value;
    EXPECT_FALSE(member_row(changed(kMember, column, value))) << column << " " << value;
  }
  for (const char* bad : {"", "02:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"})
    EXPECT_FALSE(mac_row(changed(kMac, "mac", bad))) << bad;
  for (const char* column : {"vni", "mac", "vtep", "ip"}) {
    Json row = kMac;
    row.erase(column);
    EXPECT_FALSE(mac_row(row)) << column;
  }
}

class Reflector : public testing::Test {
 protected:
  void SetUp() override {
    auto db = ovsdb::Database::open(reflector_schema(), "");
    ASSERT_TRUE(db) << db.error().text;
    db_ = std::move(*db);
  }
  bool transact(const Json& operations) {
    const Json reply = db_->transact(operations);
    for (const Json& result : reply)
      if (result.is_null() || result.contains("error")) {
        refusal_ = reply.dump();
        return false;
      }
    return true;
  }
  std::map<std::string, std::string> macs() {
    std::map<std::string, std::string> out;
    for (const auto& row : db_->rows("Mac"))
      out[std::to_string(*row->get("vni").integer()) + " " + *row->get("mac").string()] = *row->get("vtep").string();
    return out;
  }
  static MacRow mac(const char* vtep, bool fixed = false, Vni vni = 10) {
    return {vni, *MacAddr::parse("02:00:00:00:00:01"), vtep, *IpAddr::parse("192.0.2.1"), fixed};
  }
  bool claims(const MacRow& row) {
    Json operations = Json::array();
    claim(operations, row);
    return transact(operations);
  }
  std::string refusal_;
  std::unique_ptr<ovsdb::Database> db_;
};

TEST_F(Reflector, TheLastClaimHasTheStation) {
  EXPECT_TRUE(claims(mac("a"))) << refusal_;
  EXPECT_TRUE(claims(mac("b")));
  EXPECT_TRUE(claims(mac("a", false, 11)));
  using Macs = std::map<std::string, std::string>;
  EXPECT_EQ(macs(), (Macs{{"10 02:00:00:00:00:01", "b"}, {"11 02:00:00:00:00:01", "a"}}));
  Json operations = Json::array();
  remove_mac(operations, 10, mac("a").mac, "a");
  EXPECT_TRUE(transact(operations));
  EXPECT_EQ(macs().size(), 2U) << "it is b's";
  operations = Json::array();
  remove_vtep(operations, "b");
  EXPECT_TRUE(transact(operations));
  EXPECT_EQ(macs(), (Macs{{"11 02:00:00:00:00:01", "a"}}));
}

TEST_F(Reflector, AFixedStationCannotBeClaimed) {
  EXPECT_TRUE(claims(mac("a", true)));
  EXPECT_FALSE(claims(mac("b")));
  EXPECT_FALSE(claims(mac("b", true)));
  ASSERT_EQ(macs().size(), 1U);
  EXPECT_EQ(macs().begin()->second, "a");
  EXPECT_TRUE(claims(mac("a", false))) << "but by its own VTEP";
  EXPECT_TRUE(claims(mac("b")));
}

TEST_F(Reflector, AVtepAndItsMembership) {
  Json operations = Json::array();
  put_vtep(operations, "a", IpAddr::parse("192.0.2.1"), "boot", 5);
  put_member(operations, *member_row(kMember));
  EXPECT_TRUE(transact(operations));
  operations = Json::array();
  put_vtep(operations, "a", std::nullopt, "boot2", 6);
  MemberRow other = *member_row(kMember);
  other.ip = *IpAddr::parse("192.0.2.7");
  put_member(operations, other);
  beat(operations, "a", 9);
  EXPECT_TRUE(transact(operations));
  ASSERT_EQ(db_->rows("Vtep").size(), 1U);
  EXPECT_EQ(db_->rows("Vtep").front()->get("heartbeat").integer(), 9);
  EXPECT_EQ(db_->rows("Vtep").front()->get("boot").string(), "boot2");
  ASSERT_EQ(db_->rows("Member").size(), 1U);
  EXPECT_EQ(db_->rows("Member").front()->get("ip").string(), "192.0.2.7");
}

}  // namespace
}  // namespace heddle::overlay
