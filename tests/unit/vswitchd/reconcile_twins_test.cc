// SPDX-License-Identifier: Apache-2.0
// Two daemons with the same history over two datapaths: one reads only what has changed, its twin reads everything each
// time. Whatever happens, both must come to the same configuration and the same status.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>

#include "ovsdb/value.h"
#include "tests/support/log_capture.h"
#include "tests/unit/vswitchd/world.h"
#include "vswitchd/tunnel_options.h"

namespace heddle::vswitchd {
namespace {

using namespace test_world;
using Picture = std::map<std::string, std::string>;

// `w` gives the database and the datapath "user"; its own reconciler has nothing to do after its first run.
struct Twin {
  World w;
  heddle::test::FakeDatapath kernel_dp{w.time, 5000};
  ofproto::Handler kernel_handler{kernel_dp.stations(), w.time};
  ofproto::Switch kernel{kernel_dp, kernel_handler};
  unsigned largest_mtu = 65535;
  Reconciler reconciler{*w.db, {{"user", &w.sw}, {"kernel", &kernel}}, [this](int ifindex, auto mac, auto mtu) {
                          return set_device(ifindex, mac, mtu);
                        }};

  explicit Twin(bool follows) {
    if (follows) reconciler.watch([] {});
    reconciler.run();
  }
  Result<> set_device(int ifindex, std::optional<MacAddr> mac, std::optional<unsigned> mtu) {
    if (mtu.value_or(0) > largest_mtu) return fail(Errc::system, fmt::format("MTU {}: too large", *mtu));
    for (auto* dp : {&w.dp, &kernel_dp}) dp->set_device(ifindex, mac, mtu);
    return {};
  }
  void device(const std::string& name, bool there, unsigned mtu, int ifindex) {
    dp::PortState state;
    state.ifindex = ifindex;
    state.mtu = mtu;
    state.admin_up = state.link_up = true;
    state.link_speed = 1'000'000ULL * mtu;
    for (auto* dp : {&w.dp, &kernel_dp}) dp->device(name, there ? std::optional(state) : std::nullopt);
    reconciler.run_control("user", w.dp);
    reconciler.run_control("kernel", kernel_dp);
  }
  [[nodiscard]] bool is_there(const char* table, const std::string& name) const {
    return w.db->find_by(table, "name", ovsdb::Datum::of(name)) != nullptr;
  }
  [[nodiscard]] bool has_port(const std::string& bridge, const std::string& port) const {
    return w.db->find_by("Bridge", "name", ovsdb::Datum::of(bridge))
        ->get("ports")
        .find(ovsdb::Atom(w.db->find_by("Port", "name", ovsdb::Datum::of(port))->uuid()))
        .has_value();
  }
};

// --- what is compared; UUIDs differ between the twins, and with them what is made of them ---

std::string vlans_text(const dp::VlanSet& vlans) {
  std::string text;
  for (std::size_t vlan = 0; vlan < vlans.size(); ++vlan)
    if (vlans.test(vlan)) text += fmt::format("{},", vlan);
  return text;
}

std::string qos_text(const std::optional<dp::QosSpec>& qos) {
  if (!qos) return "none";
  std::string text = fmt::format("{}", qos->max_rate);
  for (const auto& [number, queue] : qos->queues)
    text += fmt::format(" {}:{}/{}/{}", number, queue.min_rate, queue.max_rate, queue.priority);
  return text;
}

std::string port_text(const heddle::test::FakeDatapath::Port& port, const ofproto::SwitchPort* in_switch) {
  const auto& [spec, policy] = std::tie(port.spec, port.policy);
  std::string text = fmt::format(
      "kind {} mode {} tag {} trunks {} protected {} police {} mtu {} peer {} remote {} flood {} qos {}",
      static_cast<int>(spec.kind), static_cast<int>(policy.vlan_mode), policy.tag, vlans_text(policy.trunks),
      policy.protected_port, policy.policing.bits_per_second, spec.mtu.value_or(0), spec.peer,
      spec.is_tunnel() ? describe_endpoint(spec.tunnel) : "", port.flood.size(), qos_text(port.qos));
  if (in_switch == nullptr) return text + " not in the switch";
  return text + fmt::format(" bridge {} ofport {}", in_switch->bridge, in_switch->ofport);
}

std::string mirrors_text(const heddle::test::FakeDatapath& dp, const dp::BridgePolicy& policy) {
  std::map<dp::PortNo, std::string> names;
  for (const auto& [name, port] : dp.all_ports()) names[dp.number(name)] = name;
  // A port that has gone while the bridge refused any change is still in its policy.
  const auto name_of = [&](dp::PortNo number) {
    const auto it = names.find(number);
    return it == names.end() ? std::string("gone") : it->second;
  };
  const auto list = [&](const std::vector<dp::PortNo>& ports) {
    std::set<std::string> sorted;
    for (const dp::PortNo number : ports) sorted.insert(name_of(number));
    return fmt::format("{}", fmt::join(sorted, "+"));
  };
  std::multiset<std::string> texts;
  for (const auto& [slot, mirror] : policy.mirrors)
    texts.insert(fmt::format("[all {} from {} to {} vlans {} output {} vlan {}]", mirror.all, list(mirror.from),
                             list(mirror.to), vlans_text(mirror.vlans),
                             mirror.output == dp::PortNo::none ? "" : name_of(mirror.output),
                             mirror.output_vlan.value_or(0)));
  return fmt::format("{}", fmt::join(texts, " "));
}

void add_datapath(const std::string& type, const heddle::test::FakeDatapath& dp, const ofproto::Switch& sw,
                  Picture& out) {
  for (const auto& [name, port] : dp.all_ports()) out[type + " port " + name] = port_text(port, sw.port(name));
  for (const auto& [name, id] : dp.all_bridges()) {
    const ofproto::BridgeConfig& config = *sw.bridge(name);
    const dp::BridgePolicy policy = dp.bridge_policy(name);
    out[type + " bridge " + name] =
        fmt::format("aging {} capacity {} secure {}/{} flood {}/{} unknown {}/{} mirrors {}: {}", config.aging.count(),
                    config.fdb_capacity, config.secure, policy.secure, vlans_text(config.flood_vlans),
                    vlans_text(policy.flood_vlans), config.flood_unknown, policy.flood_unknown, config.mirrors.size(),
                    mirrors_text(dp, policy));
  }
}

void add_rows(Twin& twin, const char* table, std::initializer_list<const char*> columns, Picture& out) {
  for (const auto& row : twin.w.db->rows(table)) {
    std::string text;
    for (const char* column : columns)
      text += fmt::format("{}={} ", column,
                          ovsdb::dump_json(ovsdb::datum_to_json(row->table().find(column)->type, row->get(column))));
    out[fmt::format("row {} {}", table, row->get("name").string_or(""))] = text;
  }
}

Picture picture(Twin& twin) {
  Picture out;
  add_datapath("user", twin.w.dp, twin.w.sw, out);
  add_datapath("kernel", twin.kernel_dp, twin.kernel, out);
  add_rows(twin, "Interface",
           {"error", "ofport", "mtu", "ifindex", "link_state", "admin_state", "statistics", "status"}, out);
  add_rows(twin, "Port", {"status"}, out);
  add_rows(twin, "Bridge", {"status", "datapath_version"}, out);
  add_rows(twin, "Mirror", {"statistics"}, out);
  add_rows(twin, "Open_vSwitch", {"statistics", "cur_cfg", "datapath_types"}, out);
  for (const auto& row : twin.w.db->rows("Bridge"))
    out["identity of " + row->get("name").string_or("")] = row->get("datapath_id").empty() ? "no" : "yes";
  return out;
}

// Empty when they are the same.
std::string differences(const Picture& parts, const Picture& whole) {
  std::string text;
  Picture all = parts;
  all.insert(whole.begin(), whole.end());
  for (const auto& [what, ignored] : all) {
    const auto a = parts.find(what);
    const auto b = whole.find(what);
    if (a == parts.end() || b == whole.end() || a->second != b->second)
      text += fmt::format("{}:\n  parts {}\n  whole {}\n", what, a == parts.end() ? "nothing" : a->second,
                          b == whole.end() ? "nothing" : b->second);
  }
  return text;
}

// --- what happens ---

const std::vector<Json>& interfaces() {
  static const auto vxlan = [](std::initializer_list<std::pair<const char*, const char*>> options) {
    return Json{{"type", "vxlan"}, {"options", World::map(options)}};
  };
  static const auto patch = [](const char* peer) {
    return Json{{"type", "patch"}, {"options", World::map({{"peer", peer}})}};
  };
  static const std::vector<Json> all{
      {{"type", ""}},
      {{"type", "system"}},
      {{"type", "internal"}},
      {{"type", "internal"}, {"mtu_request", 1400}},
      {{"type", "internal"}, {"mtu_request", 3000}, {"mac", "02:00:00:00:00:55"}},
      {{"type", "internal"}, {"mac", "no address"}},
      {{"type", "dpdkvhostuserclient"}},
      vxlan({{"remote_ip", "192.0.2.1"}}),
      vxlan({{"remote_ip", "192.0.2.1"}, {"key", "7"}}),
      vxlan({{"remote_ip", "192.0.2.1"}, {"key", "7"}, {"tos", "8"}}),
      vxlan({{"remote_ip", "192.0.2.1"}, {"key", "many"}}),
      vxlan({{"remote_ip", "flow"}, {"remotes", "192.0.2.3,192.0.2.4"}}),
      patch("p1"),
      patch("p2"),
      patch("p3"),
      patch("b1"),
      {{"mtu_request", 1400}},
      {{"ofport_request", 9}},
      {{"ofport_request", 4}},
      {{"ofport_request", Json::array({"set", Json::array()})}},
      {{"ingress_policing_rate", 1000}},
      {{"bfd", World::map({{"enable", "true"}})}},
      {{"cfm_mpid", 3}},
      {{"ofport", 12}},
      {{"external_ids", World::map({{"a", "b"}})}},
  };
  return all;
}

const std::vector<Json>& port_columns() {
  static const Json none = Json::array({"set", Json::array()});
  static const std::vector<Json> all{
      {{"tag", none}, {"vlan_mode", none}, {"trunks", none}},
      {{"tag", 5}},
      {{"tag", 6}, {"vlan_mode", "native-tagged"}},
      {{"trunks", Json::array({"set", Json::array({3, 4})})}},
      {{"vlan_mode", "dot1q-tunnel"}},
      {{"protected", true}},
      {{"bond_mode", "balance-slb"}},
      {{"bond_mode", none}, {"protected", false}},
      {{"qos", none}},
  };
  return all;
}

const std::vector<Json>& bridge_columns() {
  static const std::vector<Json> all{
      {{"datapath_type", "user"}},
      {{"datapath_type", "kernel"}},
      {{"datapath_type", "netdev"}},
      {{"datapath_type", "warp"}},
      {{"datapath_type", ""}},
      {{"fail_mode", "secure"}},
      {{"fail_mode", "standalone"}},
      {{"flood_vlans", 8}},
      {{"flood_vlans", Json::array({"set", Json::array()})}},
      {{"other_config", World::map({{"mac-aging-time", "60"}})}},
      {{"other_config", World::map({{"flood-unknown", "false"}})}},
      {{"other_config", World::map({{"hwaddr", "02:00:00:00:00:aa"}, {"datapath-id", "0xaa"}})}},
      {{"other_config", World::map({{"hwaddr", "no address"}, {"stp-priority", "1"}})}},
      {{"stp_enable", true}},
  };
  return all;
}

class TwinHistories : public testing::TestWithParam<unsigned> {
 protected:
  Twin parts{true}, whole{false};
  std::mt19937 random{GetParam()};
  std::string told;               // of the present step
  std::set<std::string> refused;  // by the datapaths

  heddle::test::LogCapture log;

  unsigned pick(std::size_t n) { return static_cast<unsigned>(random() % n); }
  const Json& pick(const std::vector<Json>& list) { return list[pick(list.size())]; }
  std::string port() { return fmt::format("p{}", pick(8)); }
  std::string bridge() { return fmt::format("b{}", pick(3)); }
  template <typename F>
  void both(const std::string& what, F&& change) {
    told += what + "; ";
    change(parts);
    change(whole);
  }
  void change_something();
  void change_port(const std::string& name);
  void change_bridge(const std::string& name);
  void change_mirror(const std::string& name);
  void change_qos(const std::string& name);
  void change_world();
};

void TwinHistories::change_port(const std::string& name) {
  const std::string where = bridge();
  if (!parts.is_there("Bridge", where)) return;
  if (!parts.is_there("Port", name)) {
    const Json interface = pick(interfaces());
    const Json columns = pick(3) == 0 ? pick(port_columns()) : Json::object();
    return both(fmt::format("new {} in {}: {} {}", name, where, interface.dump(), columns.dump()),
                [&](Twin& t) { t.w.insert_port(where, name, interface, columns); });
  }
  switch (pick(6)) {
    case 0:
    case 1: {
      const Json columns = pick(interfaces());
      return both(fmt::format("interface {}: {}", name, columns.dump()),
                  [&](Twin& t) { t.w.change("Interface", name, columns); });
    }
    case 2: {
      const Json columns = pick(port_columns());
      return both(fmt::format("port {}: {}", name, columns.dump()),
                  [&](Twin& t) { t.w.change("Port", name, columns); });
    }
    default: {
      // Into a second bridge, or out of one.
      const char* how = parts.has_port(where, name) ? "delete" : pick(2) == 0 ? "insert" : nullptr;
      if (how == nullptr) return;
      return both(fmt::format("{} {}: {}", where, how, name), [&](Twin& t) { t.w.move_port(where, name, how); });
    }
  }
}

void TwinHistories::change_bridge(const std::string& name) {
  if (!parts.is_there("Bridge", name)) {
    const Json columns = pick(2) == 0 ? pick(bridge_columns()) : Json{{"datapath_type", "user"}};
    return both(fmt::format("new {}: {}", name, columns.dump()), [&](Twin& t) { t.w.insert_bridge(name, columns); });
  }
  if (pick(5) == 0)
    return both("without " + name, [&](Twin& t) {
      t.w.transact(
          Json::array({{{"op", "mutate"},
                        {"table", "Open_vSwitch"},
                        {"where", Json::array()},
                        {"mutations", Json::array({Json::array({"bridges", "delete", t.w.ref("Bridge", name)})})}}}));
    });
  const Json columns = pick(bridge_columns());
  both(fmt::format("bridge {}: {}", name, columns.dump()), [&](Twin& t) { t.w.change("Bridge", name, columns); });
}

void TwinHistories::change_mirror(const std::string& name) {
  const std::string where = bridge();
  const std::string from = port();
  const std::string output = port();
  const unsigned how = pick(4);
  if (!parts.is_there("Port", from) || !parts.is_there("Port", output)) return;
  const auto columns = [&](Twin& t) {
    Json out{{"select_src_port", t.w.ref("Port", from)}, {"select_all", how == 0}};
    if (how != 1) out["output_port"] = t.w.ref("Port", output);
    if (how == 1) out["output_vlan"] = 99;
    if (how == 2) out["select_vlan"] = 7;
    return out;
  };
  if (parts.is_there("Mirror", name)) {
    if (pick(3) != 0)
      return both(fmt::format("mirror {}: {} to {} ({})", name, from, output, how),
                  [&](Twin& t) { t.w.change("Mirror", name, columns(t)); });
    return both("no mirrors", [&](Twin& t) {
      t.w.transact(Json::array({{{"op", "update"},
                                 {"table", "Bridge"},
                                 {"where", Json::array()},
                                 {"row", {{"mirrors", Json::array({"set", Json::array()})}}}}}));
    });
  }
  if (!parts.is_there("Bridge", where)) return;
  both(fmt::format("new mirror {} of {}: {} to {} ({})", name, where, from, output, how),
       [&](Twin& t) { t.w.insert_mirror(where, name, columns(t)); });
}

void TwinHistories::change_qos(const std::string& name) {
  if (!parts.is_there("Port", name)) return;
  const char* type = pick(4) == 0 ? "linux-sfq" : "linux-htb";
  const Json other = pick(2) == 0 ? World::map({}) : World::map({{"max-rate", "8000000"}});
  if (pick(2) == 0)
    return both(fmt::format("qos of {}: {} {}", name, type, other.dump()), [&](Twin& t) {
      t.w.insert_qos(name, {{"type", type}, {"other_config", other}}, {{"other_config", other}});
    });
  const char* table = pick(2) == 0 ? "QoS" : "Queue";  // in place, of all ports
  both(fmt::format("every {}: {}", table, other.dump()), [&](Twin& t) {
    t.w.transact(Json::array(
        {{{"op", "update"}, {"table", table}, {"where", Json::array()}, {"row", {{"other_config", other}}}}}));
  });
}

// What happens outside of the database.
void TwinHistories::change_world() {
  const std::string name = port();
  const std::string where = bridge();
  const bool yes = pick(3) != 0;
  const unsigned number = pick(3);
  switch (pick(6)) {
    case 0:
      return both(fmt::format("{} refuses: {}", where, !yes), [&](Twin& t) {
        yes ? refused.erase(where) : refused.insert(where).second;
        for (auto* dp : {&t.w.dp, &t.kernel_dp}) dp->refuse_bridge(where, !yes);
      });
    case 1:
      return both(fmt::format("{} refuses: {}", name, !yes), [&](Twin& t) {
        yes ? refused.erase(name) : refused.insert(name).second;
        for (auto* dp : {&t.w.dp, &t.kernel_dp}) dp->refuse_port(name, !yes);
      });
    case 2:
      return both("MTU limit", [&](Twin& t) { t.largest_mtu = yes ? 65535 : 1450; });
    case 3:
      return both("statistics", [](Twin& t) { t.reconciler.refresh_statistics(); });
    default:
      return both(fmt::format("device {}: {} {}", name, yes, number), [&](Twin& t) {
        t.device(name, yes, 1400 + 50 * number, 10 * (name.back() - '0' + 1) + static_cast<int>(number));
      });
  }
}

void TwinHistories::change_something() {
  switch (pick(12)) {
    case 0:
      return change_bridge(bridge());
    case 1:
      return change_mirror(fmt::format("m{}", pick(2)));
    case 2:
      return change_qos(port());
    case 3:
    case 4:
      return change_world();
    case 5: {
      const Json other = pick(2) == 0 ? World::map({}) : World::map({{"dpdk-init", "true"}});
      const unsigned next = pick(100);
      return both(fmt::format("root: {} {}", other.dump(), next), [&](Twin& t) {
        t.w.transact(Json::array({{{"op", "update"},
                                   {"table", "Open_vSwitch"},
                                   {"where", Json::array()},
                                   {"row", {{"other_config", other}, {"next_cfg", next}}}}}));
      });
    }
    default:
      return change_port(port());
  }
}

TEST_P(TwinHistories, ComeToTheSame) {
  std::size_t warnings = 0;
  std::map<std::string, int> seen;  // that the random changes reach what they are for
  for (int step = 0; step < 200; ++step) {
    told = fmt::format("step {}: ", step);
    for (unsigned changes = 1 + pick(3); changes > 0; --changes) ASSERT_NO_FATAL_FAILURE(change_something());
    // A run that is not finished. Where ports fail it would count: a number that was taken in vain rests.
    const bool twice = refused.empty() && pick(8) == 0;
    if (twice) told += "twice";
    const auto run = [&](Twin& t) {
      log.take();
      t.reconciler.look_at_failed();
      if (twice) {
        t.reconciler.begin();
        t.reconciler.step([] { return true; });
      }
      t.reconciler.run();
      return log.take();
    };
    const auto warned = run(parts);
    ASSERT_THAT(warned, testing::UnorderedElementsAreArray(run(whole))) << told;
    warnings += warned.size();
    const Picture a = picture(parts);
    const Picture b = picture(whole);
    for (const auto& [what, text] : a)
      for (const char* word : {"same remote_ip", "already in bridge", "former settings", "whose datapath is",
                               "no memory", "too large", "from p", "no_effect", "not available here"})
        if (text.find(word) != std::string::npos) ++seen[word];
    ASSERT_EQ(differences(a, b), "") << told;
  }
  for (const auto* dp : {&parts.w.dp, &parts.kernel_dp}) EXPECT_THAT(dp->complaints(), testing::IsEmpty());
  EXPECT_THAT(seen, testing::SizeIs(testing::Ge(5U))) << testing::PrintToString(seen);
  EXPECT_GT(warnings, 20U);
  EXPECT_LT(parts.reconciler.readings(), whole.reconciler.readings() / 3);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TwinHistories, testing::Range(1U, 7U));

}  // namespace
}  // namespace heddle::vswitchd
