// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/qos_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "base/limits.h"
#include "vswitchd/text.h"

namespace heddle::vswitchd {
namespace {

using ovsdb::Row;
using Warnings = std::set<std::string>;

constexpr std::uint64_t kBitsPerByte = 8;

// A number of other_config that is at least `least`; 0 when there is none.
std::uint64_t setting(const std::string& where, const Row& row, const char* key, std::uint64_t least,
                      Warnings& warnings) {
  const auto text = row.get("other_config").at(key);
  if (!text) return 0;
  const auto value = parse_number(*text);
  if (value && *value >= least) return *value;
  warnings.insert(
      fmt::format("{}: other_config:{}={} must be a number of at least {}; it is not used", where, key, *text, least));
  return 0;
}

dp::QosQueue read_queue(const std::string& where, const Row& row, Warnings& warnings) {
  constexpr std::uint64_t most = 7;  // the kernel's TC_HTB_MAXDEPTH - 1
  dp::QosQueue queue;
  queue.min_rate = setting(where, row, "min-rate", 1, warnings);
  queue.max_rate = setting(where, row, "max-rate", 1, warnings);
  queue.burst = setting(where, row, "burst", kBitsPerByte, warnings) / kBitsPerByte;
  const std::uint64_t priority = setting(where, row, "priority", 0, warnings);
  if (priority > most)
    warnings.insert(fmt::format("{}: other_config:priority={} is taken for {}", where, priority, most));
  queue.priority = static_cast<std::uint32_t>(std::min(priority, most));
  if (queue.max_rate != 0 && queue.min_rate > queue.max_rate) {
    warnings.insert(fmt::format("{}: min-rate {} is above max-rate {}; it is lowered to that", where, queue.min_rate,
                                queue.max_rate));
    queue.min_rate = queue.max_rate;
  }
  if (row.get("dscp").integer()) warnings.insert(where + ": this column is set and has no effect: dscp");
  return queue;
}

}  // namespace

DesiredQos read_qos(Lookup& lookup, const Row& port, Warnings& warnings) {
  const auto uuids = port.get("qos").uuids();
  const auto row = uuids.empty() ? nullptr : lookup.find("QoS", uuids.front());
  if (!row) return {};
  const std::string type = row->get("type").string_or("");
  const std::string where = fmt::format("port {}: QoS", port.get("name").string_or(""));
  if (type == "linux-noop" || type.empty()) return {};
  if (type != "linux-htb") {
    warnings.insert(fmt::format("{} of type {} has no effect; types: linux-htb, linux-noop", where, type));
    return {std::nullopt, false};
  }
  dp::QosSpec spec;
  spec.max_rate = setting(where, *row, "max-rate", 1, warnings);
  const ovsdb::Datum queues = row->get("queues");
  for (std::size_t i = 0; i < queues.values().size(); ++i) {
    const auto number = std::get<std::int64_t>(queues.keys()[i]);
    const auto queue = lookup.find("Queue", std::get<ovsdb::Uuid>(queues.values()[i]));
    if (!queue) continue;
    const std::string queue_name = fmt::format("{}: queue {}", where, number);
    if (number < 0 || number > limits::kQueueMax || spec.queues.size() == limits::kQueues) {
      warnings.insert(fmt::format("{} has no effect: a port has at most {} queues, numbered 0 to {}", queue_name,
                                  limits::kQueues, limits::kQueueMax));
      continue;
    }
    spec.queues[static_cast<std::uint32_t>(number)] = read_queue(queue_name, *queue, warnings);
  }
  return {spec, true};
}

std::uint64_t default_rate(const dp::PortState& state) {
  constexpr std::uint64_t unknown = 10'000'000'000;
  return state.link_speed != 0 ? state.link_speed : unknown;
}

}  // namespace heddle::vswitchd
