// SPDX-License-Identifier: Apache-2.0
#include "cli/value.h"

#include <gtest/gtest.h>

namespace heddle::cli {
namespace {

ColumnType scalar(AtomType type) {
  ColumnType t;
  t.key.type = type;
  return t;
}
ColumnType set_of(AtomType type, std::uint64_t max = ColumnType::kUnlimited) {
  ColumnType t = scalar(type);
  t.min = 0;
  t.max = max;
  return t;
}
ColumnType string_map() {
  ColumnType t = set_of(AtomType::string);
  t.value = BaseType{};
  return t;
}
ColumnType vlan(std::uint64_t max) {
  ColumnType t = set_of(AtomType::integer, max);
  t.key.min_integer = 0;
  t.key.max_integer = 4095;
  return t;
}

struct Case {
  ColumnType type;
  const char* text;
  const char* printed;  // null: the text is refused
  const char* says = "";
};

TEST(Value, IsParsedAndPrinted) {
  const Case cases[] = {
      {vlan(1), "20", "20"},
      {vlan(1), "[]", "[]"},
      {vlan(1), "[20]", "20"},
      {vlan(1), "5000", nullptr, "5000 is out of range; allowed is 0 to 4095"},
      {vlan(1), "-1", nullptr, "allowed is 0 to 4095"},
      {vlan(1), "1,2", nullptr, "2 values are given, at most 1 fit"},
      {vlan(1), "twenty", nullptr, "\"twenty\" is not an integer"},
      {vlan(1), "99999999999999999999", nullptr, "too large"},
      {vlan(4096), "30,10 20", "[10, 20, 30]"},
      {vlan(4096), "[ 30, 10 ]", "[10, 30]"},
      {vlan(4096), "7", "[7]"},
      {vlan(4096), "1,1", nullptr, "1 is given twice"},
      {vlan(4096), "1-3,9", "[1, 2, 3, 9]"},
      {vlan(4096), "1-3,2", nullptr, "2 is given twice"},
      {vlan(4096), "3-1", nullptr, "\"3-1\" is no range"},
      {vlan(4096), "4000-4100", nullptr, "4100 is out of range"},
      {set_of(AtomType::integer), "-3--1", "[-3, -2, -1]"},
      {set_of(AtomType::integer), "1-4097", nullptr, "4096 at most"},
      {set_of(AtomType::integer), "9223372036854775806-9223372036854775807",
       "[9223372036854775806, 9223372036854775807]"},
      {vlan(4096), "[1,2", nullptr, "the closing ] is missing"},
      {vlan(4096), "[1]2", nullptr, "follows the closing ]"},
      {vlan(4096), ",1", nullptr, "a value is missing"},
      {scalar(AtomType::boolean), "yes", "true"},
      {scalar(AtomType::boolean), "off", "false"},
      {scalar(AtomType::boolean), "maybe", nullptr, "not true or false"},
      {scalar(AtomType::real), "1.50", "1.5"},
      {scalar(AtomType::integer), "", nullptr, "a value is needed"},
      {scalar(AtomType::string), "br-int", "br-int"},
      {scalar(AtomType::string), "2001:db8::1", "\"2001:db8::1\""},
      {scalar(AtomType::string), "two words, one text", "\"two words, one text\""},
      {scalar(AtomType::string), R"("a \"b\"")", R"("a \"b\"")"},
      {scalar(AtomType::string), R"("open)", nullptr, "not a quoted string"},
      {scalar(AtomType::string), "true", "\"true\""},
      {scalar(AtomType::string), "", "\"\""},
      {scalar(AtomType::string), "10", "\"10\""},
      {set_of(AtomType::string, 1), "", "[]"},
      {set_of(AtomType::string), R"(tcp:1.2.3.4,"x,y")", R"(["tcp:1.2.3.4", "x,y"])"},
      {string_map(), "{}", "{}"},
      {string_map(), "key=10,remote_ip=192.0.2.2", R"({key="10", remote_ip="192.0.2.2"})"},
      {string_map(), R"({"a b"=c, d=e=f})", R"({"a b"=c, d="e=f"})"},
      {string_map(), "novalue", nullptr, "a map takes key=value"},
      {string_map(), "a=1,a=2", nullptr, "a is given twice"},
      {scalar(AtomType::uuid), "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"},
      {scalar(AtomType::uuid), "vm1", nullptr, "\"vm1\" is not a UUID"},
  };
  for (const auto& c : cases) {
    const auto datum = parse_datum(c.text, c.type, {});
    ASSERT_EQ(datum.has_value(), c.printed != nullptr) << c.text << (datum ? "" : ": " + datum.error().text);
    if (!datum) {
      EXPECT_NE(datum.error().text.find(c.says), std::string::npos) << c.text << ": " << datum.error().text;
      continue;
    }
    EXPECT_EQ(format_datum(*datum, c.type), c.printed) << c.text;
    const auto again = from_json(to_json(*datum, c.type), c.type);
    ASSERT_TRUE(again.has_value()) << c.text;
    EXPECT_EQ(*again, *datum) << c.text;
  }
}

TEST(Value, AnErrorListsTheEnumeration) {
  ColumnType mode = set_of(AtomType::string, 1);
  mode.key.choices = Datum::set({Atom("trunk"), Atom("access")});
  EXPECT_TRUE(parse_datum("access", mode, {}).has_value());
  EXPECT_EQ(parse_datum("foo", mode, {}).error().text, "foo is not one of: access, trunk");
}

TEST(Value, MembersAreAddedAndRemoved) {
  const Datum map = Datum::map(std::map<std::string, std::string>{{"a", "1"}});
  EXPECT_EQ(format_bare(with(map, Atom("b"), Atom("2"))), "a=1 b=2");
  EXPECT_EQ(format_bare(with(map, Atom("a"), Atom("3"))), "a=3");
  EXPECT_TRUE(without(map, 0).empty());
  const Datum set = Datum::set({Atom(std::int64_t{10}), Atom(std::int64_t{9})});
  EXPECT_EQ(format_bare(with(set, Atom(std::int64_t{2}))), "2 9 10");
}

TEST(Value, NamesStandForNewRecords) {
  const auto uuid = *Uuid::parse("550e8400-e29b-41d4-a716-446655440000");
  const NameResolver names = [&](std::string_view name) -> Result<Uuid> {
    EXPECT_EQ(name, "@new");
    return uuid;
  };
  const auto type = set_of(AtomType::uuid);
  const auto datum = parse_datum("@new", type, names);
  ASSERT_TRUE(datum.has_value());
  EXPECT_EQ(to_json(*datum, type,
                    [](const Uuid&) {
                      return Json::array({"named-uuid", "x"});
                    }),
            Json::array({"named-uuid", "x"}));
}

}  // namespace
}  // namespace heddle::cli
