// SPDX-License-Identifier: Apache-2.0
// lock, steal, unlock and the "assert" operation (RFC 7047 sections 4.1.8 to 4.1.10 and 5.2.10).
#include "ovsdb/locks.h"

#include "tests/unit/ovsdb/rpc_fixture.h"

namespace heddle::ovsdb {
namespace {

using Server = ServerFixture;
using Client = TestClient;

TEST_F(Server, ALockHasOneHolderAndAQueue) {
  Client a(io, path);
  Client b(io, path);
  Client c(io, path);
  EXPECT_EQ(a.call(1, "lock", "['L']")["result"], parse("{'locked':true}"));
  EXPECT_EQ(b.call(1, "lock", "['L']")["result"], parse("{'locked':false}"));
  EXPECT_EQ(c.call(1, "lock", "['L']")["result"], parse("{'locked':false}"));
  EXPECT_EQ(a.call(2, "lock", "['L']")["error"]["error"], "syntax error");
  EXPECT_EQ(b.call(2, "steal", "['L']")["error"]["error"], "syntax error") << "the session waits for the lock already";
  constexpr const char* guarded = "['T',{'op':'assert','lock':'L'},{'op':'insert','table':'Root','row':{'name':'x'}}]";
  EXPECT_EQ(b.call(3, "transact", guarded)["result"][0]["error"], "not owner");
  EXPECT_EQ(error_of(a.call(3, "transact", guarded)["result"]), "");
  EXPECT_EQ(a.call(4, "unlock", "['L']")["result"], Json::object());
  EXPECT_EQ(b.next(), parse("{'id':null,'method':'locked','params':['L']}"));
  b.close();
  EXPECT_EQ(c.next(), parse("{'id':null,'method':'locked','params':['L']}")) << "an ended session releases its locks";
  EXPECT_EQ(a.call(5, "unlock", "['L']")["error"]["error"], "syntax error");
  for (const char* bad : {"[]", "[5]", "['a b']", "['L','L']"})
    EXPECT_EQ(a.call(6, "lock", bad)["error"]["error"], "syntax error") << bad;
}

TEST_F(Server, AStolenLockReturnsToItsHolder) {
  Client a(io, path);
  Client b(io, path);
  Client thief(io, path);
  a.call(1, "lock", "['L']");
  b.call(1, "lock", "['L']");
  EXPECT_EQ(thief.call(1, "steal", "['L']")["result"], parse("{'locked':true}"));
  EXPECT_EQ(a.next(), parse("{'id':null,'method':'stolen','params':['L']}"));
  thief.close();
  EXPECT_EQ(a.next(), parse("{'id':null,'method':'locked','params':['L']}")) << "before the waiting sessions";
  EXPECT_EQ(b.call(2, "steal", "['free']")["result"], parse("{'locked':true}"));
}

TEST(Locks, AThiefThatLosesTheLockDoesNotWaitForIt) {
  std::vector<std::string> told;
  Locks locks([&](SessionId who, std::string_view what, const std::string&) {
    told.push_back(std::to_string(who) + " " + std::string(what));
  });
  const Json name = Json::array({"L"});
  EXPECT_TRUE(locks.lock(1, name).value());
  EXPECT_TRUE(locks.steal(2, name));
  EXPECT_TRUE(locks.steal(3, name));
  EXPECT_TRUE(locks.unlock(3, name));
  EXPECT_EQ(told, (std::vector<std::string>{"1 stolen", "2 stolen", "1 locked"}));
  EXPECT_FALSE(locks.steal(2, name)) << "a lost lock must be unlocked first";
  EXPECT_TRUE(locks.unlock(2, name));
  EXPECT_TRUE(locks.holds(1, "L"));
  EXPECT_TRUE(locks.steal(2, name));
  locks.drop(1);
  EXPECT_TRUE(locks.holds(2, "L"));
  EXPECT_TRUE(locks.steal(4, name));
  locks.drop(4);
  EXPECT_FALSE(locks.holds(2, "L"));
  locks.drop(2);
  EXPECT_EQ(told.size(), 5U);
}

TEST(Locks, AreLimitedPerSession) {
  std::size_t told = 0;
  Locks locks([&](SessionId, std::string_view, const std::string&) { ++told; });
  const auto name = [](std::size_t i) { return Json::array({"l" + std::to_string(i)}); };
  for (std::size_t i = 0; i < limits::kLocks; ++i) EXPECT_TRUE(locks.lock(1, name(i)).value());
  EXPECT_EQ(locks.lock(1, Json::array({"more"})).error().error, "resources exhausted");
  EXPECT_EQ(locks.steal(1, Json::array({"more"})).error().error, "resources exhausted");
  for (std::size_t i = 0; i < limits::kLocks; ++i) EXPECT_FALSE(locks.lock(2, name(i)).value());
  EXPECT_TRUE(locks.holds(1, "l0"));
  EXPECT_FALSE(locks.holds(2, "l0"));
  EXPECT_FALSE(locks.lock(3, Json::array({std::string(limits::kJsonMessage / limits::kLocks + 1, 'x')})));
  locks.drop(1);
  EXPECT_EQ(told, limits::kLocks);
  EXPECT_TRUE(locks.holds(2, "l0"));
  locks.drop(1);
  locks.drop(2);
  EXPECT_FALSE(locks.holds(2, "l0"));
  EXPECT_EQ(told, limits::kLocks);
}

// "assert" in a waiting transaction checks the session's locks at the time of the retry.
TEST_F(Server, AnAssertAfterAWaitChecksTheLockAtTheRetry) {
  Client a(io, path);
  a.call(1, "lock", "['L']");
  a.request(2, "transact",
            "['T',{'op':'wait','table':'Root','where':[],'columns':['name'],'until':'!=','rows':[]},"
            "{'op':'assert','lock':'L'}]");
  EXPECT_EQ(a.call(3, "unlock", "['L']")["id"], 3);
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x'}}]");
  EXPECT_EQ(a.next()["result"][1]["error"], "not owner");
}

}  // namespace
}  // namespace heddle::ovsdb
