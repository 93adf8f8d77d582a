// SPDX-License-Identifier: Apache-2.0
// links: ovsdb
// Any JSON as a transaction: no crash, no exception, and a reply of the right form. Rows accumulate over the inputs of
// one run, up to the schema's row limits.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "ovsdb/database.h"
#include "ovsdb/monitor.h"
#include "tests/fuzz/fuzz_schema.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace heddle::ovsdb;
  static const auto database = [] {
    spdlog::set_level(spdlog::level::off);
    return Database::open(kFuzzSchema, "").value();
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
