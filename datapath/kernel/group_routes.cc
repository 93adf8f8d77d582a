// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/group_routes.h"

#include "base/log.h"

namespace heddle::dp {
namespace {

// From 0x1000000 to 0x1ffffff: behind routes of anybody else, whose metric is 256 or 1024.
std::uint32_t metric_of(std::string_view owner) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : owner) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return 0x1000000U | (hash & 0xffffffU);
}

}  // namespace

GroupRoutes::GroupRoutes(netlink::Netlink& kernel, std::string_view owner)
    : kernel_(kernel), metric_(metric_of(owner)) {}

netlink::GroupRoute GroupRoutes::route(const Member& member) const { return {member.group, member.ifindex, metric_}; }

void GroupRoutes::put(const Member& member) {
  if (!member.group.is_v6()) return;
  const auto ok = kernel_.add_group_route(route(member));
  if (!ok && ok.error().code != Errc::exists) spdlog::warn("{}", ok.error().text);
}

void GroupRoutes::remove(const Member& member) {
  if (member.group.is_v6()) (void)kernel_.remove_group_route(route(member));
}

void GroupRoutes::remove_others(const GroupMemberships& keep) {
  const auto all = kernel_.group_routes();
  if (!all) return spdlog::warn("{}", all.error().text);
  for (const netlink::GroupRoute& r : *all)
    if (r.metric == metric_ && !keep.has({r.group, r.ifindex})) (void)kernel_.remove_group_route(r);
}

}  // namespace heddle::dp
