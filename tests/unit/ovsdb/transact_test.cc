// SPDX-License-Identifier: Apache-2.0
// The operations of RFC 7047 section 5.2 and their errors, as JSON in and JSON out.
#include "tests/unit/ovsdb/fixture.h"

namespace heddle::ovsdb {
namespace {

struct Transact : testing::Test {
  std::unique_ptr<Database> db = open_test();
  void SetUp() override {
    ASSERT_EQ(error_of(run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':5}}]")), "");
  }
};

TEST_F(Transact, InsertReturnsTheUuidAndSetsDefaults) {
  const Json reply = run(*db, "[{'op':'insert','table':'Root','row':{'name':'y','mode':'b'}}]");
  const auto uuid = Uuid::parse(reply[0]["uuid"][1].get<std::string>());
  const RowRef row = db->find("Root", *uuid);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->get("name").string(), "y");
  EXPECT_EQ(row->get("mode").string(), "b");
  EXPECT_EQ(row->get("n").integer(), 0);
  EXPECT_EQ(row->get("r").real(), 0.0);
  EXPECT_EQ(row->get("b").boolean(), false);
  EXPECT_TRUE(row->get("opt").empty());
  EXPECT_TRUE(row->get("nonsense").empty());
  EXPECT_EQ(db->find_by("Root", "name", Datum::of("y")), row);
  EXPECT_EQ(db->find_by("Root", "mode", Datum::of("b")), row);
}

TEST_F(Transact, ErrorsHaveTheStringsOfTheProtocol) {
  struct Case {
    const char* operation;
    const char* error;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"5", "syntax error"},
           {"{'noop':1}", "syntax error"},
           {"{'op':'frob'}", "unknown operation"},
           {"{'op':'insert'}", "syntax error"},
           {"{'op':'insert','table':'Nope','row':{}}", "unknown table"},
           {"{'op':'insert','table':'Root','row':{'nope':1}}", "unknown column"},
           {"{'op':'insert','table':'Root','row':{},'extra':1}", "syntax error"},
           {"{'op':'insert','table':'Root','row':{'_uuid':['uuid','01234567-89ab-4def-8123-456789abcdef']}}",
            "constraint violation"},
           {"{'op':'insert','table':'Root','row':{},'uuid-name':'1a'}", "syntax error"},
           {"{'op':'update','table':'Root','where':[],'row':{'name':'z'}}", "constraint violation"},
           {"{'op':'update','table':'Root','row':{}}", "syntax error"},
           {"{'op':'update','table':'Root','where':5,'row':{}}", "syntax error"},
           {"{'op':'update','table':'Root','where':[['n','<>',1]],'row':{}}", "unknown function"},
           {"{'op':'update','table':'Root','where':[['n','<']],'row':{}}", "syntax error"},
           {"{'op':'update','table':'Root','where':[['nope','==',0]],'row':{}}", "unknown column"},
           {"{'op':'select','table':'Root','where':[['name','<','a']]}", "syntax error"},
           {"{'op':'select','table':'Root','where':[['opt','>','a']]}", "syntax error"},
           {"{'op':'select','table':'Root','where':[['n','<',['set',[1,2]]]]}", "syntax error"},
           {"{'op':'select','table':'Root','where':[],'columns':['nope']}", "unknown column"},
           {"{'op':'select','table':'Root','where':[],'columns':['n','n']}", "syntax error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['n','+=',200]]}", "constraint violation"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['n','/=',0]]}", "domain error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['r','/=',0]]}", "domain error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['r','%=',2]]}", "syntax error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['big','+=',9223372036854775807],['big','+=',1]]}",
            "range error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['r','+=',1e308],['r','*=',10]]}", "range error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['name','insert','q']]}", "constraint violation"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['n','insert',1]]}", "syntax error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['m','+=',1]]}", "syntax error"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['n','frob',1]]}", "unknown mutator"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['_version','+=',1]]}", "constraint violation"},
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['s','insert',['set',[1,2,3,4]]]]}",
            "constraint violation"},
           // The result of every mutation is checked, not only of the last.
           {"{'op':'mutate','table':'Root','where':[],'mutations':[['s','insert',['set',[1,2,3]]],['s','insert',4],"
            "['s','delete',1]]}",
            "constraint violation"},
           // A condition's value must fit the column, except for the number of its elements.
           {"{'op':'select','table':'Root','where':[['n','==',101]]}", "constraint violation"},
           {"{'op':'select','table':'Root','where':[['mode','includes','c']]}", "constraint violation"},
           {"{'op':'select','table':'Root','where':[['s','==',['set',[1,2,3,4]]]]}", "constraint violation"},
           {"{'op':'select','table':'Root','where':[['s','includes',['set',[1,2,3,4]]]]}", "constraint violation"},
           {"{'op':'select','table':'Root','where':[['n','==',['set',[]]]]}", "constraint violation"},
           {"{'op':'wait','table':'Root','where':[],'columns':['n'],'until':'<','rows':[]}", "syntax error"},
           {"{'op':'wait','table':'Root','timeout':-1,'where':[],'columns':['n'],'until':'==','rows':[]}",
            "syntax error"},
           {"{'op':'wait','table':'Root','timeout':0,'where':[],'columns':['n'],'until':'==','rows':[]}", "timed out"},
           {"{'op':'commit'}", "syntax error"},
           {"{'op':'comment'}", "syntax error"},
           {"{'op':'abort'}", "aborted"},
           {"{'op':'assert','lock':'l'}", "not owner"},
       }) {
    const Json reply = run(*db, "[" + std::string(c.operation) + "]");
    EXPECT_EQ(error_of(reply), c.error) << c.operation << "\n" << reply;
    EXPECT_FALSE(details_of(reply).empty());
  }
  EXPECT_EQ(column(*db, "x", "n"), 5);
}

TEST_F(Transact, AFailureRollsBackAndSkipsTheRest) {
  const Json reply = run(*db,
                         "[{'op':'update','table':'Root','where':[],'row':{'n':9}},"
                         "{'op':'insert','table':'Root','row':{'name':'y'}},"
                         "{'op':'abort'},{'op':'comment','comment':'never'},{'op':'comment','comment':'either'}]");
  ASSERT_EQ(reply.size(), 5U);
  EXPECT_EQ(reply[0], parse("{'count':1}"));
  EXPECT_TRUE(reply[1].contains("uuid"));
  EXPECT_EQ(reply[2]["error"], "aborted");
  EXPECT_TRUE(reply[3].is_null() && reply[4].is_null());
  EXPECT_EQ(column(*db, "x", "n"), 5);
  EXPECT_EQ(db->rows("Root").size(), 1U);
}

TEST_F(Transact, AFailureAtCommitIsAnAdditionalResult) {
  const Json reply = run(*db, "[{'op':'insert','table':'Root','row':{'name':'x'}}]");
  ASSERT_EQ(reply.size(), 2U);
  EXPECT_EQ(reply[1]["error"], "constraint violation");
  EXPECT_NE(details_of(reply).find("name=\"x\""), std::string::npos) << reply;
  EXPECT_EQ(db->rows("Root").size(), 1U);
}

TEST_F(Transact, ConditionsSelectRows) {
  run(*db,
      "[{'op':'insert','table':'Root','row':{'name':'y','n':7,'s':['set',[1,2]],'opt':'o','r':0.5,"
      "'m':['map',[['a',1],['b',2]]]}}]");
  struct Case {
    const char* where;
    std::size_t rows;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"[]", 2},
           {"[['n','<',7]]", 1},
           {"[['n','<=',7]]", 2},
           {"[['n','>=',7]]", 1},
           {"[['n','>',7]]", 0},
           {"[['n','!=',5]]", 1},
           {"[['r','>',0.1]]", 1},
           {"[['n','==',99]]", 0},
           {"[['n','==',5],['name','==','y']]", 0},
           {"[['s','includes',1]]", 1},
           {"[['s','includes',['set',[]]]]", 2},
           {"[['s','includes',['set',[1,3]]]]", 0},
           {"[['s','excludes',['set',[1,3]]]]", 1},
           {"[['s','excludes',['set',[4]]]]", 2},
           {"[['s','excludes',['set',[4,5,6,7,8]]]]", 2},
           {"[['s','==',['set',[2,1]]]]", 1},
           {"[['m','includes',['map',[['a',1]]]]]", 1},
           {"[['m','includes',['map',[['a',2]]]]]", 0},
           {"[['m','excludes',['map',[['a',1]]]]]", 1},
           {"[['m','excludes',['map',[['a',2]]]]]", 2},
           {"[['opt','==',['set',[]]]]", 1},
           {"[['opt','==','o']]", 1},
           {"[['b','==',false]]", 2},
           {"[true]", 2},
           {"[false]", 0},
           {"[['_uuid','==',['uuid','01234567-89ab-4def-8123-456789abcdef']]]", 0},
       }) {
    const Json reply =
        run(*db, "[{'op':'select','table':'Root','columns':['name'],'where':" + std::string(c.where) + "}]");
    EXPECT_EQ(reply[0]["rows"].size(), c.rows) << c.where << " " << reply;
  }
}

TEST_F(Transact, MutationsChangeValues) {
  struct Case {
    const char* column;
    const char* before;
    const char* mutations;
    const char* after;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"n", "5", "[['n','+=',2]]", "7"},
           {"n", "5", "[['n','-=',2],['n','*=',4]]", "12"},
           {"n", "17", "[['n','/=',5]]", "3"},
           {"n", "17", "[['n','%=',5]]", "2"},
           {"big", "-9223372036854775808", "[['big','%=',-1]]", "0"},
           {"r", "1.5", "[['r','*=',2]]", "3.0"},
           {"s", "['set',[1,2]]", "[['s','+=',1]]", "['set',[2,3]]"},
           {"s", "['set',[1,2]]", "[['s','insert',['set',[2,3]]]]", "['set',[1,2,3]]"},
           {"s", "['set',[1,2]]", "[['s','delete',2],['s','delete',9]]", "1"},
           {"s", "['set',[1,2,3]]", "[['s','delete',1],['s','insert',4]]", "['set',[2,3,4]]"},
           {"opt", "'a'", "[['opt','delete','a'],['opt','insert','b']]", "'b'"},
           {"m", "['map',[['a',1]]]", "[['m','insert',['map',[['a',9],['b',2]]]]]", "['map',[['a',1],['b',2]]]"},
           {"m", "['map',[['a',1],['b',2]]]", "[['m','delete',['map',[['a',9],['b',2]]]]]", "['map',[['a',1]]]"},
           {"m", "['map',[['a',1],['b',2]]]", "[['m','delete',['set',['a','c']]]]", "['map',[['b',2]]]"},
           {"m", "['map',[['a',1],['b',2]]]", "[['m','delete','a']]", "['map',[['b',2]]]"},
       }) {
    const std::string set =
        "{'op':'update','table':'Root','where':[],'row':{'" + std::string(c.column) + "':" + c.before + "}}";
    const Json reply =
        run(*db, "[" + set + ",{'op':'mutate','table':'Root','where':[],'mutations':" + c.mutations + "}]");
    EXPECT_EQ(error_of(reply), "") << c.mutations << reply;
    EXPECT_EQ(column(*db, "x", c.column), parse(c.after)) << c.mutations;
  }
  EXPECT_EQ(error_of(run(*db,
                         "[{'op':'update','table':'Root','where':[],'row':{'s':['set',[1,2]]}},"
                         "{'op':'mutate','table':'Root','where':[],'mutations':[['s','*=',0]]}]")),
            "constraint violation");
}

TEST_F(Transact, SelectSeesEarlierOperations) {
  const Json reply = run(*db,
                         "[{'op':'insert','table':'Root','row':{'name':'y','n':6}},"
                         "{'op':'mutate','table':'Root','where':[],'mutations':[['n','+=',1]]},"
                         "{'op':'delete','table':'Root','where':[['name','==','x']]},"
                         "{'op':'select','table':'Root','where':[],'columns':['name','n']},"
                         "{'op':'select','table':'Root','where':[['name','==','x']],'columns':[]}]");
  EXPECT_EQ(reply[1]["count"], 2);
  EXPECT_EQ(reply[3]["rows"], parse("[{'name':'y','n':7}]"));
  EXPECT_EQ(reply[4]["rows"], parse("[]"));
}

TEST_F(Transact, AVersionChangesOnlyWithTheRow) {
  const Json before = column(*db, "x", "_version");
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':5}}]");
  EXPECT_EQ(column(*db, "x", "_version"), before);
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':6}}]");
  EXPECT_NE(column(*db, "x", "_version"), before);
}

TEST_F(Transact, RowLimitAndUniqueNamesHoldAtCommit) {
  std::string operations;
  for (int i = 0; i < 5; ++i)
    operations +=
        std::string(i > 0 ? "," : "") + "{'op':'insert','table':'Root','row':{'name':'r" + std::to_string(i) + "'}}";
  EXPECT_EQ(error_of(run(*db, "[" + operations + "]")), "constraint violation");
  EXPECT_EQ(error_of(run(*db, "[" + operations + ",{'op':'delete','table':'Root','where':[['name','==','x']]}]")), "");
  // A name may pass from a deleted row to a new one.
  EXPECT_EQ(error_of(run(*db,
                         "[{'op':'delete','table':'Root','where':[['name','==','r1']]},"
                         "{'op':'insert','table':'Root','row':{'name':'r1'}}]")),
            "");
  EXPECT_EQ(error_of(run(*db,
                         "[{'op':'insert','table':'Root','row':{'name':'q'}},{'op':'delete','table':'Root',"
                         "'where':[['name','==','r0']]},{'op':'delete','table':'Root','where':[['name','==','r2']]},"
                         "{'op':'insert','table':'Root','row':{'name':'q'}}]")),
            "constraint violation");
}

TEST_F(Transact, WaitComparesRowsAsSets) {
  const auto wait = [&](const char* rest) {
    return error_of(run(*db, "[{'op':'wait','table':'Root','timeout':0,'where':[]," + std::string(rest) + "}]"));
  };
  EXPECT_EQ(wait("'columns':['name'],'until':'==','rows':[{'name':'x'}]"), "");
  EXPECT_EQ(wait("'columns':['name'],'until':'==','rows':[{'name':'x'},{'name':'x'}]"), "");
  EXPECT_EQ(wait("'columns':['name'],'until':'!=','rows':[{'name':'x'}]"), "timed out");
  EXPECT_EQ(wait("'columns':['name'],'until':'!=','rows':[{'name':'q'}]"), "");
  EXPECT_EQ(wait("'columns':['n','b'],'until':'==','rows':[{'n':5}]"), "") << "a missing column means the default";
}

TEST_F(Transact, WaitBlocksUntilItsTimeout) {
  const Json operations = parse(
      "[{'op':'update','table':'Root','where':[],'row':{'n':8}},"
      "{'op':'wait','table':'Root','timeout':100,'where':[],'columns':['n'],'until':'==','rows':[{'n':9}]}]");
  using std::chrono::milliseconds;
  const auto at_once = db->try_transact(operations, Duration::zero());
  EXPECT_TRUE(at_once.blocked);
  EXPECT_EQ(at_once.wait_table, "Root");
  EXPECT_EQ(at_once.wait_timeout, milliseconds(100));
  EXPECT_EQ(column(*db, "x", "n"), 5) << "a blocked transaction changes nothing";
  EXPECT_TRUE(db->try_transact(operations, milliseconds(99)).blocked);
  const auto late = db->try_transact(operations, milliseconds(100));
  EXPECT_FALSE(late.blocked);
  EXPECT_EQ(late.reply[1]["error"], "timed out");
  EXPECT_EQ(error_of(db->transact(operations)), "timed out") << "transact() does not wait";
}

TEST_F(Transact, TheNumberOfOperationsIsBounded) {
  EXPECT_EQ(error_of(db->transact(Json("text"))), "syntax error");
  EXPECT_EQ(db->transact(Json::array()), Json::array());
  const Json many(limits::kOperations + 1, parse("{'op':'comment','comment':''}"));
  EXPECT_EQ(error_of(db->transact(many)), "resources exhausted");
}

// The extension of ovsdb-server(7) section 5.2.1.
TEST(Extensions, AnInsertMaySetItsUuid) {
  const auto db = open_test();
  constexpr const char* uuid = "11111111-1111-1111-1111-111111111111";
  const auto insert = [&](const std::string& name, const std::string& more = {}) {
    return std::string("{'op':'insert','table':'Root','uuid':'") + uuid + "','row':{'name':'" + name + "'}" + more +
           "}";
  };
  EXPECT_EQ(run(*db, "[" + insert("x") + "]"), parse(std::string("[{'uuid':['uuid','") + uuid + "']}]"));
  EXPECT_EQ(error_of(run(*db, "[" + insert("y") + "]")), "duplicate uuid");
  EXPECT_EQ(error_of(run(*db, "[{'op':'delete','table':'Root','where':[]}," + insert("y") + "]")), "duplicate uuid");
  run(*db, "[{'op':'delete','table':'Root','where':[]}]");
  EXPECT_EQ(error_of(run(*db, "[" + insert("y", ",'uuid-name':'u'") +
                                  ",{'op':'insert','table':'Pair','row':{'must':['named-uuid','u']}}]")),
            "");
  EXPECT_EQ(db->rows("Pair").front()->get("must").uuid(), Uuid::parse(uuid));
  EXPECT_EQ(error_of(run(*db, "[{'op':'insert','table':'Root','uuid':'x','row':{'name':'z'}}]")), "syntax error");
}

TEST(Extensions, ColumnsWithWeakReferencesAreAlwaysMutable) {
  const auto db = open_test({}, R"({"name": "T", "version": "1.0.0", "tables": {"A": {"isRoot": true, "columns": {
      "w": {"type": {"key": {"type": "uuid", "refTable": "A", "refType": "weak"}, "min": 0, "max": 1},
            "mutable": false}}}}})");
  run(*db,
      "[{'op':'insert','table':'A','row':{},'uuid-name':'a'},{'op':'insert','table':'A','row':{'w':['named-uuid','a']}}"
      "]");
  EXPECT_EQ(error_of(run(*db, "[{'op':'update','table':'A','where':[],'row':{'w':['set',[]]}}]")), "");
}

}  // namespace
}  // namespace heddle::ovsdb
