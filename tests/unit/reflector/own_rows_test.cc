// SPDX-License-Identifier: Apache-2.0
#include "reflector/own_rows.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "overlay/reflector_rows.h"
#include "overlay/reflector_source.h"
#include "overlay/schema.h"

namespace heddle::reflector {
namespace {

using overlay::Vni;
using ovsdb::Json;

const IpAddr kIp = *IpAddr::parse("192.0.2.1");
MacAddr mac(unsigned n) { return MacAddr::from_u64(0x020000000000ULL + n); }

struct Session final : ovsdb::RpcSession {
  explicit Session(std::optional<std::string> name) : name_(std::move(name)) {}
  [[nodiscard]] ovsdb::SessionId id() const override { return 1; }
  [[nodiscard]] std::optional<std::string> identity() const override { return name_; }
  void notify(std::string_view /*method*/, Json /*params*/) override {}
  void notify_text(std::string_view /*method*/, std::string_view /*params*/) override {}
  std::optional<std::string> name_;
};

class OwnRowsTest : public testing::Test {
 protected:
  // The error of the transaction; empty: it was done. `name`: of the certificate.
  std::string as(std::optional<std::string> name, const Json& operations) {
    ovsdb::TransactContext context;
    context.permit = rows_.permit_of(Session(std::move(name)));
    const auto out = db_->try_transact(operations, context);
    for (const Json& result : out.reply)
      if (result.is_object() && result.contains("error"))
        return result["error"].get<std::string>() + ": " + result.value("details", "");
    return {};
  }
  std::string join(const std::string& name, std::int64_t beat = 1) {
    Json operations = Json::array();
    overlay::put_vtep(operations, name, kIp, "boot", beat);
    overlay::put_member(operations, {10, name, kIp, true});
    return as(name, operations);
  }
  std::string claim(const std::string& by, const std::string& vtep, unsigned n, bool fixed = false) {
    Json operations = Json::array();
    overlay::claim(operations, {10, mac(n), vtep, kIp, fixed});
    return as(by, operations);
  }
  std::string remove_all_of(const std::string& by, const std::string& vtep) {
    Json operations = Json::array();
    overlay::remove_vtep(operations, vtep);
    return as(by, operations);
  }
  std::size_t count(const char* table) { return db_->rows(table).size(); }

  std::unique_ptr<ovsdb::Database> db_ = *ovsdb::Database::open(overlay::reflector_schema(), "");
  TimePoint now_{};
  OwnRows rows_{*db_, [this] { return now_; }};
};

TEST_F(OwnRowsTest, AVtepWritesItsOwn) {
  EXPECT_EQ(join("a"), "");
  EXPECT_EQ(join("a", 2), "") << "again";
  EXPECT_EQ(claim("a", "a", 1), "");
  Json operations = Json::array();
  overlay::beat(operations, "a", 3);
  overlay::remove_mac(operations, 10, mac(1), "a");
  overlay::remove_member(operations, 10, "a");
  EXPECT_EQ(as("a", operations), "");
  EXPECT_EQ(count("Mac") + count("Member"), 0U);
  EXPECT_EQ(remove_all_of("a", "a"), "");
}

TEST_F(OwnRowsTest, AndNobodyElses) {
  ASSERT_EQ(join("a"), "");
  ASSERT_EQ(join("b"), "");
  ASSERT_EQ(claim("b", "b", 1), "");
  EXPECT_NE(
      claim("a", "b", 2).find("permission error: VTEP \"a\", as its certificate names it, writes no rows of \"b\""),
      std::string::npos)
      << claim("a", "b", 2);
  Json operations = Json::array();
  overlay::put_vtep(operations, "b", kIp, "another boot", 1);
  EXPECT_NE(as("a", operations), "") << "its name";
  operations = Json::array();
  overlay::beat(operations, "b", 9);
  EXPECT_NE(as("a", operations), "") << "its heartbeat";
  for (const char* text :
       {R"({"op":"delete","table":"Mac","where":[]})", R"({"op":"delete","table":"Member","where":[]})",
        R"({"op":"update","table":"Mac","where":[],"row":{"ip":"192.0.2.66"}})",

        R"({"op":"mutate","table":"Vtep","where":[],"mutations":[["heartbeat","+=",1]]})"})
    EXPECT_NE(as("a", Json::array({Json::parse(text)})).find("permission error"), std::string::npos) << text;
  EXPECT_NE(remove_all_of("a", "b"), "");
  EXPECT_NE(claim("", "", 3), "") << "a certificate without a name";
  EXPECT_EQ(count("Mac"), 1U);
  EXPECT_EQ(count("Vtep"), 2U);
}

TEST_F(OwnRowsTest, AStationIsClaimedUnlessItIsFixed) {
  ASSERT_EQ(join("a"), "");
  ASSERT_EQ(join("b"), "");
  ASSERT_EQ(claim("b", "b", 1), "");
  EXPECT_EQ(claim("a", "a", 1), "");
  EXPECT_EQ(db_->rows("Mac").front()->get("vtep").string_or(""), "a");
  EXPECT_EQ(as("b", Json::parse(R"([{"op":"update","table":"Mac","where":[],"row":{"vtep":"b"}}])")), "")
      << "in another form";
  EXPECT_EQ(claim("a", "a", 1), "");
  EXPECT_EQ(claim("b", "b", 2, true), "");
  // Without the wait of an honest client.
  const Json bold = Json::parse(R"([{"op":"delete","table":"Mac","where":[["mac","==","02:00:00:00:00:02"]]},
      {"op":"insert","table":"Mac","row":{"vni":10,"mac":"02:00:00:00:00:02","vtep":"a","ip":"192.0.2.1"}}])");
  EXPECT_NE(as("a", bold).find("is fixed at VTEP \"b\""), std::string::npos) << as("a", bold);
  // The place of another station is no place for one's own.
  const Json sly = Json::parse(R"([{"op":"delete","table":"Mac","where":[["mac","==","02:00:00:00:00:01"]]},
      {"op":"insert","table":"Mac","row":{"vni":11,"mac":"02:00:00:00:00:01","vtep":"b","ip":"192.0.2.1"}}])");
  EXPECT_NE(as("b", sly), "");
}

TEST_F(OwnRowsTest, TheSilentAreSwept) {
  ASSERT_EQ(join("a"), "");
  ASSERT_EQ(join("b"), "");
  ASSERT_EQ(claim("b", "b", 1, true), "");
  now_ += overlay::ReflectorSource::kDead - std::chrono::seconds(1);
  EXPECT_NE(remove_all_of("a", "b"), "") << "not yet";
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(join("a", 2), "") << "one that is heard stays";
  EXPECT_NE(remove_all_of("b", "a"), "");
  EXPECT_EQ(remove_all_of("a", "b"), "");
  EXPECT_EQ(count("Mac"), 0U);
  // Rows that a VTEP left which has none of its own any more.
  ASSERT_EQ(as(std::nullopt,
               Json::parse(R"([{"op":"insert","table":"Member","row":{"vni":10,"vtep":"ghost","ip":"192.0.2.9"}}])")),
            "");
  EXPECT_EQ(remove_all_of("a", "ghost"), "");
}

TEST_F(OwnRowsTest, WithoutACertificateAllIsAllowed) {
  ASSERT_EQ(join("a"), "");
  Json operations = Json::array();
  overlay::remove_vtep(operations, "a");
  EXPECT_EQ(as(std::nullopt, operations), "");
  EXPECT_EQ(count("Vtep"), 0U);
}

}  // namespace
}  // namespace heddle::reflector
