// links: ovsdb
// Whatever JSON a client sends as a transaction: no crash, no exception, and an answer of the right shape. The schema
// is small and has a bit of everything; rows pile up over the inputs of one run, up to its row limits.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "ovsdb/database.h"
#include "ovsdb/monitor.h"

namespace {

constexpr const char* kSchema = R"({
  "name": "F", "version": "1.0.0", "tables": {
    "R": {"isRoot": true, "maxRows": 8, "indexes": [["name"]], "columns": {
      "name": {"type": "string"},
      "n": {"type": {"key": {"type": "integer", "minInteger": -5, "maxInteger": 100}}},
      "r": {"type": "real"},
      "o": {"type": {"key": {"type": "string", "maxLength": 4, "enum": ["set", ["a", "b", "ab"]]}, "min": 0, "max": 1}},
      "s": {"type": {"key": "integer", "min": 0, "max": 3}},
      "m": {"type": {"key": "string", "value": "boolean", "min": 0, "max": "unlimited"}},
      "k": {"type": {"key": {"type": "uuid", "refTable": "K"}, "min": 0, "max": "unlimited"}},
      "w": {"type": {"key": {"type": "uuid", "refTable": "R", "refType": "weak"}, "min": 0, "max": 2}}}},
    "K": {"maxRows": 8, "columns": {
      "name": {"type": "string", "mutable": false},
      "k": {"type": {"key": {"type": "uuid", "refTable": "K"}, "min": 0, "max": 1}},
      "e": {"type": "integer", "ephemeral": true}}}
  }})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace heddle::ovsdb;
  static const auto database = [] {
    spdlog::set_level(spdlog::level::off);
    return Database::open(kSchema, "").value();
  }();
  JsonFramer framer;
  framer.append({reinterpret_cast<const char*>(data), size});
  for (;;) {
    const auto value = framer.next();
    if (!value || !*value) return 0;
    const Json& operations = **value;
    const auto outcome = database->try_transact(operations, heddle::Duration::zero());
    if (!outcome.blocked && operations.is_array() &&
        (!outcome.reply.is_array() || outcome.reply.size() < std::size_t{operations.empty() ? 0U : 1U}))
      std::abort();
    if (const auto monitor = Monitor::parse(database->schema(), MonitorKind::plain, operations))
      (void)dump_json(monitor->initial(*database));
  }
}
