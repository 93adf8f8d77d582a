// SPDX-License-Identifier: Apache-2.0
// A "where" that names all columns of an index finds its row by the index, and what the transaction itself has changed.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "ovsdb/database.h"

namespace heddle::ovsdb {
namespace {

constexpr const char* kSchema = R"({"name":"T","version":"1.0.0","tables":{"Mac":{"columns":{
    "vni":{"type":"integer"},"mac":{"type":"string"},"vtep":{"type":"string"}},"indexes":[["vni","mac"]],"isRoot":true}}})";

Json where(int vni, const std::string& mac) {
  return Json::array({Json::array({"vni", "==", vni}), Json::array({"mac", "==", mac})});
}
Json insert(int vni, const std::string& mac, const std::string& vtep) {
  return {{"op", "insert"}, {"table", "Mac"}, {"row", {{"vni", vni}, {"mac", mac}, {"vtep", vtep}}}};
}
Json remove(int vni, const std::string& mac) {
  return {{"op", "delete"}, {"table", "Mac"}, {"where", where(vni, mac)}};
}
Json count(int vni, const std::string& mac) {
  return {{"op", "select"}, {"table", "Mac"}, {"where", where(vni, mac)}, {"columns", {"vtep"}}};
}

TEST(IndexSelect, SeesWhatTheTransactionHasDone) {
  const auto db = *Database::open(kSchema, "");
  ASSERT_FALSE(db->transact(Json::array({insert(10, "a", "x")})).at(0).contains("error"));
  // The committed row, a row of this transaction, a row that moved into the key, and one that moved out of it.
  const Json reply = db->transact(Json::array(
      {count(10, "a"), insert(10, "b", "x"), count(10, "b"), remove(10, "b"), count(10, "b"),
       Json{{"op", "update"}, {"table", "Mac"}, {"where", where(10, "a")}, {"row", {{"mac", "c"}}}}, count(10, "a"),
       count(10, "c"), remove(10, "c"), count(10, "c"), insert(10, "a", "y"), count(10, "a")}));
  const auto rows = [&reply](std::size_t n) { return reply.at(n).at("rows").size(); };
  EXPECT_EQ(rows(0), 1U);
  EXPECT_EQ(rows(2), 1U);
  EXPECT_EQ(reply.at(3).at("count"), 1);
  EXPECT_EQ(rows(4), 0U);
  EXPECT_EQ(reply.at(5).at("count"), 1);
  EXPECT_EQ(rows(6), 0U);
  EXPECT_EQ(rows(7), 1U);
  EXPECT_EQ(rows(9), 0U);
  EXPECT_EQ(rows(11), 1U);
  EXPECT_EQ(db->rows("Mac").size(), 1U);
  EXPECT_EQ(db->rows("Mac").front()->get("vtep").string_or(""), "y");
}

// The same with clauses that no index serves.
TEST(IndexSelect, FindsWhatAScanFinds) {
  const auto db = *Database::open(kSchema, "");
  std::mt19937 random(5);
  const auto pick = [&random](unsigned n) { return static_cast<int>(random() % n); };
  for (int round = 0; round < 500; ++round) {
    Json operations = Json::array();
    for (int i = 0; i < 6; ++i) {
      const int vni = pick(2);
      const std::string mac(1, static_cast<char>('a' + pick(4)));
      if (pick(3) > 0) operations.push_back(remove(vni, mac));
      if (pick(2) == 0) operations.push_back(insert(vni, mac, "v"));
      operations.push_back(count(vni, mac));
      Json scan = count(vni, mac);
      scan["where"] = Json::array({Json::array({"vni", "includes", vni}), Json::array({"mac", "includes", mac})});
      operations.push_back(scan);
    }
    const Json reply = db->transact(operations);
    for (std::size_t i = 1; i < operations.size(); ++i) {
      const bool scan = operations[i]["op"] == "select" && operations[i]["where"][0][1] == "includes";
      if (scan && reply[i].is_object()) {
        EXPECT_EQ(reply[i], reply[i - 1]) << operations[i].dump();
      }
    }
  }
}

}  // namespace
}  // namespace heddle::ovsdb
