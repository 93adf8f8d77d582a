// SPDX-License-Identifier: Apache-2.0
// The form of what outlives a daemon, written down once more: sizes and places in the values of pinned maps, the maps
// themselves, and the numbers of drop reasons. Daemons of other versions read them, so they change only in the ways
// that datapath/kernel/bpf/layout.h allows.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "base/drop_reason.h"
#include "datapath/kernel/programs.h"
#include "tests/support/mounts.h"
#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp {
namespace {

constexpr const char* kWhatToDo =
    "The form of pinned data changed: bump HD_LAYOUT (and this table with it), or use a reserved field "
    "(datapath/kernel/bpf/layout.h says how).";

struct Place {
  const char* field;
  std::size_t at;
};

std::string line(const char* type, std::size_t size, std::initializer_list<Place> places) {
  std::string out = fmt::format("{} {}:", type, size);
  for (const Place& p : places) out += fmt::format(" {}@{}", p.field, p.at);
  return out + "\n";
}

// NOLINTBEGIN(cppcoreguidelines-macro-usage): a field's name and its place in one word
#define AT(field) \
  { #field, offsetof(Type, field) }
#define LINE(type, ...)                            \
  [] {                                             \
    using Type = type;                             \
    return line(#type, sizeof(Type), __VA_ARGS__); \
  }()
// NOLINTEND(cppcoreguidelines-macro-usage)

TEST(KernelLayout, ValuesHaveTheirSizesAndPlaces) {
  ASSERT_EQ(HD_LAYOUT, 3) << "write the table of the new layout";
  std::string form;
  form += LINE(hd_port, {AT(ifindex), AT(flags), AT(mtu), AT(bridge), AT(tag), AT(mode), AT(tos), AT(ttl),
                         AT(reserved1), AT(station), AT(reserved2), AT(vni), AT(tunnel_flags), AT(remote),
                         AT(mirrors_in), AT(mirrors_out), AT(reserved), AT(vlans)});
  form += LINE(hd_bridge, {AT(flood_vlans), AT(reserved)});
  form += LINE(hd_bucket, {AT(cost), AT(burst), AT(full)});
  form += LINE(hd_policer, {AT(bytes), AT(frames), AT(reserved)});
  form += LINE(hd_mirror_key, {AT(bridge), AT(slot)});
  form += LINE(hd_mirror, {AT(output), AT(output_vlan), AT(packets), AT(bytes), AT(reserved), AT(vlans)});
  form += LINE(hd_remote, {AT(addr), AT(local), AT(mtu), AT(v6), AT(usable), AT(reserved1), AT(reserved)});
  form += LINE(hd_vni, {AT(device), AT(vni)});
  form += LINE(hd_tunnel, {AT(net), AT(remote), AT(local)});
  form += LINE(hd_group, {AT(net), AT(group)});
  form += LINE(hd_sender, {AT(port), AT(addr)});
  form += LINE(hd_station, {AT(mac), AT(vlan)});
  form += LINE(hd_entry, {AT(target), AT(used), AT(reserved)});
  form += LINE(hd_vlan, {AT(bridge), AT(vlan)});
  form += LINE(hd_flood_key, {AT(set), AT(chunk)});
  form += LINE(hd_flood, {AT(total), AT(reserved), AT(target)});
  form += LINE(hd_traffic, {AT(rx_packets), AT(rx_bytes), AT(tx_packets), AT(tx_bytes), AT(reserved)});
  form += LINE(hd_drop_counts, {AT(count)});
  form += LINE(hd_learning,
               {AT(pending), AT(reported), AT(window), AT(dropped), AT(too_big), AT(too_big_second), AT(reserved)});
  form += LINE(hd_event, {AT(type), AT(port)});
  form += LINE(hd_learn_event, {AT(head), AT(bridge), AT(from_remote), AT(v6), AT(station), AT(remote)});
  form += LINE(hd_tag, {AT(tpid), AT(tci)});
  form += LINE(hd_too_big_event, {AT(head), AT(room), AT(frame_len), AT(tag), AT(inner), AT(head_len), AT(frame)});
  form += LINE(hd_name_key, {AT(number), AT(is_bridge)});
  form += LINE(hd_name, {AT(name), AT(kind), AT(ifindex), AT(made_clsact), AT(reserved)});
  EXPECT_EQ(
      form,
      R"(hd_port 624: ifindex@0 flags@4 mtu@8 bridge@12 tag@14 mode@16 tos@17 ttl@18 reserved1@19 station@20 reserved2@26 vni@28 tunnel_flags@32 remote@36 mirrors_in@40 mirrors_out@44 reserved@48 vlans@112
hd_bridge 576: flood_vlans@0 reserved@512
hd_bucket 24: cost@0 burst@8 full@16
hd_policer 80: bytes@0 frames@24 reserved@48
hd_mirror_key 4: bridge@0 slot@2
hd_mirror 568: output@0 output_vlan@4 packets@8 bytes@16 reserved@24 vlans@56
hd_remote 64: addr@0 local@16 mtu@32 v6@36 usable@37 reserved1@38 reserved@40
hd_vni 8: device@0 vni@4
hd_tunnel 40: net@0 remote@8 local@24
hd_group 24: net@0 group@8
hd_sender 20: port@0 addr@4
hd_station 8: mac@0 vlan@6
hd_entry 16: target@0 used@8 reserved@12
hd_vlan 4: bridge@0 vlan@2
hd_flood_key 8: set@0 chunk@4
hd_flood 272: total@0 reserved@4 target@16
hd_traffic 64: rx_packets@0 rx_bytes@8 tx_packets@16 tx_bytes@24 reserved@32
hd_drop_counts 1024: count@0
hd_learning 64: pending@0 reported@4 window@8 dropped@16 too_big@24 too_big_second@28 reserved@32
hd_event 4: type@0 port@2
hd_learn_event 32: head@0 bridge@4 from_remote@6 v6@7 station@8 remote@16
hd_tag 4: tpid@0 tci@2
hd_too_big_event 616: head@0 room@4 frame_len@8 tag@12 inner@16 head_len@20 frame@24
hd_name_key 4: number@0 is_bridge@2
hd_name 320: name@0 kind@256 ifindex@260 made_clsact@264 reserved@268
)") << kWhatToDo;
}

#undef LINE
#undef AT

TEST(KernelLayout, MapsHaveTheirForms) {
  HEDDLE_NEEDS_NETNS();
  const heddle::test::PrivateMounts mounts;
  const Pins pins(mounts.dir() + "/bpf", "owner", HD_LAYOUT);
  const auto programs = test::must(Programs::load(pins));
  std::string form;
  const auto add = [&](const std::string& name, int map) {
    bpf_map_info info{};
    __u32 size = sizeof info;
    ASSERT_EQ(bpf_obj_get_info_by_fd(map, &info, &size), 0) << name;
    form += fmt::format("{}: type {} key {} value {} elements {} flags {}\n", name, info.type, info.key_size,
                        info.value_size, info.max_entries, info.map_flags);
  };
  for (const std::string& name : pins.names()) add(name, pins.open(name).get());
  add("fdb", test::must(Programs::make_fdb(1000)).get());
  EXPECT_EQ(form, R"(bridges: type 2 key 4 value 576 elements 256 flags 0
devices: type 1 key 4 value 8 elements 8192 flags 1
drops: type 2 key 4 value 1024 elements 4096 flags 0
events: type 27 key 0 value 0 elements 1048576 flags 0
fdbs: type 12 key 4 value 4 elements 256 flags 0
flood_sets: type 1 key 8 value 272 elements 65536 flags 1
groups: type 1 key 24 value 8 elements 4096 flags 1
learning: type 2 key 4 value 64 elements 4096 flags 1024
mirrors: type 1 key 4 value 568 elements 8192 flags 1
names: type 1 key 4 value 320 elements 4352 flags 1
policers: type 2 key 4 value 80 elements 4096 flags 0
ports: type 2 key 4 value 624 elements 4096 flags 0
remotes: type 2 key 4 value 64 elements 65536 flags 0
senders: type 1 key 20 value 4 elements 65536 flags 1
strays: type 1 key 4 value 1024 elements 256 flags 1
traffic: type 6 key 4 value 64 elements 4096 flags 0
tunnels: type 1 key 40 value 8 elements 4096 flags 1
vlan_sets: type 1 key 4 value 8 elements 65536 flags 1
vnis: type 1 key 8 value 8 elements 4096 flags 1
fdb: type 1 key 8 value 16 elements 1000 flags 1
)") << kWhatToDo;
}

// Counters are by number: a reason that is not used any more keeps its place, and a new one comes last.
TEST(KernelLayout, DropReasonsKeepTheirNumbers) {
  std::string names;
  for (std::size_t i = 0; i < kDropCount; ++i) names += std::string(drop_name(static_cast<Drop>(i))) + " ";
  constexpr const char* kFirst =
      "truncated bad_length bad_header source_multicast reserved_multicast vlan_not_member vlan_tagged_on_access "
      "no_destination same_port split_horizon protected_port egress_vlan port_down no_bridge tx_queue_full tx_error "
      "rx_queue_full no_frame oversize tunnel_mtu unknown_vni bad_vxlan bad_udp_checksum no_route ecn_invalid "
      "mailbox_full mirror_port policed fail_secure patch_loop shaped wrong_ingress wrong_group ";
  EXPECT_EQ(names.substr(0, std::string(kFirst).size()), kFirst) << kWhatToDo;
}

}  // namespace
}  // namespace heddle::dp
