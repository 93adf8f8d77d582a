// SPDX-License-Identifier: Apache-2.0
// The file after commits: a database on disk is compared with one in memory that runs the same transactions. A copy of
// the file stands for its state after a kill at that moment.
#include "ovsdb/journal.h"

#include <cstdlib>
#include <filesystem>
#include <random>

#include "ovsdb/store.h"
#include "tests/unit/ovsdb/fixture.h"

namespace heddle::ovsdb {
namespace {

namespace fs = std::filesystem;

std::uint64_t seed() {
  const char* given = std::getenv("HEDDLE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

// All stored columns of all rows, by table, in order.
std::string contents(const Database& db) {
  std::string out;
  for (const auto& [name, table] : db.schema().tables())
    for (const RowRef& row : db.rows(name)) {
      const auto stored = to_stored({&table, row->uuid(), nullptr, row});
      out += name + " " + stored.uuid + " " + *stored.columns + "\n";
    }
  return out;
}

// Transactions that insert, change and delete rows of every kind, with sets and maps that grow and shrink.
class Story {
 public:
  explicit Story(std::uint64_t seed) : random_(seed) {}

  std::string next(const Database& db) {
    switch (below(8)) {
      case 0:
        return "{'op':'insert','table':'Root','uuid':'" + uuid() + "','row':{'name':'" + std::to_string(++last_) +
               "','opt':'a','n':5}}";
      case 1:
        return "{'op':'delete','table':'Root','where':[['name','==','" + std::to_string(last_ - below(4)) + "']]}";
      case 2:
        return on_one(db, "'row':{'opt':" + std::string(below(2) == 0 ? "['set',[]]" : "'x'") +
                              ",'n':" + std::to_string(below(3)) + ",'eph':7,'s':" + integers() + "}");
      case 3:
        return on_one(db, mutation("m", below(2) == 0 ? "insert" : "delete", pair()));
      case 4:
        return kid() + "," + on_one(db, mutation("kids", "insert", "['named-uuid','kid']"));
      case 5:
        return on_one(db, mutation("kids", "delete", a_kid(db)));
      case 6:
        return on_one(db, mutation("s", below(2) == 0 ? "insert" : "delete", integers()));
      default:
        return on_one(db, "'row':{'m':['map',[]],'weak':" + all_roots(db) + "}");
    }
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  std::string uuid() {
    Uuid out;
    for (auto& byte : out.bytes) byte = static_cast<std::uint8_t>(random_());
    return out.to_string();
  }
  // An operation on one of the roots, or on none.
  std::string on_one(const Database& db, const std::string& what) {
    const auto rows = db.rows("Root");
    const auto uuid = rows.empty() ? Uuid{} : rows[below(rows.size())]->uuid();
    return "{'op':'" + std::string(what.starts_with("'row'") ? "update" : "mutate") +
           "','table':'Root','where':[['_uuid','==',['uuid','" + uuid.to_string() + "']]]," + what + "}";
  }
  static std::string mutation(const std::string& column, const std::string& mutator, const std::string& value) {
    return "'mutations':[['" + column + "','" + mutator + "'," + value + "]]";
  }
  std::string integers() { return "['set',[" + std::to_string(below(5)) + (below(2) == 0 ? ",9]]" : "]]"); }
  std::string pair() { return "['map',[['k" + std::to_string(below(6)) + "'," + std::to_string(below(2)) + "]]]"; }
  // Sometimes a large row, so that the journal is folded.
  std::string kid() {
    const std::string name(below(3) > 0 ? 60000 + below(60000) : below(20), 'x');
    return "{'op':'insert','table':'Kid','uuid':'" + uuid() + "','uuid-name':'kid','row':{'name':'" + name + "'}}";
  }
  std::string a_kid(const Database& db) {
    const auto kids = db.rows("Kid");
    const auto uuid = kids.empty() ? Uuid{} : kids[below(kids.size())]->uuid();
    return "['uuid','" + uuid.to_string() + "']";
  }
  static std::string all_roots(const Database& db) {
    std::string out = "['set',[";
    for (const RowRef& row : db.rows("Root"))
      out += std::string(out.ends_with('[') ? "" : ",") + "['uuid','" + row->uuid().to_string() + "']";
    return out + "]]";
  }

  std::mt19937_64 random_;
  std::size_t last_ = 0;
};

struct Journal : Stored {
  // Opens a copy of the file, as after a kill.
  std::string after_kill() {
    const fs::path other = dir / "copy";
    fs::remove_all(other);
    fs::create_directory(other);
    for (const std::string end : {"", "-wal"})
      if (fs::exists(path + end)) fs::copy(path + end, other / ("db" + end));
    return contents(*open_test((other / "db").string()));
  }
  // The number of rows in the journal.
  std::size_t names() {
    auto store = Store::open(path);
    EXPECT_TRUE(store);
    auto loaded = (*store)->load();
    EXPECT_TRUE(loaded);
    return loaded->journaled.size();
  }
};

TEST_F(Journal, TheFileIsCompleteAfterEveryCommit) {
  const std::uint64_t number = seed();
  SCOPED_TRACE("HEDDLE_SEED=" + std::to_string(number));
  Story story(number);
  const auto memory = open_test();
  auto disk = open_test(path);
  std::size_t written = 0;
  for (int i = 0; i < 200 || written < 2 * Store::kJournalBytes; ++i) {  // until at least one fold
    const Json operations = parse("[" + story.next(*memory) + "]");
    const std::string error = error_of(memory->transact(operations));
    ASSERT_EQ(error_of(disk->transact(operations)), error);
    if (error.empty()) written += dump_json(operations).size();
    ASSERT_EQ(contents(*disk), contents(*memory)) << i;
    if (i % 11 == 0) {
      ASSERT_EQ(after_kill(), contents(*memory)) << i;
    }
    if (i % 97 != 0) continue;
    disk.reset();
    disk = open_test(path);
    ASSERT_EQ(contents(*disk), contents(*memory)) << i;
  }
}

TEST_F(Journal, IsEmptyAfterTheDestructor) {
  run(*open_test(path), "[{'op':'insert','table':'Root','row':{'name':'x'}}]");
  EXPECT_EQ(names(), 0U);
  EXPECT_EQ(open_test(path)->rows("Root").size(), 1U);
}

TEST_F(Journal, AnotherSchemaLoadsItsEntries) {
  auto db = open_test(path);
  run(*db, "[{'op':'insert','table':'Root','row':{'name':'x','n':1,'s':['set',[1,2]]}}]");
  run(*db, "[{'op':'update','table':'Root','where':[],'row':{'n':2,'s':['set',[2,3]]}}]");
  fs::copy(path + "-wal", path + "-kept");
  fs::copy(path, path + ".kept");
  db.reset();
  fs::rename(path + ".kept", path);
  fs::rename(path + "-kept", path + "-wal");
  std::string other = kTestSchema;
  other.replace(other.find("\"n\": "), 5, "\"nn\":");
  db = open_test(path, other.c_str());
  ASSERT_EQ(db->rows("Root").size(), 1U);
  EXPECT_EQ(db->rows("Root")[0]->get("s"), Datum::set({std::int64_t{2}, std::int64_t{3}}));
  EXPECT_EQ(db->rows("Root")[0]->get("nn"), Datum::of(0));
}

TEST(JournalReplay, AppliesEntriesInOrder) {
  JournalReplay replay;
  for (const char* entry :
       {R"([["T","a","changed",{"s":{"insert":["set",[1,2]],"delete":["set",[]]},"x":5,"gone":null}]])",
        R"([["T","a","changed",{"s":{"insert":["set",[3]],"delete":["set",[2,7]]}}],["T","b","is",{"x":1}]])",
        R"([["T","b","gone"],["T","c","gone"],["T","d","is",{"x":1}],["T","d","changed",{"x":null,"y":["set",[]]}]])"})
    ASSERT_TRUE(replay.read(entry));
  EXPECT_EQ(replay.names().size(), 4U);
  const auto a = replay.news_of({"T", "a", R"({"gone":1,"s":7,"kept":"k"})"});
  ASSERT_TRUE(a);
  EXPECT_EQ(parse(*a->columns), parse("{'kept':'k','s':['set',[1,3]],'x':5}"));
  const auto c = replay.news_of({"T", "c", "{}"});
  ASSERT_TRUE(c);
  EXPECT_FALSE(c->columns);
  EXPECT_EQ(*replay.news_of({"T", "e", "as it was"})->columns, "as it was");
  const auto others = replay.others();
  ASSERT_TRUE(others);
  ASSERT_EQ(others->size(), 2U);
  EXPECT_FALSE((*others)[0].columns);
  EXPECT_EQ(parse(*(*others)[1].columns), parse("{'y':['set',[]]}"));
}

TEST(JournalReplay, RefusesMalformedEntries) {
  for (const char* bad :
       {"", "{}", "[", "[[]]", R"([["T","a"]])", R"([["T","a","gone",{}]])", R"([["T","a","is"]])",
        R"([["T","a","is",5]])", R"([["T",1,"gone"]])", R"([["T","a","frob",{}]])", R"([["T","a","is",{"x":{}}]])",
        R"([["T","a","is",{"x":{"insert":5,"delete":["set",[]]}}]])", R"([["T","a","gone"],["T","a","changed",{}]])"})
    EXPECT_FALSE(JournalReplay().read(bad)) << bad;
}

}  // namespace
}  // namespace heddle::ovsdb
