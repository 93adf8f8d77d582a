// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/value.h"

#include "ovsdb/datum_text.h"
#include "tests/unit/ovsdb/fixture.h"

namespace heddle::ovsdb {
namespace {

TEST(Uuid, ParsesStrictlyAndPrintsTheParsedText) {
  const std::string text = "01234567-89ab-4def-8123-456789abcdef";
  EXPECT_EQ(Uuid::parse(text)->to_string(), text);
  for (const char* bad : {"", "0123456789ab4def8123456789abcdef", "01234567-89ab-4def-8123-456789abcdeg",
                          "01234567-89ab-4def-8123-456789abcdef0", "01234567_89ab-4def-8123-456789abcdef"})
    EXPECT_FALSE(Uuid::parse(bad)) << bad;
  EXPECT_NE(Uuid::random(), Uuid::random());
  EXPECT_EQ(Uuid::random().to_string()[14], '4');
}

TEST(Datum, IsSortedAndUnique) {
  const Datum set = Datum::set({std::int64_t{3}, std::int64_t{1}, std::int64_t{3}});
  EXPECT_EQ(set.integers(), (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(set, Datum::set({std::int64_t{1}, std::int64_t{3}}));
  const Datum map = Datum::map(std::map<std::string, std::string>{{"b", "2"}, {"a", "1"}});
  EXPECT_EQ(map.at("b"), "2");
  EXPECT_EQ(map.at("c"), std::nullopt);
  EXPECT_EQ(map.string_map().size(), 2U);
  EXPECT_EQ(Datum::of("x").integer_or(7), 7) << "another type reads as nothing";
  EXPECT_EQ(Datum::of(std::optional<std::string>()).size(), 0U);
}

TEST(Json, BoundsDepthAndRefusesMalformedText) {
  EXPECT_TRUE(parse_json(std::string(limits::kJsonDepth, '[') + std::string(limits::kJsonDepth, ']')));
  EXPECT_FALSE(parse_json(std::string(limits::kJsonDepth + 1, '[') + std::string(limits::kJsonDepth + 1, ']')));
  for (const char* bad : {"", "{", "[1,]", "nul", "\"\xff\"", "1e999", "{}{}", "\"\\ud800\""})
    EXPECT_FALSE(parse_json(bad)) << bad;
  EXPECT_TRUE(parse_json("\"[[[[\\\"[[\"")) << "brackets in strings do not count";
}

TEST(JsonFramer, FramesAStreamReadInPieces) {
  const std::string stream = " {\"a\":\"}\\\"{\"}[1,[2]]\n{\"b\":{}}";
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    JsonFramer framer;
    std::vector<std::string> got;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      framer.append(std::string_view(stream).substr(at, step));
      for (;;) {
        auto value = framer.next();
        ASSERT_TRUE(value) << value.error().text;
        if (!*value) break;
        got.push_back(dump_json(**value));
      }
    }
    EXPECT_EQ(got, (std::vector<std::string>{R"({"a":"}\"{"})", "[1,[2]]", R"({"b":{}})"})) << "step " << step;
  }
}

TEST(JsonFramer, FailsForAMalformedStream) {
  for (const char* bad : {"x", "\"text\"", "}", "{]}", "12"}) {
    JsonFramer framer;
    framer.append(bad);
    EXPECT_FALSE(framer.next()) << bad;
  }
  JsonFramer small(16);
  small.append("{\"a\":\"0123456789abcdef");
  EXPECT_FALSE(small.next()) << "longer than its limit";
}

TEST(Value, RoundTripsEveryForm) {
  struct Case {
    const char* column;
    const char* json;
    const char* printed;  // null: like the input
  };
  const auto db = open_test();
  const TableSchema& root = *db->schema().find("Root");
  for (const Case& c : std::initializer_list<Case>{
           {"n", "7", nullptr},
           {"n", "7.0", "7"},
           {"n", "['set',[7]]", "7"},
           {"big", "-9223372036854775808", nullptr},
           {"r", "1.5", nullptr},
           {"r", "2", "2.0"},
           {"b", "true", nullptr},
           {"opt", "['set',[]]", nullptr},
           {"opt", "['set',['x']]", "'x'"},
           {"opt", "'\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f'", nullptr},  // four characters, eight bytes
           {"opt", R"('\u0001\\\"/')", nullptr},
           {"s", "['set',[3,1,2]]", "['set',[1,2,3]]"},
           {"m", "['map',[['b',2],['a',1]]]", "['map',[['a',1],['b',2]]]"},
           {"m", "['map',[]]", nullptr},
           {"weak", "['uuid','01234567-89ab-4def-8123-456789abcdef']", nullptr},
       }) {
    const ColumnType& type = root.find(c.column)->type;
    auto datum = checked_datum_from_json(type, parse(c.json), nullptr);
    ASSERT_TRUE(datum) << c.column << " " << c.json << ": " << datum.error().details;
    EXPECT_EQ(dump_json(datum_to_json(type, *datum)), dump_json(parse(c.printed != nullptr ? c.printed : c.json)));
    std::string text;
    append_json(text, type, *datum);
    EXPECT_EQ(text, dump_json(datum_to_json(type, *datum)));
  }
}

TEST(Value, RefusesUnfittingValues) {
  struct Case {
    const char* column;
    const char* json;
    const char* error;
  };
  const auto db = open_test();
  for (const Case& c : std::initializer_list<Case>{
           {"n", "101", "constraint violation"},
           {"n", "-1", "constraint violation"},
           {"n", "'7'", "syntax error"},
           {"n", "7.5", "syntax error"},
           {"n", "['set',[]]", "constraint violation"},
           {"n", "['set',[1,2]]", "constraint violation"},
           {"big", "9223372036854775808", "syntax error"},
           {"big", "1e300", "syntax error"},
           {"b", "1", "syntax error"},
           {"opt", "'abcde'", "constraint violation"},
           {"opt", "'a\\u0000b'", "syntax error"},
           {"mode", "'c'", "constraint violation"},
           {"s", "['set',[1,1]]", "syntax error"},
           {"s", "['set',[1,2,3,4]]", "constraint violation"},
           {"s", "['set',1]", "syntax error"},
           {"m", "['set',[]]", "syntax error"},
           {"m", "['map',[['a',1],['a',2]]]", "syntax error"},
           {"m", "['map',[['a']]]", "syntax error"},
           {"kids", "'01234567-89ab-4def-8123-456789abcdef'", "syntax error"},
           {"kids", "['uuid','nonsense']", "syntax error"},
           {"kids", "['named-uuid','1st']", "syntax error"},
           {"name", "null", "syntax error"},
           {"name", "{}", "syntax error"},
       }) {
    const std::string text = "{'" + std::string(c.column) + "':" + c.json + "}";
    const Json reply = run(*db, "[{'op':'insert','table':'Root','row':" + text + "}]");
    EXPECT_EQ(error_of(reply), c.error) << text;
    EXPECT_NE(details_of(reply).find("table Root, column " + std::string(c.column)), std::string::npos) << reply;
  }
  EXPECT_TRUE(db->rows("Root").empty());
}

TEST(Schema, ErrorsHaveTheReasonAndThePlace) {
  struct Case {
    const char* schema;
    const char* expect;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"[]", "the database must be an object"},
           {"{'name':'X','tables':{}}", "needs a \"version\""},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{}}}}", "table A needs"},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{'_c':{'type':'string'}}}}}",
            "name that is not allowed"},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{'c':{'type':'strong'}}}}}", "unknown type"},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{'c':{'typ':'string'}}}}}", "needs a member \"type\""},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{'c':{'type':{'key':'string','min':2}}}}}}", "\"min\""},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{'c':{'type':{'key':{'type':'uuid','refTable':'B'}}}}}}"
            "}",
            "which does not exist"},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{'c':{'type':'string'}},'indexes':[['d']]}}}",
            "index on"},
           {"{'name':'X','version':'1','tables':{'A':{'columns':{'c':{'type':{'key':{'type':'integer','minInteger':2,"
            "'maxInteger':1}}}}}}}",
            "minimum above"},
       }) {
    const auto schema = Schema::parse(dump_json(parse(c.schema)));
    ASSERT_FALSE(schema) << c.schema;
    EXPECT_NE(schema.error().text.find(c.expect), std::string::npos) << schema.error().text;
  }
}

}  // namespace
}  // namespace heddle::ovsdb
