// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/bridge_reading.h"

#include <fmt/format.h>
#include <net/if.h>

#include "vswitchd/bridge_config.h"
#include "vswitchd/port_reading.h"
#include "vswitchd/without_effect.h"

namespace heddle::vswitchd {
namespace {

std::string not_available(const std::string& bridge, const std::string& word, const std::string& type,
                          const DatapathOffer& offer) {
  const auto reason = offer.why_not.find(type);
  return fmt::format("bridge {}: datapath type \"{}\" is not available here{}; set datapath_type to one of: {}", bridge,
                     word.empty() ? type : word, reason == offer.why_not.end() ? "" : " (" + reason->second + ")",
                     fmt::join(offered_words(offer), ", "));
}

}  // namespace

BridgeReading read_bridge(Lookup& lookup, const ovsdb::RowRef& row, const DatapathOffer& offer) {
  const std::string name = row->get("name").string_or("");
  const std::string type = row->get("datapath_type").string_or("");
  const std::string datapath = canonical_datapath(type, offer);
  const auto kinds = offer.types.find(datapath);
  BridgeReading out;
  out.row = row;
  out.place = {row->uuid(), name,
               datapath,    kinds == offer.types.end() ? dp::KindSet{} : kinds->second,
               {},          row->get("other_config").at("hwaddr")};
  if (kinds == offer.types.end())
    out.place.error = not_available(name, type, datapath, offer);
  else if (name.empty() || name.size() >= IFNAMSIZ || name.find('/') != std::string::npos)
    out.place.error = fmt::format("bridge name \"{}\" must have 1 to {} characters and no slash", name, IFNAMSIZ - 1);
  if (out.place.error.empty())
    out.desired = {datapath, read_bridge_config(lookup, *row, out.warnings), row->uuid(),
                   asked_datapath_id(*row, out.warnings)};
  else
    out.warnings.insert(out.place.error);
  out.row_warning = row_warning(out.warnings, "bridge " + name);
  out.without_effect = list_without_effect("bridge " + name, columns_without_effect(*row), out.warnings);
  return out;
}

}  // namespace heddle::vswitchd
