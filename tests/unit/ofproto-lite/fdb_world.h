// SPDX-License-Identifier: Apache-2.0
// A bridge's FDB over a datapath without packets, and an oracle that does everything the slow way.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <string>

#include "ofproto-lite/fdb.h"
#include "tests/support/fake_datapath.h"

namespace heddle::ofproto::test_world {

constexpr dp::BridgeId kBr{0};

struct World {
  FakeTime time;
  test::FakeDatapath dp{time};
  Fdb fdb{dp.stations(), time};

  explicit World(FdbConfig config = {}) {
    config.name = "br0";
    EXPECT_EQ(dp.bridges().add("br0"), kBr);
    EXPECT_TRUE(fdb.set_bridge(kBr, config));
  }
  dp::PortNo port(const std::string& name, bool tunnel = false) {
    dp::PortConfig config;
    config.spec.name = name;
    const dp::PortNo number = dp.ports().apply(config).value();
    EXPECT_TRUE(fdb.add_port(number, kBr, name, tunnel));
    return number;
  }
  static dp::FdbKey key(std::uint64_t mac, dp::VlanId vlan = 0) {
    return {kBr, vlan, MacAddr::from_u64(0x020000000000 | mac)};
  }
  void seen(std::uint64_t mac, dp::PortNo port, dp::VlanId vlan = 0) { send({key(mac, vlan), {port, std::nullopt}}); }
  void send(const dp::LearnEvent& frame) {
    dp.source_seen(frame.key, frame.target);
    std::array<dp::LearnEvent, 1> event;
    while (dp.stations().poll(event) == 1) fdb.learn(event[0]);
  }
  void pass(std::chrono::seconds by) {
    time.advance(by);
    while (fdb.tick(7) == 7) continue;  // in small bites: nothing may be lost between them
  }
  std::optional<dp::PortNo> where(std::uint64_t mac, dp::VlanId vlan = 0) {
    const auto rows = dp.fdb();
    const auto it = rows.find(key(mac, vlan));
    return it == rows.end() ? std::nullopt : std::optional(it->second.port);
  }
};

// All that is known of each station, by origin; the strongest origin's target is in effect.
class Oracle {
 public:
  struct Claim {
    dp::PortNo port;
    TimePoint seen;
  };
  using Claims = std::map<Origin, Claim>;

  void seen(const dp::FdbKey& key, dp::PortNo port, TimePoint now) {
    Claims& claims = stations_[key];
    if (claims.empty() || claims.rbegin()->first == Origin::learned) claims[Origin::learned] = {port, now};
  }
  void put(Origin origin, const dp::FdbKey& key, dp::PortNo port) {
    Claims& claims = stations_[key];
    claims.erase(Origin::learned);
    claims[origin] = {port, {}};
  }
  bool withdraw(Origin origin, const dp::FdbKey& key) { return stations_[key].erase(origin) == 1; }
  void flush(dp::PortNo port, dp::VlanId vlan) {
    for (auto& [key, claims] : stations_)
      if (key.vlan == vlan)
        std::erase_if(claims, [&](const auto& c) { return c.first == Origin::learned && c.second.port == port; });
  }
  void remove_port(dp::PortNo port) {
    for (auto& [key, claims] : stations_) std::erase_if(claims, [&](const auto& c) { return c.second.port == port; });
  }
  void expire(TimePoint now, std::chrono::seconds aging) {
    for (auto& [key, claims] : stations_)
      std::erase_if(claims, [&](const auto& c) { return c.first == Origin::learned && now - c.second.seen >= aging; });
  }
  // The strongest claim of each station.
  [[nodiscard]] std::map<dp::FdbKey, std::pair<Origin, Claim>> in_effect() const {
    std::map<dp::FdbKey, std::pair<Origin, Claim>> out;
    for (const auto& [key, claims] : stations_)
      if (!claims.empty()) out[key] = *claims.rbegin();
    return out;
  }

 private:
  std::map<dp::FdbKey, Claims> stations_;
};

inline void expect_same(World& w, const Oracle& oracle) {
  const auto want = oracle.in_effect();
  std::map<dp::FdbKey, dp::FdbTarget> targets;
  PerOrigin<std::size_t> of_origin;
  for (const auto& [key, claim] : want) {
    targets[key] = {claim.second.port, std::nullopt};
    ++of_origin[claim.first];
  }
  EXPECT_EQ(w.dp.fdb(), targets);
  const auto rows = w.fdb.rows(kBr);
  EXPECT_EQ(rows.size(), want.size());
  for (const FdbRow& row : rows) {
    const auto it = want.find(row.key);
    ASSERT_NE(it, want.end());
    const auto& [origin, claim] = it->second;
    EXPECT_EQ(row.target.port, claim.port);
    EXPECT_EQ(row.origin, origin);
    const auto age = origin == Origin::learned ? w.time.now() - claim.seen : Duration{};
    EXPECT_EQ(std::chrono::seconds(row.age), age);
    EXPECT_EQ(w.fdb.find(row.key)->target, row.target);
  }
  EXPECT_EQ(w.fdb.stats(kBr).entries, want.size());
  EXPECT_EQ(w.fdb.stats(kBr).of_origin.values, of_origin.values);
}

}  // namespace heddle::ofproto::test_world
