// SPDX-License-Identifier: Apache-2.0
// The protocol over a real unix socket.
#include <gmock/gmock.h>

#include <algorithm>
#include <vector>

#include "ovsdb/rpc_outbox.h"
#include "tests/unit/ovsdb/rpc_fixture.h"

namespace heddle::ovsdb {
namespace {

using Server = ServerFixture;
using Client = TestClient;

TEST_F(Server, ServesTheSimpleMethods) {
  Client c(io, path);
  EXPECT_EQ(c.call(1, "list_dbs", "[]"), parse("{'id':1,'result':['T','_Server'],'error':null}"));
  EXPECT_EQ(c.call(2, "echo", "['x',1]"), parse("{'id':2,'result':['x',1],'error':null}"));
  EXPECT_EQ(c.call(3, "get_schema", "['T']")["result"], db->schema().json());
  EXPECT_EQ(c.call(4, "get_schema", "['U']")["error"]["error"], "unknown database");
  EXPECT_EQ(c.call(5, "frob", "[]"), parse("{'id':5,'result':null,'error':'unknown method'}"));
  EXPECT_EQ(c.call(6, "transact", "['T',{'op':'abort'}]")["result"][0]["error"], "aborted");
  EXPECT_EQ(c.call(7, "transact", "[]")["error"]["error"], "syntax error");
  EXPECT_EQ(c.call(8, "monitor_cancel", "[0]")["error"], "unknown monitor");
}

// collectd's plugins count braces from the first byte of a message.
TEST_F(Server, NothingStandsBetweenMessages) {
  Client c(io, path);
  c.request(1, "list_dbs", "[]");
  EXPECT_THAT(c.next_bytes(), testing::StartsWith("{"));
  c.call(2, "monitor", "['T',null,{'Root':{'columns':['name']}}]");
  c.request(3, "transact", "['T',{'op':'insert','table':'Root','row':{'name':'x'}}]");
  std::string all = c.next_bytes();  // the update; the reply may have come with it
  if (all.find("\"id\":3") == std::string::npos) all += c.next_bytes();
  EXPECT_THAT(all, testing::AllOf(testing::StartsWith("{"), testing::HasSubstr("}{"), testing::EndsWith("}")));
}
TEST_F(Server, MonitorsFollowOtherClients) {
  Client a(io, path);
  Client b(io, path);
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'old','n':1}}]");
  const Json initial = a.call(1, "monitor", "['T','m',{'Root':[{'columns':['name','n']}]}]")["result"];
  const std::string uuid = db->rows("Root").front()->uuid().to_string();
  EXPECT_EQ(initial["Root"][uuid], parse("{'new':{'name':'old','n':1}}"));
  EXPECT_EQ(a.call(2, "monitor", "['T','m',{}]")["error"]["error"], "syntax error") << "the id is taken";

  EXPECT_EQ(
      b.call(1, "transact", "['T',{'op':'update','table':'Root','where':[],'row':{'n':2}}]")["result"][0]["count"], 1);
  Json update = a.next();
  EXPECT_EQ(update["method"], "update");
  EXPECT_TRUE(update["id"].is_null());
  EXPECT_EQ(update["params"][0], "m");
  EXPECT_EQ(update["params"][1]["Root"][uuid], parse("{'old':{'n':1},'new':{'name':'old','n':2}}"));

  // A change of an unmonitored column is not reported; the next message is for the delete.
  b.call(2, "transact", "['T',{'op':'update','table':'Root','where':[],'row':{'b':true}}]");
  b.call(3, "transact", "['T',{'op':'delete','table':'Root','where':[]}]");
  EXPECT_EQ(a.next()["params"][1]["Root"][uuid], parse("{'old':{'name':'old','n':2}}"));

  EXPECT_EQ(a.call(4, "monitor_cancel", "['m']")["result"], Json::object());
  b.call(4, "transact", "['T',{'op':'insert','table':'Root','row':{'name':'new'}}]");
  EXPECT_EQ(a.call(5, "echo", "[]")["id"], 5) << "no update before it";
}

TEST_F(Server, AnUpdateComesBeforeTheReplyToItsTransaction) {
  Client c(io, path);
  c.call(1, "monitor", "['T',null,{'Root':{'columns':['name']}}]");
  c.request(2, "transact", "['T',{'op':'insert','table':'Root','row':{'name':'x'}}]");
  EXPECT_EQ(c.next()["method"], "update");
  EXPECT_EQ(c.next()["id"], 2);
}

// Clients that monitor a table, more than one turn of the outbox serves.
std::vector<std::unique_ptr<Client>> followers(boost::asio::io_context& io, const std::string& path) {
  std::vector<std::unique_ptr<Client>> out;
  for (std::size_t n = 0; n < 3 * RpcOutbox::kTurn; ++n) {
    out.push_back(std::make_unique<Client>(io, path));
    const std::string id = n % 2 == 0 ? "'m'" : std::to_string(n);
    EXPECT_TRUE(out.back()->call(1, "monitor", "['T'," + id + ",{'Root':{'columns':['n']}}]")["error"].is_null());
  }
  return out;
}

TEST_F(Server, AReplyDoesNotWaitForAllUpdates) {
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x'}}]");
  const auto all = followers(io, path);
  Client writer(io, path);
  for (int n = 1; n <= 3; ++n) {
    const auto row = "{'n':" + std::to_string(n) + "}";
    writer.call(n, "transact", "['T',{'op':'update','table':'Root','where':[],'row':" + row + "}]");
    if (n > 1) continue;
    EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const auto& one) { return one->has_mail(); }), 0);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (int n = 1; n <= 3; ++n) {
      const Json params = all[i]->next()["params"];
      EXPECT_EQ(params[0], i % 2 == 0 ? Json("m") : Json(i));
      EXPECT_EQ(params[1]["Root"].begin().value()["new"]["n"], n) << "client " << i;
    }
  }
}

TEST_F(Server, SessionsMayEndWhileTheyWaitForTheirTurn) {
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x'}}]");
  auto all = followers(io, path);
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':2}}]");
  for (std::size_t i = 0; i < all.size(); i += 3) all[i].reset();
  EXPECT_EQ(all[1]->next()["params"][1]["Root"].begin().value()["new"]["n"], 2);
  EXPECT_EQ(all.back()->next()["params"][1]["Root"].begin().value()["new"]["n"], 2);
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':3}}]");
  rpc.reset();  // with all sessions, some of which wait for their turn
  io.poll();
}

TEST_F(Server, MonitorSelectLimitsTheUpdates) {
  Client c(io, path);
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':1}}]");
  const Json initial =
      c.call(1, "monitor",
             "['T',1,{'Root':[{'columns':['name'],'select':{'modify':false,'delete':false}},"
             "{'columns':['n'],'select':{'initial':false,'insert':false,'delete':false}}]}]")["result"];
  EXPECT_EQ(initial["Root"].begin().value(), parse("{'new':{'name':'x'}}"));
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':2}}]");
  EXPECT_EQ(c.next()["params"][1]["Root"].begin().value(), parse("{'old':{'n':1},'new':{'n':2}}"));
  run(*db, "[{'op':'delete','table':'Root','where':[]}]");
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'y','n':3}}]");
  EXPECT_EQ(c.next()["params"][1]["Root"].begin().value(), parse("{'new':{'name':'y'}}"));
  for (const char* bad :
       {"['T']", "['T',2,{'Nope':{}}]", "['T',2,{'Root':{'columns':['nope']}}]", "['T',2,5]", "['T',2,{'Root':5}]",
        "['T',2,{'Root':[{'columns':['n']},{'columns':['n']}]}]", "['T',2,{'Root':{'select':{'frob':true}}}]"})
    EXPECT_TRUE(c.call(9, "monitor", bad)["error"].contains("error")) << bad;
}

constexpr const char* kWaitForY =
    "['T',{'op':'wait','table':'Root','where':[['name','==','y']],'columns':['n'],'until':'==','rows':[{'n':4}]},"
    "{'op':'insert','table':'Root','row':{'name':'waited'}}]";

TEST_F(Server, AWaitEndsWhenAnotherClientSatisfiesIt) {
  Client a(io, path);
  Client b(io, path);
  a.request(1, "transact", kWaitForY);
  a.request(2, "echo", "[]");
  EXPECT_EQ(a.next()["id"], 2) << "other requests are served meanwhile";
  b.call(1, "transact", "['T',{'op':'insert','table':'Root','row':{'name':'y','n':3}}]");
  b.call(2, "transact", "['T',{'op':'update','table':'Root','where':[],'row':{'n':4}}]");
  const Json reply = a.next();
  EXPECT_EQ(reply["id"], 1);
  EXPECT_EQ(error_of(reply["result"]), "");
  EXPECT_TRUE(db->find_by("Root", "name", Datum::of("waited")));
}

TEST_F(Server, AWaitTimesOutIsCanceledOrEndsWithItsSession) {
  Client a(io, path);
  const Json timed_out = a.call(1, "transact",
                                "['T',{'op':'wait','timeout':20,'table':'Root','where':[],'columns':['n'],"
                                "'until':'!=','rows':[]},{'op':'comment','comment':''}]");
  EXPECT_EQ(timed_out["result"][0]["error"], "timed out");
  EXPECT_TRUE(timed_out["result"][1].is_null());

  a.request(2, "transact", kWaitForY);
  a.send(R"({"method":"cancel","params":[2],"id":null})");
  EXPECT_EQ(a.next(), parse("{'id':2,'result':null,'error':'canceled'}"));

  for (std::size_t i = 0; i < limits::kWaits; ++i) a.request(100, "transact", kWaitForY);
  EXPECT_EQ(a.call(3, "transact", kWaitForY)["error"]["error"], "resources exhausted");
  a.close();
  while (rpc->sessions() > 0) ASSERT_GT(io.run_one_for(seconds(20)), 0U);
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'y','n':4}}]");
  Client b(io, path);
  b.call(1, "echo", "[]");
  EXPECT_EQ(db->rows("Root").size(), 1U) << "no waiting transaction was run";
}

TEST_F(Server, AMalformedMessageEndsOnlyItsConnection) {
  Client bystander(io, path);
  std::uint64_t malformed = 0;
  for (const char* bad : {"hello", "[1,2]", "{\"a\":}", "{}", "{\"method\":\"echo\",\"id\":1}",
                          "{\"method\":5,\"params\":[],\"id\":1}", "{\"method\":\"echo\",\"params\":{},\"id\":1}"}) {
    Client c(io, path);
    c.send(bad);
    const Json told = c.next();
    ASSERT_TRUE(told.is_object()) << bad;
    EXPECT_EQ(told["error"]["error"], "syntax error") << bad;
    EXPECT_TRUE(c.next().is_null()) << bad;
    EXPECT_EQ(rpc->counters().malformed, ++malformed);
  }
  EXPECT_EQ(bystander.call(1, "echo", "[]")["id"], 1);
  bystander.send(R"({"id":7,"result":[],"error":null})");
  EXPECT_EQ(bystander.call(2, "echo", "[]")["id"], 2) << "a stray reply is ignored";
}

TEST_F(Server, ASlowReaderIsDisconnectedAlone) {
  rpc.reset();
  RpcLimits limits;
  limits.queue = 1 << 20;
  start(limits);
  Client slow(io, path);
  Client quick(io, path);
  slow.call(1, "monitor", "['T',1,{'Kid':{},'Root':{}}]");
  const std::string big(100'000, 'x');
  run(*db,
      "[{'op':'insert','table':'Kid','row':{'name':''},'uuid-name':'k'},"
      "{'op':'insert','table':'Root','row':{'name':'p','kids':['named-uuid','k']}}]");
  for (int i = 0; i < 200 && rpc->counters().slow == 0; ++i) {
    run(*db, "[{'op':'update','table':'Kid','where':[],'row':{'name':'" + big + std::to_string(i) + "'}}]");
    io.poll();
  }
  EXPECT_EQ(rpc->counters().slow, 1U);
  EXPECT_EQ(quick.call(1, "echo", "[]")["id"], 1);
  EXPECT_EQ(rpc->sessions(), 1U);
}

TEST_F(Server, TheLargestHolderIsDisconnectedAtTheCommonLimit) {
  ovsdb->memory().set_limit(2 << 20);
  Client slow(io, path);
  Client sender(io, path);
  Client quick(io, path);
  const auto settle = [this] {
    while (io.poll() > 0) continue;
  };
  const std::string filler(100'000, 'x');
  slow.call(1, "echo", "[]");
  // Unread replies: about 1.2 MB are held after the socket's buffers are full.
  for (int i = 0; i < 14; ++i) {
    slow.request(i, "echo", "['" + filler + "']");
    settle();
  }
  const std::size_t unread = ovsdb->memory().held();
  EXPECT_GT(unread, 1U << 20);
  EXPECT_EQ(rpc->counters().greedy, 0U) << "below the limit";
  // An incomplete message, smaller than the amount that the slow client holds.
  std::size_t sent = 0;
  sender.send(R"({"id":1,"method":"echo","params":[")");
  for (; rpc->counters().greedy == 0 && sent < unread; sent += filler.size()) {
    sender.send(filler);
    settle();
  }
  EXPECT_EQ(rpc->counters().greedy, 1U);
  EXPECT_GT(sent, std::size_t{500'000});
  EXPECT_LT(ovsdb->memory().held(), sent + filler.size()) << "the slow client's memory no longer counts";
  sender.send(R"("]})");
  EXPECT_EQ(sender.next()["result"][0].get_ref<const std::string&>().size(), sent)
      << "the sender was not the largest holder";
  EXPECT_EQ(quick.call(1, "echo", "[]")["id"], 1);
  EXPECT_EQ(rpc->sessions(), 2U);
  settle();
  EXPECT_EQ(ovsdb->memory().held(), 0U);
}

TEST_F(Server, RefusesMoreClientsThanItsLimit) {
  rpc.reset();
  RpcLimits limits;
  limits.clients = 1;
  start(limits);
  Client a(io, path);
  EXPECT_EQ(a.call(1, "echo", "[]")["id"], 1);
  Client b(io, path);
  EXPECT_TRUE(b.next().is_null());
  EXPECT_EQ(rpc->counters().refused, 1U);
  EXPECT_EQ(a.call(2, "echo", "[]")["id"], 2);
}

TEST_F(Server, TheSocketFileIsPrivateAndReplacesOnlyADeadServers) {
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const auto second = JsonRpcServer::listen(io, path, *ovsdb);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::exists);

  rpc.reset();
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "removed with the server";
  {
    const Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  start();
  EXPECT_EQ(Client(io, path).call(1, "echo", "[]")["id"], 1);

  EXPECT_FALSE(JsonRpcServer::listen(io, dir, *ovsdb)) << "not a socket";
  EXPECT_FALSE(JsonRpcServer::listen(io, dir + "/" + std::string(200, 'x'), *ovsdb)) << "too long";
}

TEST(RpcMethods, ReplyNowOrLater) {
  std::string dir = (std::filesystem::temp_directory_path() / "heddle-rpc-XXXXXX").string();
  ASSERT_NE(::mkdtemp(dir.data()), nullptr);
  boost::asio::io_context io;
  RpcMethods methods;
  Responder later;
  methods.add("add", [](const Json& params) -> RpcReply {
    if (params.size() != 2) return RpcReply::fail("usage", "add A B");
    return RpcReply::ok(params[0].get<int>() + params[1].get<int>());
  });
  methods.add_deferred("later", [&](const Json&, Responder respond) { later = std::move(respond); });
  auto rpc = JsonRpcServer::listen(io, dir + "/ctl", methods);
  ASSERT_TRUE(rpc);
  {
    Client c(io, dir + "/ctl");
    EXPECT_EQ(c.call(1, "add", "[2,3]")["result"], 5);
    EXPECT_EQ(c.call(2, "add", "[]")["error"]["details"], "add A B");
    EXPECT_EQ(c.call(3, "nope", "[]")["error"], "unknown method");
    c.request(4, "later", "[]");
    EXPECT_EQ(c.call(5, "echo", "[]")["id"], 5);
    later(RpcReply::ok("done"));
    EXPECT_EQ(c.next(), parse("{'id':4,'result':'done','error':null}"));
    c.request(6, "later", "[]");
    c.call(7, "echo", "[]");
  }
  while ((*rpc)->sessions() > 0) ASSERT_GT(io.run_one_for(seconds(20)), 0U);
  later(RpcReply::ok("too late"));  // does nothing
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace heddle::ovsdb
