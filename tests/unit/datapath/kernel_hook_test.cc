// SPDX-License-Identifier: Apache-2.0
// Pins in a BPF file system of the test's own, and programs at devices: by tcx and by filter, beside others' filters.
#include <sys/stat.h>

#include <array>

#include "datapath/kernel/hook.h"
#include "tests/support/mounts.h"
#include "tests/unit/datapath/kernel_world.h"

namespace heddle::dp {
namespace {

using namespace test;
using heddle::test::PrivateMounts;
using heddle::test::sh;

constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr bpf_tc_attach_point kBothWays = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);

bool exists(const std::string& path) {
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0;
}

Fd small_map() { return Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "small", 4, 4, 1, nullptr)); }

// A program that answers every frame alike.
Fd program(int verdict) {
  std::array<bpf_insn, 2> code{};
  code[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  code[0].imm = verdict;
  code[1].code = BPF_JMP | BPF_EXIT;
  Fd fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", code.data(), code.size(), nullptr));
  if (!fd) throw std::runtime_error(std::string("loading a program: ") + std::strerror(errno));
  return fd;
}

// Keeps the calling thread where it is.
class OneProcessor {
 public:
  OneProcessor() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OneProcessor() { sched_setaffinity(0, sizeof before_, &before_); }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  cpu_set_t before_{};
};

class KernelPins : public ::testing::Test {
 protected:
  void SetUp() override {
    HEDDLE_NEEDS_NETNS();
    mounts_ = std::make_unique<PrivateMounts>();
    bpffs_ = mounts_->dir() + "/bpf";
  }
  std::unique_ptr<PrivateMounts> mounts_;
  std::string bpffs_;
};

TEST_F(KernelPins, MountsPinsFindsAndRemoves) {
  const Pins pins(bpffs_, "owner", 1);
  ASSERT_EQ(pins.why(), "");
  EXPECT_TRUE(pins.path().starts_with(bpffs_ + "/")) << pins.path();
  EXPECT_TRUE(pins.path().ends_with("/layout-1")) << pins.path();
  EXPECT_FALSE(pins.open("m"));
  const Fd map = small_map();
  ASSERT_TRUE(pins.pin(map.get(), "m"));
  ASSERT_TRUE(pins.pin(small_map().get(), "m")) << "in place of what has the name";
  ASSERT_TRUE(pins.pin(map.get(), "a"));
  EXPECT_EQ(pins.names(), (std::vector<std::string>{"a", "m"}));
  EXPECT_TRUE(pins.open("m"));
  const Pins again(bpffs_, "owner", 1);
  EXPECT_EQ(again.names(), pins.names()) << "a second look mounts nothing over it";
  pins.unpin("a");
  EXPECT_EQ(again.names(), std::vector<std::string>{"m"});
  const std::string dir = pins.path();
  pins.remove_all();
  EXPECT_FALSE(exists(dir));
  EXPECT_FALSE(exists(dir.substr(0, dir.rfind('/')))) << "the owner's directory stays";
}

TEST_F(KernelPins, OtherLayoutsOfTheSameOwner) {
  const Pins old(bpffs_, "owner", 1);
  const Pins stranger(bpffs_, "other", 1);
  for (const Pins* p : {&old, &stranger}) ASSERT_TRUE(p->pin(small_map().get(), "m"));
  const Pins next(bpffs_, "owner", 2);
  EXPECT_EQ(next.other_layouts(), std::vector<std::string>{old.path()});
  EXPECT_FALSE(next.open("m"));
  next.remove_all();
  EXPECT_TRUE(exists(old.path())) << "another layout's pins went too";
  const Pins third(bpffs_, "owner", 2);
  third.remove_other_layouts();
  EXPECT_TRUE(third.other_layouts().empty());
  EXPECT_FALSE(exists(old.path()));
  EXPECT_TRUE(stranger.open("m"));
}

TEST_F(KernelPins, OwnersThatLookAlike) {
  std::set<std::string> paths;
  for (const std::string& owner : {std::string("/run/a.b"), std::string("/run/a-b"), std::string("run/a-b"),
                                   std::string(300, 'x'), std::string(301, 'x'), std::string()}) {
    const Pins pins(bpffs_, owner, 1);
    EXPECT_EQ(pins.why(), "") << owner;
    EXPECT_TRUE(paths.insert(pins.path()).second) << owner << " shares " << pins.path();
  }
}

TEST_F(KernelPins, WithoutAFileSystemNothingHappensAndItSaysWhy) {
  const Pins pins("/proc/none", "owner", 1);
  EXPECT_EQ(pins.path(), "");
  EXPECT_NE(pins.why().find("/proc/none"), std::string::npos) << pins.why();
  EXPECT_TRUE(pins.pin(small_map().get(), "m"));
  EXPECT_FALSE(pins.open("m"));
  EXPECT_TRUE(pins.names().empty());
  EXPECT_TRUE(pins.other_layouts().empty());
  pins.unpin("m");
  pins.remove_other_layouts();
  pins.remove_all();
}

TEST_F(KernelPins, SettingAside) {
  const Pins pins(bpffs_, "owner", 1);
  for (const int n : {1, 2}) {
    ASSERT_TRUE(pins.pin(small_map().get(), "m"));
    must(pins.set_aside());
    EXPECT_TRUE(pins.names().empty());
    EXPECT_EQ(pins.other_layouts().size(), static_cast<std::size_t>(n));
    EXPECT_EQ(pins.open_in_other_layouts("m").size(), static_cast<std::size_t>(n));
  }
  EXPECT_TRUE(pins.open_in_other_layouts("n").empty());
  pins.remove_other_layouts();
  EXPECT_TRUE(pins.other_layouts().empty());
  must(pins.set_aside());
  EXPECT_EQ(pins.other_layouts().size(), 1U);
}

TEST_F(KernelPins, MapsAreTakenOverOneByOne) {
  const Pins pins(bpffs_, "owner", 1);
  {
    const auto first = must(Programs::load(pins));
    EXPECT_FALSE(first->taken_over());
    must(first->vlan_sets.put({1, 2}, 3));
  }
  pins.unpin("devices");
  {
    const auto second = must(Programs::load(pins));
    EXPECT_TRUE(second->taken_over());
    EXPECT_EQ(second->vlan_sets.get({1, 2}), 3U);
  }
  EXPECT_TRUE(pins.open("devices"));
  ASSERT_TRUE(pins.pin(small_map().get(), "ports"));  // not what it should be
  {
    const auto third = must(Programs::load(pins));
    EXPECT_FALSE(third->taken_over());
    EXPECT_FALSE(third->vlan_sets.get({1, 2}));
  }
  EXPECT_EQ(pins.other_layouts().size(), 1U);
  pins.unpin("names");  // whose numbers the others have nobody knows
  EXPECT_FALSE(must(Programs::load(pins))->taken_over());
  EXPECT_TRUE(must(Programs::load(pins))->taken_over());
}

class KernelHook : public KernelWorldTest {
 protected:
  void SetUp() override {
    KernelWorldTest::SetUp();
    if (IsSkipped()) return;
    mounts_ = std::make_unique<PrivateMounts>();
    pins_ = std::make_unique<Pins>(mounts_->dir() + "/bpf", "owner", 1);
    a_ = w().device(access());
    w().device(access());
    ifindex_ = static_cast<int>(w().ports[a_].conf.ifindex);
  }
  void TearDown() override {
    pins_.reset();
    mounts_.reset();
    KernelWorldTest::TearDown();
  }
  Result<Hook> attach(const Pins& pins, bool one_of_many = false) {
    return Hook::attach(pins, *w().kernel, {.ifindex = ifindex_, .name = "p1", .one_of_many = one_of_many},
                        w().programs->port_ingress());
  }
  // How many programs of ours see a frame that arrives. A second, short frame tells when the first has been through: on
  // one processor they keep their order.
  std::uint64_t seen() {
    const OneProcessor here;
    const auto before = w().traffic(a_).rx_bytes;
    const Ear door(w().ports[a_].near);  // sees frames before any program
    const Bytes first = frame(mac(2), mac(1), {}, Bytes(1000, 0));
    const Bytes second = frame(mac(2), mac(1), {}, Bytes(60, 0));
    for (const Bytes& f : {first, second}) {
      w().arrive(a_, f);
      EXPECT_EQ(door.await(), f);
    }
    return (w().traffic(a_).rx_bytes - before) / first.size();
  }
  void foreign_filter(const Fd& prog, bpf_tc_attach_point where) const {
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = ifindex_;
    hook.attach_point = kBothWays;
    const int made = bpf_tc_hook_create(&hook);
    ASSERT_TRUE(made == 0 || made == -EEXIST) << made;
    hook.attach_point = where;
    bpf_tc_opts opts{};
    opts.sz = sizeof opts;
    opts.handle = 1;
    opts.priority = 10;
    opts.prog_fd = prog.get();
    ASSERT_EQ(bpf_tc_attach(&hook, &opts), 0);
  }
  [[nodiscard]] bool has_foreign_filter(bpf_tc_attach_point where) const {
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = ifindex_;
    hook.attach_point = where;
    bpf_tc_opts opts{};
    opts.sz = sizeof opts;
    opts.handle = 1;
    opts.priority = 10;
    return bpf_tc_query(&hook, &opts) == 0;
  }
  // Takes every place that tcx has (64), so that only a filter is left. Nothing where there is no tcx.
  void fill_tcx() {
    for (int n = 0; n < 1000; ++n) {
      const Fd pass = program(TC_ACT_UNSPEC);  // each once
      Fd link(bpf_link_create(pass.get(), ifindex_, kTcxIngress, nullptr));
      if (!link) return;
      full_.push_back(std::move(link));
    }
    FAIL() << "tcx has no end";
  }
  [[nodiscard]] bool has_tcx() const {
    const Fd pass = program(TC_ACT_UNSPEC);
    return static_cast<bool>(Fd(bpf_link_create(pass.get(), ifindex_, kTcxIngress, nullptr)));
  }

  std::unique_ptr<PrivateMounts> mounts_;
  std::unique_ptr<Pins> pins_;
  PortNo a_ = PortNo::none;
  int ifindex_ = 0;
  std::vector<Fd> full_;
};

TEST_F(KernelHook, AttachesByTcxWhereThatIsToBeHad) {
  Hook hook = must(attach(*pins_));
  EXPECT_STREQ(hook.kind(), has_tcx() ? "tcx" : "clsact");
  EXPECT_EQ(hook.ifindex(), ifindex_);
  EXPECT_EQ(seen(), 1U);
  hook.detach(*pins_, *w().kernel);
  EXPECT_EQ(hook.ifindex(), 0);
  EXPECT_EQ(seen(), 0U);
  EXPECT_TRUE(pins_->names().empty());
  EXPECT_FALSE(must(w().kernel->has_clsact(ifindex_)));
  hook.detach(*pins_, *w().kernel);
}

TEST_F(KernelHook, OneOfManyGetsAFilterUnlessItHasTcx) {
  {
    const Hook first = must(attach(*pins_, true));
    EXPECT_STREQ(first.kind(), "clsact");
  }
  Hook filter = must(attach(*pins_));
  EXPECT_STREQ(filter.kind(), "clsact") << "what is there stays of its kind";
  EXPECT_EQ(seen(), 1U);
  filter.detach(*pins_, *w().kernel);
  EXPECT_EQ(seen(), 0U);
  { const Hook first = must(attach(*pins_)); }
  Hook again = must(attach(*pins_, true));
  EXPECT_STREQ(again.kind(), has_tcx() ? "tcx" : "clsact");
  EXPECT_EQ(seen(), 1U) << "not exactly one program";
  again.detach(*pins_, *w().kernel);
}

TEST_F(KernelHook, SurvivesItsOwnerAndIsReplacedInPlace) {
  { const Hook first = must(attach(*pins_)); }
  EXPECT_EQ(seen(), 1U) << "gone with its owner";
  const auto others = must(Programs::load(Pins("/proc/none", "", 1)));
  Hook hook = must(Hook::attach(*pins_, *w().kernel, {.ifindex = ifindex_, .name = "p1"}, others->port_ingress()));
  EXPECT_EQ(seen(), 0U) << "the first program is still there";
  hook = must(attach(*pins_));
  EXPECT_EQ(seen(), 1U) << "not exactly one program";
  hook.detach(*pins_, *w().kernel);
  EXPECT_EQ(seen(), 0U);
}

// A program on other maps, by tcx in another layout's directory or by a filter: it stays until take_over().
TEST_F(KernelHook, ProgramOnOtherMapsStaysUntilItIsTakenOver) {
  const auto others = must(Programs::load(Pins("/proc/none", "", 1)));
  const Pins elsewhere(mounts_->dir() + "/bpf", "owner", 2);
  for (const bool by_filter : {false, true}) {
    if (by_filter) fill_tcx();
    { const Hook first = must(attach(*pins_)); }
    ASSERT_EQ(seen(), 1U);
    Hook hook = must(Hook::attach(elsewhere, *w().kernel, {.ifindex = ifindex_, .name = "p1", .leave_other = true},
                                  others->port_ingress()));
    EXPECT_EQ(hook.ifindex(), ifindex_);
    EXPECT_EQ(seen(), 1U) << "it was replaced at once";
    must(hook.take_over(elsewhere));
    EXPECT_EQ(seen(), 0U) << "it is still there";
    EXPECT_STREQ(hook.kind(), by_filter || !has_tcx() ? "clsact" : "tcx");
    pins_->remove_all();
    pins_ = std::make_unique<Pins>(mounts_->dir() + "/bpf", "owner", 1);
    must(hook.take_over(elsewhere));
    hook = must(Hook::attach(elsewhere, *w().kernel, {.ifindex = ifindex_, .name = "p1", .leave_other = true},
                             w().programs->port_ingress()));
    EXPECT_EQ(seen(), 0U);
    hook.detach(elsewhere, *w().kernel);
    EXPECT_EQ(seen(), 0U);
    EXPECT_TRUE(elsewhere.names().empty());
    EXPECT_FALSE(Hook::has_filter(elsewhere, ifindex_));
  }
}

TEST_F(KernelHook, RemovesWhatIsLeftOver) {
  bool made_clsact = false;
  { made_clsact = must(attach(*pins_)).made_clsact(); }
  ASSERT_EQ(seen(), 1U);
  Hook::remove_left_over(*pins_, *w().kernel, ifindex_, made_clsact);
  EXPECT_EQ(seen(), 0U);
  EXPECT_TRUE(pins_->names().empty());
  EXPECT_FALSE(must(w().kernel->has_clsact(ifindex_)));
  Hook::remove_left_over(*pins_, *w().kernel, ifindex_, made_clsact);
}

TEST_F(KernelHook, GoesBehindOthersFiltersAndLeavesThem) {
  foreign_filter(program(TC_ACT_UNSPEC), BPF_TC_INGRESS);
  Hook hook = must(attach(*pins_));
  EXPECT_STREQ(hook.kind(), "clsact");
  EXPECT_FALSE(hook.made_clsact());
  EXPECT_EQ(seen(), 1U);
  hook = must(attach(*pins_));
  EXPECT_EQ(seen(), 1U) << "twice";
  hook.detach(*pins_, *w().kernel);
  EXPECT_EQ(seen(), 0U);
  EXPECT_TRUE(has_foreign_filter(BPF_TC_INGRESS));
}

TEST_F(KernelHook, FiltersOfOthersComeFirst) {
  foreign_filter(program(TC_ACT_SHOT), BPF_TC_INGRESS);
  const Hook hook = must(attach(*pins_));
  EXPECT_EQ(seen(), 0U);
}

// The filter path where there is tcx too: no place is left there.
TEST_F(KernelHook, FilterTakesItsQdiscAlong) {
  fill_tcx();
  Hook hook = must(attach(*pins_));
  EXPECT_STREQ(hook.kind(), "clsact");
  EXPECT_TRUE(hook.made_clsact());
  EXPECT_EQ(seen(), 1U);
  hook.detach(*pins_, *w().kernel);
  EXPECT_EQ(seen(), 0U);
  EXPECT_FALSE(must(w().kernel->has_clsact(ifindex_)));
}

TEST_F(KernelHook, QdiscStaysWhileOthersUseIt) {
  for (const auto where : {BPF_TC_INGRESS, BPF_TC_EGRESS}) {
    fill_tcx();
    Hook hook = must(attach(*pins_));
    ASSERT_TRUE(hook.made_clsact());
    foreign_filter(program(TC_ACT_UNSPEC), where);
    hook.detach(*pins_, *w().kernel);
    EXPECT_EQ(seen(), 0U);
    EXPECT_TRUE(has_foreign_filter(where)) << (where == BPF_TC_INGRESS ? "ingress" : "egress");
    full_.clear();
    ASSERT_FALSE(HasFailure());
    sh("tc qdisc del dev p1 clsact");
  }
}

// A pin may be of a device that had this number before.
TEST_F(KernelHook, PinOfADeviceThatIsGone) {
  { const Hook first = must(attach(*pins_)); }
  sh("ip link del p1");
  const std::string name = "link-" + std::to_string(ifindex_);
  EXPECT_EQ(static_cast<bool>(pins_->open(name)), !pins_->names().empty());
  sh("ip link add p1 index " + std::to_string(ifindex_) +
     " type veth peer name q1 && ip link set p1 up && ip link set q1 up");
  w().ports[a_].ear = std::make_shared<Ear>("q1");
  EXPECT_EQ(seen(), 0U);
  Hook hook = must(attach(*pins_));
  EXPECT_EQ(seen(), 1U);
  hook.detach(*pins_, *w().kernel);
  EXPECT_EQ(seen(), 0U);
}

TEST_F(KernelHook, DeviceThatDoesNotExist) {
  const auto hook =
      Hook::attach(*pins_, *w().kernel, {.ifindex = 0x7ffffff0, .name = "gone0"}, w().programs->port_ingress());
  ASSERT_FALSE(hook);
  EXPECT_NE(hook.error().text.find("gone0"), std::string::npos) << hook.error().text;
}

}  // namespace
}  // namespace heddle::dp
