// SPDX-License-Identifier: Apache-2.0
// monitor_cond, monitor_cond_since and monitor_cond_change (ovsdb-server(7) sections 4.1.12 to 4.1.16). The expected
// messages were observed from Open vSwitch's ovsdb-server.
#include "tests/unit/ovsdb/rpc_fixture.h"

namespace heddle::ovsdb {
namespace {

using CondMonitor = ServerFixture;
using Client = TestClient;
constexpr const char* kZero = "00000000-0000-0000-0000-000000000000";

// The only row's update in the only table of an "update2", "update3" or result.
Json only(const Json& updates) {
  EXPECT_EQ(updates.size(), 1U) << updates;
  if (updates.size() != 1 || updates.begin()->size() != 1) return nullptr;
  return *updates.begin()->begin();
}
std::string since(const std::string& id, const std::string& requests, const std::string& last) {
  return "['T','" + id + "'," + requests + ",'" + last + "']";
}

TEST_F(CondMonitor, UpdatesHaveDifferencesOnly) {
  Client c(io, path);
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':1,'s':['set',[1,2]],'m':['map',[['a',1],['b',2]]]}}]");
  const Json initial =
      c.call(1, "monitor_cond", "['T','m',{'Root':[{'columns':['name','n','b','opt','s','m']}]}]")["result"];
  EXPECT_EQ(only(initial), parse("{'initial':{'name':'x','n':1,'s':['set',[1,2]],'m':['map',[['a',1],['b',2]]]}}"))
      << "columns at their default are left out";

  run(*db,
      "[{'op':'update','table':'Root','where':[],'row':{'s':['set',[2,3]],'opt':'o','m':['map',[['a',9],['c',3]]]}}]");
  Json update = c.next();
  EXPECT_EQ(update["method"], "update2");
  EXPECT_EQ(update["params"][0], "m");
  EXPECT_EQ(only(update["params"][1]),
            parse("{'modify':{'opt':'o','s':['set',[1,3]],'m':['map',[['a',9],['b',2],['c',3]]]}}"));

  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'opt':['set',[]],'n':2,'r':1.5}}]");
  EXPECT_EQ(only(c.next()["params"][1]), parse("{'modify':{'opt':['set',[]],'n':2}}")) << "new values of scalars";
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'r':2.5}}]");
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'y','b':true}}]");
  EXPECT_EQ(only(c.next()["params"][1]), parse("{'insert':{'name':'y','b':true}}"));
  run(*db, "[{'op':'delete','table':'Root','where':[['name','==','y']]}]");
  EXPECT_EQ(only(c.next()["params"][1]), parse("{'delete':null}"));
}

TEST_F(CondMonitor, RowsEnterAndLeaveTheView) {
  Client c(io, path);
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':1}}]");
  EXPECT_EQ(c.call(1, "monitor_cond",
                   "['T','m',{'Root':[{'columns':['name'],'where':[['n','==',2],['n','==',3]]}]}]")["result"],
            Json::object());
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':2}}]");
  EXPECT_EQ(only(c.next()["params"][1]), parse("{'insert':{'name':'x'}}"));
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':3}}]");  // in view, but not a monitored column
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':4}}]");
  EXPECT_EQ(only(c.next()["params"][1]), parse("{'delete':null}"));

  c.request(2, "monitor_cond_change", "['m','m2',{'Root':[{'where':[['n','==',4]]}]}]");
  const Json told = c.next();
  EXPECT_EQ(told["params"], Json::array({"m2", told["params"][1]})) << "under the new id, before the reply";
  EXPECT_EQ(only(told["params"][1]), parse("{'insert':{'name':'x'}}"));
  EXPECT_EQ(c.next()["id"], 2);
  c.request(3, "monitor_cond_change", "['m2','m2',{'Root':[{'where':[false]}]}]");
  EXPECT_EQ(only(c.next()["params"][1]), parse("{'delete':null}"));
  EXPECT_EQ(c.next()["result"], Json::object());
  c.request(4, "monitor_cond_change", "['m2','m2',{'Root':[{}]}]");
  EXPECT_EQ(only(c.next()["params"][1]), parse("{'insert':{'name':'x'}}"));
  EXPECT_EQ(c.next()["id"], 4);

  c.call(5, "monitor", "['T','old',{'Root':{}}]");
  for (const char* bad : {"['old','old',{}]", "['m2','old',{}]", "['nope','m',{}]", "['m2','m2',{'Kid':{}}]", "['m2']",
                          "['m2','m2',{'Root':[{'where':[['nope','==',1]]}]}]", "['m2','m2',{'Root':[{'where':5}]}]"})
    EXPECT_TRUE(c.call(6, "monitor_cond_change", bad)["error"].is_object()) << bad;
  EXPECT_TRUE(c.call(7, "monitor_cond", "['T','z',{'Root':{'where':[['name','==',['named-uuid','q']]]}}]")["error"]
                  .is_object());
}

TEST_F(CondMonitor, OptionalNumbersCanBeOrdered) {
  const char* schema = R"({"name": "T", "version": "1.0.0", "tables": {"A": {"columns": {
      "o": {"type": {"key": "integer", "min": 0, "max": 1}}, "s": {"type": "string"}}}}})";
  const auto other = open_test({}, schema);
  run(*other, "[{'op':'insert','table':'A','row':{'o':3}},{'op':'insert','table':'A','row':{}}]");
  for (const char* function : {"<", "<=", ">", ">="}) {
    const Json rows =
        run(*other, std::string("[{'op':'select','table':'A','where':[['o','") + function + "',3]]}]")[0]["rows"];
    EXPECT_EQ(rows.size(), std::string(function).size() == 2 ? 1U : 0U) << function << ": an empty value never matches";
  }
  EXPECT_EQ(error_of(run(*other, "[{'op':'select','table':'A','where':[['s','<','x']]}]")), "syntax error");
}

TEST_F(CondMonitor, AReconnectingClientGetsTheMissedChanges) {
  constexpr const char* all = "{'Root':[{'columns':['name','n']}]}";
  run(*db,
      "[{'op':'insert','table':'Root','row':{'name':'x','n':1}},{'op':'insert','table':'Root','row':{'name':'y'}}]");
  std::string last;
  {
    Client c(io, path);
    const Json first = c.call(1, "monitor_cond_since", since("m", all, kZero))["result"];
    EXPECT_EQ(first[0], false);
    EXPECT_EQ(first[2]["Root"].size(), 2U);
    run(*db, "[{'op':'update','table':'Root','where':[['name','==','x']],'row':{'n':2}}]");
    const Json update = c.next();
    EXPECT_EQ(update["method"], "update3");
    EXPECT_EQ(only(update["params"][2]), parse("{'modify':{'n':2}}"));
    last = update["params"][1].get<std::string>();
  }
  Client c(io, path);
  const Json nothing = c.call(1, "monitor_cond_since", since("a", all, last))["result"];
  EXPECT_EQ(nothing, Json::array({true, last, Json::object()}));
  // A row changed twice, a row inserted and deleted, a row deleted: each row once, with the sum of its changes.
  run(*db, "[{'op':'update','table':'Root','where':[['name','==','x']],'row':{'n':3}}]");
  run(*db,
      "[{'op':'update','table':'Root','where':[['name','==','x']],'row':{'n':4}},"
      "{'op':'insert','table':'Root','row':{'name':'z'}}]");
  run(*db, "[{'op':'delete','table':'Root','where':[['name','!=','x']]}]");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(c.next()["method"], "update3");
  const Json missed = c.call(2, "monitor_cond_since", since("b", all, last))["result"];
  EXPECT_EQ(missed[0], true);
  EXPECT_EQ(missed[1], db->last_transaction().to_string());
  std::vector<Json> rows(missed[2]["Root"].begin(), missed[2]["Root"].end());
  std::sort(rows.begin(), rows.end());
  ASSERT_EQ(rows.size(), 2U) << missed;
  EXPECT_EQ(rows[0], parse("{'delete':null}"));
  EXPECT_EQ(rows[1], parse("{'modify':{'n':4}}"));
  EXPECT_TRUE(c.call(3, "monitor_cond_since", since("d", all, "no-uuid"))["error"].is_object());
}

TEST_F(CondMonitor, TheHistoryIsBounded) {
  constexpr const char* all = "{'Root':[{'columns':['n']}]}";
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x'}}]");
  const std::string first = db->last_transaction().to_string();
  std::string second;
  for (std::size_t i = 0; i <= limits::kHistory; ++i) {
    run(*db, "[{'op':'mutate','table':'Root','where':[],'mutations':[['big','+=',1]]}]");
    if (i == 0) second = db->last_transaction().to_string();
  }
  Client c(io, path);
  EXPECT_EQ(c.call(1, "monitor_cond_since", since("a", all, first))["result"][0], false);
  EXPECT_EQ(c.call(2, "monitor_cond_since", since("b", all, second))["result"][0], true);
}

TEST_F(CondMonitor, TheHistoryOfLargeRowsIsShorter) {
  constexpr const char* all = "{'Root':[{'columns':['n']}]}";
  constexpr std::size_t size = 1U << 20;
  const auto write = [&](std::size_t i) {
    run(*db, "[{'op':'update','table':'Kid','where':[],'row':{'name':'" + std::string(size, 'x') + std::to_string(i) +
                 "'}}]");
  };
  run(*db,
      "[{'op':'insert','table':'Kid','row':{},'uuid-name':'k'},"
      "{'op':'insert','table':'Root','row':{'name':'p','kids':['named-uuid','k']}}]");
  const std::string first = db->last_transaction().to_string();
  for (std::size_t i = 0; i < limits::kHistoryBytes / size / 2; ++i) write(i);
  const std::string later = db->last_transaction().to_string();
  Client c(io, path);
  EXPECT_EQ(c.call(1, "monitor_cond_since", since("a", all, first))["result"][0], true);
  for (std::size_t i = 0; i < limits::kHistoryBytes / size * 3 / 4; ++i) write(i);
  EXPECT_EQ(c.call(2, "monitor_cond_since", since("b", all, first))["result"][0], false);
  EXPECT_EQ(c.call(3, "monitor_cond_since", since("c", all, later))["result"][0], true);
}

TEST_F(CondMonitor, SessionsWithEqualMonitorsGetEqualUpdates) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(io, path));
    clients.back()->call(1, "monitor_cond_since",
                         since("m" + std::to_string(i % 3), "{'Root':[{'columns':['name']}]}", kZero));
  }
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x'}}]");
  for (int i = 0; i < 20; ++i) {
    const Json update = clients[static_cast<std::size_t>(i)]->next();
    EXPECT_EQ(update["params"][0], "m" + std::to_string(i % 3));
    EXPECT_EQ(update["params"][1], db->last_transaction().to_string());
    EXPECT_EQ(only(update["params"][2]), parse("{'insert':{'name':'x'}}"));
  }
}

TEST_F(CondMonitor, TheServerDescribesItself) {
  Client c(io, path);
  const Json rows = c.call(1, "monitor_cond",
                           "['_Server',1,{'Database':[{'columns':['name','model','connected',"
                           "'leader','schema','cid','sid','index'],'where':[['name','==','T']]}]}]");
  const Json row = only(rows["result"])["initial"];
  EXPECT_EQ(row["name"], "T");
  EXPECT_EQ(row["model"], "standalone");
  EXPECT_EQ(row["connected"], true);
  EXPECT_EQ(row["leader"], true);
  EXPECT_EQ(parse_json(row["schema"].get<std::string>()).value(), db->schema().json());
  EXPECT_FALSE(row.contains("cid") || row.contains("sid") || row.contains("index"));
  EXPECT_EQ(c.call(2, "get_schema", "['_Server']")["result"]["name"], "_Server");
  for (const char* write :
       {"{'op':'delete','table':'Database','where':[]}", "{'op':'insert','table':'Database','row':{}}",
        "{'op':'update','table':'Database','where':[],'row':{'leader':false}}",
        "{'op':'mutate','table':'Database','where':[],'mutations':[]}"})
    EXPECT_EQ(c.call(3, "transact", std::string("['_Server',") + write + "]")["result"][0]["error"],
              "permission error");
  const Json read = c.call(4, "transact", "['_Server',{'op':'select','table':'Database','where':[]}]")["result"];
  EXPECT_EQ(read[0]["rows"].size(), 2U);
  EXPECT_EQ(c.call(5, "monitor", "['T',1,{}]")["error"]["error"], "syntax error") << "ids are shared by all databases";

  const Json id = c.call(6, "get_server_id", "[]")["result"];
  EXPECT_TRUE(Uuid::parse(id.get<std::string>()));
  c.send(R"({"method":"get_server_id","params":null,"id":7})");
  EXPECT_EQ(c.next()["result"], id) << "some clients send null for no parameters";
  EXPECT_EQ(c.call(8, "set_db_change_aware", "[true]")["result"], Json::object());
  EXPECT_EQ(c.call(9, "set_db_change_aware", "[5]")["error"]["error"], "syntax error");
  EXPECT_EQ(c.call(10, "convert", "['T',{}]")["error"]["error"], "not supported");
}

TEST_F(CondMonitor, MonitorsAreLimitedOverAllDatabases) {
  Client c(io, path);
  for (std::size_t i = 0; i < limits::kMonitors; ++i) {
    const std::string name = i % 2 == 0 ? "T" : "_Server";
    EXPECT_TRUE(c.call(1, "monitor_cond", "['" + name + "'," + std::to_string(i) + ",{}]")["error"].is_null());
  }
  EXPECT_EQ(c.call(2, "monitor_cond", "['T','more',{}]")["error"]["error"], "resources exhausted");
  EXPECT_EQ(c.call(3, "monitor_cancel", "[0]")["result"], Json::object());
  const std::string huge(limits::kJsonMessage / limits::kMonitors, 'x');
  EXPECT_EQ(c.call(5, "monitor_cond", "['T','" + huge + "',{}]")["error"]["error"], "resources exhausted");
  EXPECT_TRUE(c.call(4, "monitor_cond", "['T','more',{}]")["error"].is_null());
}

}  // namespace
}  // namespace heddle::ovsdb
