// SPDX-License-Identifier: Apache-2.0
// References, garbage collection, observers, and the rows after a restart.
#include <fstream>

#include "tests/unit/ovsdb/fixture.h"

namespace heddle::ovsdb {
namespace {

std::size_t count(Database& db, const char* table) { return db.rows(table).size(); }

TEST(References, NamesWorkBeforeAndAfterTheirInsert) {
  const auto db = open_test();
  const Json reply =
      run(*db,
          "[{'op':'insert','table':'Kid','row':{'name':'k','pal':['named-uuid','root']},'uuid-name':'kid'},"
          "{'op':'insert','table':'Root','row':{'name':'p','kids':['named-uuid','kid']},'uuid-name':'root'}]");
  ASSERT_EQ(error_of(reply), "");
  const RowRef root = db->rows("Root").front();
  const RowRef kid = db->rows("Kid").front();
  EXPECT_EQ(root->get("kids").uuid(), kid->uuid());
  EXPECT_EQ(kid->get("pal").uuid(), root->uuid());

  EXPECT_EQ(error_of(run(*db, "[{'op':'insert','table':'Root','row':{'name':'q','kids':['named-uuid','nobody']}}]")),
            "referential integrity violation");
  EXPECT_EQ(error_of(run(*db,
                         "[{'op':'insert','table':'Root','row':{'name':'q'},'uuid-name':'a'},"
                         "{'op':'insert','table':'Root','row':{'name':'r'},'uuid-name':'a'}]")),
            "duplicate uuid-name");
}

TEST(References, UnreferencedRowsAreDeleted) {
  const auto db = open_test();
  run(*db, "[{'op':'insert','table':'Kid','row':{'name':'orphan'}}]");
  EXPECT_EQ(count(*db, "Kid"), 0U);
  // A kid with a toy with a toy: all are deleted when the root drops its reference to the kid.
  run(*db,
      "[{'op':'insert','table':'Kid','row':{'name':'a','toy':['named-uuid','b']},'uuid-name':'a'},"
      "{'op':'insert','table':'Kid','row':{'name':'b','toy':['named-uuid','c']},'uuid-name':'b'},"
      "{'op':'insert','table':'Kid','row':{'name':'c'},'uuid-name':'c'},"
      "{'op':'insert','table':'Root','row':{'name':'p','kids':['named-uuid','a']}}]");
  EXPECT_EQ(count(*db, "Kid"), 3U);
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'kids':['set',[]]}}]");
  EXPECT_EQ(count(*db, "Kid"), 0U);
}

TEST(References, AReferenceToItselfDoesNotKeepARow) {
  const auto db = open_test();
  run(*db, "[{'op':'insert','table':'Kid','row':{'name':'a','toy':['named-uuid','a']},'uuid-name':'a'}]");
  EXPECT_EQ(count(*db, "Kid"), 0U);
}

TEST(References, StrongReferencesKeepTheirTarget) {
  const auto db = open_test();
  run(*db,
      "[{'op':'insert','table':'Kid','row':{'name':'a'},'uuid-name':'a'},"
      "{'op':'insert','table':'Root','row':{'name':'p','kids':['named-uuid','a']}}]");
  const Json refused = run(*db, "[{'op':'delete','table':'Kid','where':[]}]");
  EXPECT_EQ(error_of(refused), "referential integrity violation");
  EXPECT_NE(details_of(refused).find("column kids refers to table Kid"), std::string::npos) << refused;
  EXPECT_EQ(count(*db, "Kid"), 1U);
  EXPECT_EQ(error_of(run(*db,
                         "[{'op':'insert','table':'Root','row':{'name':'q','kids':"
                         "['uuid','01234567-89ab-4def-8123-456789abcdef']}}]")),
            "referential integrity violation");
  EXPECT_EQ(error_of(run(
                *db, "[{'op':'insert','table':'Kid','row':{'toy':['uuid','01234567-89ab-4def-8123-456789abcdef']}}]")),
            "referential integrity violation")
      << "though the row would be deleted as unreferenced";
  EXPECT_EQ(error_of(run(*db, "[{'op':'delete','table':'Kid','where':[]},{'op':'delete','table':'Root','where':[]}]")),
            "");
  EXPECT_EQ(count(*db, "Kid") + count(*db, "Root"), 0U);
}

TEST(References, WeakReferencesDisappearWithTheirTarget) {
  const auto db = open_test();
  run(*db,
      "[{'op':'insert','table':'Root','row':{'name':'a'},'uuid-name':'a'},"
      "{'op':'insert','table':'Root','row':{'name':'b','weak':['set',[['named-uuid','a'],['named-uuid','b'],"
      "['uuid','01234567-89ab-4def-8123-456789abcdef']]]},'uuid-name':'b'},"
      "{'op':'insert','table':'Pair','row':{'must':['set',[['named-uuid','a'],['named-uuid','b']]]}}]");
  const RowRef b = db->find_by("Root", "name", Datum::of("b"));
  EXPECT_EQ(b->get("weak").size(), 2U) << "the dangling reference is removed";
  EXPECT_EQ(error_of(run(*db, "[{'op':'delete','table':'Root','where':[['name','==','a']]}]")), "");
  EXPECT_EQ(db->find("Root", b->uuid())->get("weak").uuids(), std::vector{b->uuid()});
  EXPECT_EQ(db->rows("Pair").front()->get("must").uuids(), std::vector{b->uuid()});
  // `pair` needs one element.
  EXPECT_EQ(error_of(run(*db, "[{'op':'delete','table':'Root','where':[]}]")), "constraint violation");
  EXPECT_EQ(count(*db, "Root"), 1U);
}

TEST(Observers, AreCalledForEveryCommitInOrder) {
  const auto db = open_test();
  std::vector<std::string> heard;
  const auto first = db->add_observer([&](const Change& change) {
    const RowChange& row = change.rows.front();
    heard.push_back("first " + std::to_string(row.after ? row.after->get("n").integer_or(-1) : -2));
    if (row.after && row.after->get("n").integer() == 1)
      run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':2}}]");
  });
  db->add_observer([&](const Change& change) {
    const RowChange& row = change.rows.front();
    heard.push_back("second " + std::to_string(row.after ? row.after->get("n").integer_or(-1) : -2));
    EXPECT_EQ(row.changed("opt"), !row.before || !row.after);
  });
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':1}}]");
  EXPECT_EQ(heard, (std::vector<std::string>{"first 1", "second 1", "first 2", "second 2"}));
  heard.clear();
  db->remove_observer(first);
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':2}}]");
  EXPECT_TRUE(heard.empty()) << "nothing changed";
  run(*db, "[{'op':'delete','table':'Root','where':[]}]");
  EXPECT_EQ(heard, std::vector<std::string>{"second -2"});
}

TEST(Observers, AreToldWhoWrote) {
  const auto db = open_test();
  std::vector<Origin> heard;
  const int me = 0;
  db->add_observer([&](const Change& change) {
    heard.push_back(change.origin);
    if (change.origin == nullptr) return;
    run(*db, "[{'op':'mutate','table':'Root','where':[],'mutations':[['big','+=',1]]}]");  // is not the writer's
  });
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':1}}]");
  EXPECT_EQ(heard, std::vector<Origin>{nullptr});
  const RowUpdate one{"Root", db->rows("Root").front()->uuid(), {{"n", Datum::of(2)}}};
  EXPECT_EQ(*db->update({&one, 1}, &me), true);
  EXPECT_EQ(heard, (std::vector<Origin>{nullptr, &me, nullptr}));
  TransactContext context;
  context.origin = &me;
  (void)db->try_transact(parse("[{'op':'delete','table':'Root','where':[]}]"), context);
  EXPECT_EQ(heard.size(), 4U) << "no row is left for the answer to change";
  EXPECT_EQ(heard.back(), &me);
}

TEST(Update, ChecksValuesAndWritesOnlyDifferences) {
  const auto db = open_test();
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':1}}]");
  int commits = 0;
  bool stored = false;
  db->add_observer([&](const Change& change) {
    ++commits;
    stored = change.rows.front().stored();
  });
  const Uuid uuid = db->rows("Root").front()->uuid();
  const auto update = [&](std::map<std::string, Datum> columns, const Uuid& row) {
    const RowUpdate one{"Root", row, std::move(columns)};
    return db->update({&one, 1});
  };
  EXPECT_EQ(*update({{"n", Datum::of(1)}, {"eph", Datum::of(0)}}, uuid), false);
  EXPECT_EQ(*update({{"eph", Datum::of(3)}}, Uuid::random()), false) << "a deleted row";
  EXPECT_EQ(commits, 0);
  EXPECT_EQ(*update({{"eph", Datum::of(3)}}, uuid), true);
  EXPECT_EQ(commits, 1);
  EXPECT_FALSE(stored);
  EXPECT_FALSE(update({{"eph", Datum::of("text")}}, uuid));
  EXPECT_FALSE(update({{"n", Datum::of(101)}, {"eph", Datum::of(4)}}, uuid));
  EXPECT_FALSE(update({{"name", Datum::of("other")}}, uuid)) << "mutable: false";
  EXPECT_FALSE(update({{"nope", Datum::of(1)}}, uuid));
  EXPECT_EQ(db->find("Root", uuid)->get("eph").integer(), 3);
}

TEST_F(Stored, RowsSurviveARestartAndEphemeralColumnsDoNot) {
  Uuid uuid;
  {
    const auto db = open_test(path);
    run(*db,
        "[{'op':'insert','table':'Kid','row':{'name':'k'},'uuid-name':'k'},{'op':'insert','table':'Root','row':"
        "{'name':'x','n':7,'eph':9,'m':['map',[['a',1]]],'kids':['named-uuid','k']}},"
        "{'op':'insert','table':'Root','row':{'name':'gone'}}]");
    run(*db, "[{'op':'delete','table':'Root','where':[['name','==','gone']]}]");
    uuid = db->rows("Root").front()->uuid();
    const auto second = Database::open(kTestSchema, path);
    ASSERT_FALSE(second) << "one process at a time";
    EXPECT_EQ(second.error().code, Errc::exists);
  }
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const auto db = open_test(path);
  ASSERT_EQ(count(*db, "Root"), 1U);
  const RowRef row = db->find("Root", uuid);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->get("n").integer(), 7);
  EXPECT_EQ(row->get("eph").integer(), 0);
  EXPECT_EQ(row->get("kids").uuid(), db->rows("Kid").front()->uuid());
  EXPECT_EQ(error_of(run(*db, "[{'op':'insert','table':'Root','row':{'name':'x'}}]")), "constraint violation")
      << "indexes are restored";
  EXPECT_EQ(error_of(run(*db, "[{'op':'delete','table':'Kid','where':[]}]")), "referential integrity violation")
      << "and so are reference counts";
}

TEST_F(Stored, AnotherSchemaKeepsFittingTablesAndColumns) {
  {
    const auto db = open_test(path);
    run(*db,
        "[{'op':'insert','table':'Kid','row':{'name':'k'},'uuid-name':'k'},{'op':'insert','table':'Root','row':"
        "{'name':'x','n':7,'mode':'b','opt':'o','s':['set',[1,2]],'kids':['named-uuid','k']}}]");
  }
  // No Kid table, n is a string, s takes one element, opt is required, mode is unchanged.
  const auto db = open_test(path, R"({"name": "T", "version": "2.0.0", "tables": {"Root": {"isRoot": true, "columns": {
      "name": {"type": "string"}, "n": {"type": "string"}, "mode": {"type": {"key": "string", "min": 0, "max": 1}},
      "s": {"type": {"key": "integer", "min": 0, "max": 1}}, "opt": {"type": "string"}, "fresh": {"type": "integer"}}}}})");
  ASSERT_EQ(count(*db, "Root"), 1U);
  const RowRef row = db->rows("Root").front();
  EXPECT_EQ(row->get("name").string(), "x");
  EXPECT_EQ(row->get("n").string(), "");
  EXPECT_EQ(row->get("mode").string(), "b");
  EXPECT_EQ(row->get("opt").string(), "o");
  EXPECT_TRUE(row->get("s").empty());
  EXPECT_EQ(row->get("fresh").integer(), 0);
}

TEST_F(Stored, RefusesASchemaThatTheRowsContradict) {
  {
    const auto db = open_test(path);
    run(*db,
        "[{'op':'insert','table':'Root','row':{'name':'x','n':1}},{'op':'insert','table':'Root','row':{'name':'y','n':"
        "1}}]");
  }
  const auto refused = [&](const char* table) {
    const auto db =
        Database::open(std::string(R"({"name": "T", "version": "2.0.0", "tables": {"Root": {"isRoot": true, )") +
                           table + R"("columns": {"name": {"type": "string"}, "n": {"type": "integer"}}}}})",
                       path);
    EXPECT_FALSE(db) << table;
    return db ? std::string() : db.error().text;
  };
  EXPECT_NE(refused(R"("indexes": [["n"]], )").find("would both have n=1"), std::string::npos);
  EXPECT_NE(refused(R"("maxRows": 1, )").find("the schema allows 1"), std::string::npos);
  EXPECT_EQ(count(*open_test(path), "Root"), 2U) << "the file is unchanged";
}

TEST_F(Stored, RefusesAFileThatIsNoDatabase) {
  std::ofstream(path) << std::string(8192, 'x');
  const auto db = Database::open(kTestSchema, path);
  ASSERT_FALSE(db);
  EXPECT_NE(db.error().text.find(path), std::string::npos);
  EXPECT_NE(db.error().text.find("move it away"), std::string::npos) << db.error().text;
  EXPECT_EQ(std::filesystem::file_size(path), 8192U);
  EXPECT_FALSE(Database::open(kTestSchema, dir / "no" / "such" / "place"));
}

}  // namespace
}  // namespace heddle::ovsdb
