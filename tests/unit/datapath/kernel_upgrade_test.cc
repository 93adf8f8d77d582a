// SPDX-License-Identifier: Apache-2.0
// Daemons of other versions: what the next one finds when the last one knew more maps, fewer maps, more fields, or
// another layout. The test plays the other version by changing the pins of a life that has ended.
#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <numeric>

#include "tests/unit/datapath/kernel_lives.h"

namespace heddle::dp {
namespace {

using namespace test;
namespace fs = std::filesystem;

class KernelUpgradeTest : public KernelDatapathTest {
 protected:
  // Ports a0 and b0 with stations behind them, and an end of the life that made them.
  void live_and_end() {
    for (const std::string n : {"a", "b"}) {
      veth(n + "0", n + "1");
      numbers_[n + "0"] = add(n + "0");
      ASSERT_TRUE(comes_up(numbers_[n + "0"]));
    }
    dp_->settle();
    must(dp_->stations().put(key(1), {numbers_["a0"], std::nullopt}));
    dp_.reset();
  }
  [[nodiscard]] fs::path owner_dir() const { return fs::path(pins().path()).parent_path(); }
  [[nodiscard]] std::vector<std::string> directories() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(owner_dir())) out.push_back(entry.path().filename().string());
    std::ranges::sort(out);
    return out;
  }
  // As if what was pinned so far were of another layout.
  void rename_layout() const { fs::rename(pins().path(), owner_dir() / "layout-0"); }
  template <typename Value>
  void change(const std::string& map, __u32 key, const std::function<void(Value&)>& how) const {
    const Fd fd = pins().open(map);
    const BpfMap<__u32, Value> m(fd.get(), map.c_str());
    Value value = m.get(key).value();
    how(value);
    must(m.put(key, value));
  }
  template <typename Key, typename Value>
  [[nodiscard]] std::optional<Value> read(const std::string& map, const Key& key) const {
    const Fd fd = pins().open(map);
    return BpfMap<Key, Value>(fd.get(), map.c_str()).get(key);
  }
  // The number of the program that a device has by tcx; 0: none.
  static __u32 program_at(const std::string& device) {
    std::array<__u32, 8> programs{};
    auto count = static_cast<__u32>(programs.size());
    if (bpf_prog_query(static_cast<int>(if_nametoindex(device.c_str())), static_cast<bpf_attach_type>(46), 0, nullptr,
                       programs.data(), &count) != 0)
      return 0;
    EXPECT_LE(count, 1U) << device << " has two programs";
    return programs[0];
  }
  // The number of the link that is pinned for a device; 0: none.
  [[nodiscard]] __u32 link_of(const std::string& device) const {
    const Fd link = pins().open(pin_of(device));
    bpf_link_info info{};
    __u32 size = sizeof info;
    return link && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 ? info.id : 0;
  }

  std::map<std::string, PortNo> numbers_;
};

TEST_F(KernelUpgradeTest, MissingMapIsMadeAndTheOthersAreTakenOver) {
  live_and_end();
  for (const char* map : {"policers", "mirrors"}) pins().unpin(map);
  reach("a1", {"b1"});
  open();
  for (const auto& [name, no] : numbers_) {
    EXPECT_EQ(add(name), no);
    reach("a1", {"b1"});
  }
  EXPECT_TRUE(knows(key(1)));
  dp_->settle();
  EXPECT_TRUE(pins().open("policers"));
  EXPECT_TRUE(pins().open("mirrors"));
  EXPECT_EQ(directories().size(), 1U);
  reach("b1", {"a1"});
}

TEST_F(KernelUpgradeTest, MapOfANewerVersionIsUnpinned) {
  live_and_end();
  const Fd more(bpf_map_create(BPF_MAP_TYPE_ARRAY, "more", 4, 4, 1, nullptr));
  must(pins().pin(more.get(), "more"));
  open();
  for (const auto& [name, no] : numbers_) EXPECT_EQ(add(name), no);
  dp_->settle();
  EXPECT_FALSE(pins().open("more"));
  EXPECT_TRUE(pins().open("names"));
  reach("a1", {"b1"});
}

// An older version leaves no trace of what a newer one wrote for itself alone.
TEST_F(KernelUpgradeTest, FieldsOfANewerVersionAreCleared) {
  live_and_end();
  const auto a = static_cast<__u32>(numbers_["a0"]);
  change<hd_port>("ports", a, [](hd_port& p) {
    p.flags |= 1U << 31;
    p.reserved1 = p.reserved2[1] = 1;
    p.reserved[15] = 1;
  });
  change<hd_policer>("policers", a, [](hd_policer& p) { p.reserved[3] = 1; });
  change<hd_bridge>("bridges", 0, [](hd_bridge& b) { b.reserved[15] = 1; });
  change<hd_learning>("learning", a, [](hd_learning& l) { l.reserved[7] = 1; });
  const auto set = number_in(read<hd_vlan, hd_sealed>("vlan_sets", {0, HD_ALL_VLANS}).value());
  {
    const Fd fd = pins().open("flood_sets");
    const BpfMap<hd_flood_key, hd_flood> sets(fd.get(), "flood_sets");
    hd_flood chunk = sets.get({set, 0}).value();
    chunk.reserved[2] = 1;
    must(sets.put({set, 0}, chunk));
    const Fd names = pins().open("names");
    const BpfMap<hd_name_key, hd_name> name_map(names.get(), "names");
    hd_name name = name_map.get({static_cast<__u16>(a), 0}).value();
    name.reserved[12] = 1;
    name.kind = 99;
    must(name_map.put({static_cast<__u16>(numbers_["b0"]), 0}, name));
  }
  open();
  EXPECT_EQ(add("a0"), numbers_["a0"]);
  const PortNo b = add("b0");  // its kind is one that nobody knows now: it is another port
  dp_->settle();
  reach("a1", {"b1"});
  const hd_port p = read<__u32, hd_port>("ports", a).value();
  EXPECT_EQ(p.flags & ~HD_PORT_FLAGS, 0U);
  EXPECT_EQ(p.reserved1, 0);
  EXPECT_TRUE(is_unused(p.reserved2));
  EXPECT_TRUE(is_unused(p.reserved));
  EXPECT_TRUE(is_unused(read<__u32, hd_policer>("policers", a)->reserved));
  EXPECT_TRUE(is_unused(read<__u32, hd_bridge>("bridges", 0)->reserved));
  EXPECT_TRUE(is_unused(read<__u32, hd_learning>("learning", a)->reserved));
  EXPECT_TRUE(is_unused(read<hd_name_key, hd_name>("names", {static_cast<__u16>(b), 0})->reserved));
  const auto now = number_in(read<hd_vlan, hd_sealed>("vlan_sets", {0, HD_ALL_VLANS}).value());
  EXPECT_NE(now, set);
  EXPECT_TRUE(is_unused(read<hd_flood_key, hd_flood>("flood_sets", {now, 0})->reserved));
}

TEST_F(KernelUpgradeTest, DropsOfReasonsThatAreNotKnownAreNotShown) {
  live_and_end();
  change<hd_drop_counts>("drops", static_cast<__u32>(numbers_["a0"]), [](hd_drop_counts& d) {
    d.count[static_cast<std::size_t>(Drop::oversize)] = 5;
    for (std::size_t i = kDropCount; i < HD_DROP_ROOM; ++i) d.count[i] = 7;
  });
  open();
  add("a0");
  const PortCounters counters = dp_->ports().counters(numbers_["a0"]);
  EXPECT_EQ(counters.drops[static_cast<std::size_t>(Drop::oversize)], 5U);
  EXPECT_EQ(std::accumulate(counters.drops.begin(), counters.drops.end(), std::uint64_t{0}), 5U);
}

// The old programs go on with the old maps until the new maps have everything; then the new ones come at once.
TEST_F(KernelUpgradeTest, OtherLayoutForwardsUntilTheNewOneStands) {
  live_and_end();
  const __u32 before = program_at("a0");
  const __u32 link = link_of("a0");
  rename_layout();
  open();
  for (const std::string n : {"a0", "b0"}) {
    reach("a1", {"b1"});
    ASSERT_TRUE(comes_up(add(n)));
    EXPECT_EQ(program_at("a0"), before) << "replaced before all ports are there";
  }
  reach("a1", {"b1"});
  EXPECT_EQ(directories(),
            (std::vector<std::string>{"layout-0", pins().path().substr(owner_dir().string().size() + 1)}));
  dp_->settle();
  reach("a1", {"b1"});
  reach("b1", {"a1"});
  EXPECT_TRUE(before == 0 || program_at("a0") != before);
  EXPECT_EQ(link_of("a0"), link) << "it was taken off and put on again";
  EXPECT_EQ(directories().size(), 1U);
  EXPECT_FALSE(knows(key(1)));
  open();  // and the life after that takes over
  for (const std::string n : {"a0", "b0"}) add(n);
  dp_->settle();
  reach("a1", {"b1"});
  dp_->clean_up();
  EXPECT_EQ(program_at("a0"), 0U);
}

// A daemon of the new layout that is killed before it has all, and one of the old layout that comes back.
TEST_F(KernelUpgradeTest, KilledBetweenTwoLayouts) {
  live_and_end();
  rename_layout();
  open();
  add("a0");
  dp_.reset();
  reach("a1", {"b1"});
  open();
  for (const std::string n : {"b0", "a0"}) {
    add(n);
    reach("a1", {"b1"});
  }
  dp_.reset();
  fs::rename(pins().path(), owner_dir() / "layout-9");
  fs::rename(owner_dir() / "layout-0", pins().path());
  open();
  for (const auto& [name, no] : numbers_) {
    EXPECT_EQ(add(name), no);
    reach("a1", {"b1"});
  }
  EXPECT_TRUE(knows(key(1)));
  dp_->settle();
  reach("a1", {"b1"});
  EXPECT_EQ(directories().size(), 1U);
}

// A port that is not configured any more, and one that goes while the old programs are at work.
TEST_F(KernelUpgradeTest, PortsThatGoBetweenTwoLayouts) {
  veth("c0", "c1");
  ASSERT_TRUE(comes_up(add("c0")));
  live_and_end();
  rename_layout();
  open();
  ASSERT_TRUE(comes_up(add("a0")));
  must(dp_->ports().remove(add("b0")));
  const Bytes f = frame(kAll, mac(1));
  const Ear inside("b0");
  Ear("b1").send(f);
  EXPECT_EQ(inside.await(), f);
  EXPECT_EQ(program_at("b0"), 0U);
  dp_->settle();
  EXPECT_TRUE(eventually([&] { return program_at("c0") == 0; })) << "nobody asked for it";
  EXPECT_EQ(directories().size(), 1U);
}

// A bug: the form changed and the number did not. Nothing of it is taken over, and nothing is lost either.
TEST_F(KernelUpgradeTest, MapOfAnotherFormMakesItAnotherLayout) {
  live_and_end();
  const Fd other(bpf_map_create(BPF_MAP_TYPE_ARRAY, "bridges", 4, 4, HD_BRIDGES, nullptr));
  must(pins().pin(other.get(), "bridges"));
  open();
  EXPECT_EQ(directories().size(), 2U);
  for (const std::string n : {"a0", "b0"}) {
    reach("a1", {"b1"});
    ASSERT_TRUE(comes_up(add(n)));
  }
  dp_->settle();
  reach("a1", {"b1"});
  EXPECT_EQ(directories().size(), 1U);
}

// An FDB's form is that of no map in the object: it is looked at, too.
TEST_F(KernelUpgradeTest, FdbOfAnotherFormMakesItAnotherLayout) {
  live_and_end();
  const Fd other(bpf_map_create(BPF_MAP_TYPE_HASH, "fdb", sizeof(hd_station), 4, 8, nullptr));
  must(pins().pin(other.get(), "fdb-0"));
  open();
  EXPECT_EQ(directories().size(), 2U);
  add("a0");
  dp_->settle();
  EXPECT_EQ(directories().size(), 1U);
}

}  // namespace
}  // namespace heddle::dp
