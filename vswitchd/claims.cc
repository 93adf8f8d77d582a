// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/claims.h"

#include <fmt/format.h>

#include <algorithm>

#include "vswitchd/tunnel_options.h"

namespace heddle::vswitchd {
namespace {

std::string end_point_of(const DesiredPortRef& port) {
  if (!port || !port->config.spec.is_tunnel()) return {};
  return port->datapath + " " + describe_endpoint(port->config.spec.tunnel);
}

}  // namespace

void Claims::clear() {
  groups_.clear();
  end_points_.clear();
  named_as_peer_.clear();
  open_.clear();
  former_holders_ = std::exchange(holders_, {});
}

void Claims::add(const ReadingId& reading, PortReading&& claims) {
  for (Claim& claim : claims.claims) {
    open_.insert(claim.name);
    std::string end_point = end_point_of(claim.port);
    if (!end_point.empty()) end_points_[end_point].insert(claim.name);
    auto& entries = groups_[claim.name].entries;
    Entry entry{{claim.bridge, claims.name}, reading, std::move(claim), std::move(end_point)};
    const auto place = std::ranges::upper_bound(entries, entry.order, {}, &Entry::order);
    entries.insert(place, std::move(entry));
  }
}

void Claims::withdraw(const ReadingId& reading, const std::string& name) {
  auto& entries = groups_.at(name).entries;
  const auto entry = std::ranges::find(entries, reading, &Entry::reading);
  open_.insert(name);
  if (!entry->end_point.empty()) {
    const auto others = end_points_.find(entry->end_point);
    others->second.erase(others->second.find(name));
    open_.insert(others->second.begin(), others->second.end());  // it is free for them, perhaps
    if (others->second.empty()) end_points_.erase(others);
  }
  entries.erase(entry);
}

std::set<std::string> Claims::decide() {
  std::set<std::string> decided;
  while (!open_.empty()) {
    std::set<std::string> names = component(*open_.begin());
    decide_together(names);
    for (const std::string& name : names) open_.erase(name);
    decided.merge(names);
  }
  std::set<std::string> patches;
  for (const std::string& name : decided)
    if (const auto named = named_as_peer_.find(name); named != named_as_peer_.end())
      patches.insert(named->second.begin(), named->second.end());
  decided.merge(patches);
  for (const std::string& name : decided) publish(name);
  former_holders_.clear();
  return decided;
}

// The name, and all that have to do with it over common end points.
std::set<std::string> Claims::component(const std::string& name) const {
  std::set<std::string> names{name};
  std::vector<std::string> next{name};
  while (!next.empty()) {
    const auto group = groups_.find(next.back());
    next.pop_back();
    if (group == groups_.end()) continue;
    for (const Entry& entry : group->second.entries) {
      if (entry.end_point.empty()) continue;
      for (const std::string& other : end_points_.at(entry.end_point))
        if (names.insert(other).second) next.push_back(other);
    }
  }
  return names;
}

void Claims::decide_together(const std::set<std::string>& names) {
  for (const std::string& name : names) open_again(name, groups_[name]);
  const std::vector<Bid> all = bids(names);
  for (const std::string& name : names) holders_.erase(name);
  std::map<std::string_view, const std::string*> end_points;  // name of the port that has it
  for (const auto& [rank, entry, group] : all) {
    const Claim& claim = entry->claim;
    if (group->winner) continue;
    if (!entry->end_point.empty() && !end_points.emplace(entry->end_point, &claim.name).second) continue;
    set_winner(claim.name, *group, claim.port);
    if (all.size() > 1) holders_[claim.name] = {entry->order, entry->end_point};
  }
  for (const std::string& name : names) {
    const auto group = groups_.find(name);
    if (group->second.entries.empty())
      groups_.erase(group);
    else
      explain(name, group->second, end_points);
  }
}

// Says what became of the claims that do not hold; by their order, which does not change with the decision.
void Claims::explain(const std::string& name, const Group& group,
                     const std::map<std::string_view, const std::string*>& end_points) {
  if (group.winner) out_.broken.erase(name);
  for (const Entry& entry : group.entries) {
    const Claim& claim = entry.claim;
    if (!claim.port || claim.port == group.winner) continue;
    if (group.winner) {
      out_.remarks[name] = fmt::format("{} is already in bridge {} and cannot be in {} too; remove it from one of them",
                                       name, group.winner->bridge, claim.bridge);
    } else {
      const std::string what = describe_endpoint(claim.port->config.spec.tunnel);
      out_.broken.try_emplace(name, BrokenPort{claim.bridge, claim.row,
                                               fmt::format("port {} has the same {}; change one of the two, for "
                                                           "example its key",
                                                           *end_points.at(entry.end_point), what)});
    }
  }
}

// As if nothing had been decided about the name, but for claims that cannot be had whatever others want.
void Claims::open_again(const std::string& name, Group& group) {
  set_winner(name, group, nullptr);
  out_.remarks.erase(name);
  out_.broken.erase(name);
  out_.without_effect.erase(group.row);
  if (group.entries.empty()) return;
  const Claim& first = group.entries.front().claim;
  group.row = first.row;
  if (!first.without_effect.empty()) out_.without_effect[first.row] = first.without_effect;
  const auto wrong = std::ranges::find_if(group.entries, [](const Entry& entry) { return !entry.claim.port; });
  if (wrong != group.entries.end()) out_.broken[name] = {wrong->claim.bridge, wrong->claim.row, wrong->claim.error};
}

std::vector<Claims::Bid> Claims::bids(const std::set<std::string>& names) {
  std::vector<Bid> bids;
  for (const std::string& name : names) {
    Group& group = groups_.at(name);
    for (const Entry& entry : group.entries)
      if (entry.claim.port) bids.push_back({0, &entry, &group});
  }
  if (bids.size() < 2) return bids;
  for (Bid& bid : bids) bid.rank = rank(*bid.entry);
  std::ranges::stable_sort(bids, [](const Bid& a, const Bid& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.entry->order < b.entry->order;
  });
  return bids;
}

int Claims::rank(const Entry& entry) const {
  const Claim& claim = entry.claim;
  for (const Holders* holders : {&holders_, &former_holders_})
    if (const auto held = holders->find(claim.name); held != holders->end())
      if (held->second.order == entry.order && held->second.end_point == entry.end_point) return 0;
  const ofproto::SwitchPort* now = current_ ? current_(claim.name) : nullptr;
  return now != nullptr && now->bridge == claim.bridge && now->config.spec == claim.port->config.spec ? 1 : 2;
}

void Claims::set_winner(const std::string& name, Group& group, const DesiredPortRef& winner) {
  const auto peer = [](const DesiredPortRef& port) {
    return port && port->config.spec.traits().has_peer ? &port->config.spec.peer : nullptr;
  };
  if (const std::string* old = peer(group.winner)) {
    const auto named = named_as_peer_.find(*old);
    named->second.erase(name);
    if (named->second.empty()) named_as_peer_.erase(named);
  }
  if (const std::string* now = peer(winner)) named_as_peer_[*now].insert(name);
  group.winner = winner;
}

void Claims::publish(const std::string& name) {
  const auto group = groups_.find(name);
  const DesiredPortRef winner = group == groups_.end() ? nullptr : group->second.winner;
  std::string parted = winner ? parted_error(*winner) : std::string{};
  if (!winner) {
    out_.ports.erase(name);
  } else if (parted.empty()) {
    out_.broken.erase(name);
    out_.ports[name] = winner;
  } else {
    out_.ports.erase(name);
    out_.broken[name] = {winner->bridge, winner->row, std::move(parted)};
  }
}

// A frame cannot go from one datapath to the other by a patch port.
std::string Claims::parted_error(const DesiredPort& port) const {
  if (!port.config.spec.traits().has_peer) return {};
  const auto peer = groups_.find(port.config.spec.peer);
  if (peer == groups_.end() || !peer->second.winner || peer->second.winner->datapath == port.datapath) return {};
  const DesiredPort& other = *peer->second.winner;
  return fmt::format(
      "peer {} is in bridge {}, whose datapath is {} and not {}; give both bridges the same datapath_type",
      port.config.spec.peer, other.bridge, other.datapath, port.datapath);
}

}  // namespace heddle::vswitchd
