// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/programs.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <string_view>

#include "base/limits.h"
#include "base/log.h"
#include "datapath/datapath.h"
#include "tc_switch.skel.h"

namespace heddle::dp {

static_assert(HD_PORTS == limits::kPorts && HD_BRIDGES == limits::kBridges && HD_REMOTES == limits::kTunnelRemotes);
static_assert(HD_PATCH_HOPS == limits::kPatchHops);
static_assert(HD_TARGETS >= limits::kPorts + limits::kFloodList);
static_assert(HD_MIRRORS == limits::kMirrors && HD_MIRRORS == 32, "a bit each in hd_port");
static_assert(HD_DROPS == static_cast<int>(kDropCount) && HD_DROPS <= HD_DROP_ROOM,
              "more drop reasons need a larger HD_DROP_ROOM, which needs another HD_LAYOUT");
static_assert(HD_ACCESS == static_cast<int>(VlanMode::access) && HD_TRUNK == static_cast<int>(VlanMode::trunk) &&
              HD_NATIVE_TAGGED == static_cast<int>(VlanMode::native_tagged) &&
              HD_NATIVE_UNTAGGED == static_cast<int>(VlanMode::native_untagged));
static_assert(static_cast<int>(PortKind::netdev) == 0 && static_cast<int>(PortKind::tap) == 1 &&
                  static_cast<int>(PortKind::internal) == 2 && static_cast<int>(PortKind::vxlan) == 3 &&
                  static_cast<int>(PortKind::patch) == 4,
              "the numbers of port kinds are pinned in `names`: a new kind comes last");

namespace {

// libbpf tells what goes wrong by a call-back without context: kept here while programs are loaded, for the message.
struct LogKeeper {
  static std::string& text() {
    static std::string kept;
    return kept;
  }
  static int print(libbpf_print_level level, const char* format, va_list args) {
    if (level == LIBBPF_DEBUG) return 0;
    std::array<char, 4096> line{};
    const int n = std::vsnprintf(line.data(), line.size(), format, args);
    constexpr std::size_t kMost = 64 << 10;
    if (n > 0 && text().size() < kMost) text() += line.data();
    return n;
  }
  LogKeeper() : before_(libbpf_set_print(print)) { text().clear(); }
  ~LogKeeper() { libbpf_set_print(before_); }
  LogKeeper(const LogKeeper&) = delete;
  LogKeeper& operator=(const LogKeeper&) = delete;

 private:
  libbpf_print_fn_t before_;
};

// The verifier says what is wrong at the end, before its statistics.
std::string last_lines(const std::string& text, std::size_t count) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    std::string line = text.substr(from, end - from);
    if (!line.empty() && line.find("processed ") == std::string::npos) lines.push_back(std::move(line));
    from = end + 1;
  }
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

constexpr std::string_view kFdb = "fdb-";  // and the bridge's number: see FdbTables

bpf_map_info info_of(int map) {
  bpf_map_info info{};
  __u32 size = sizeof info;
  return bpf_obj_get_info_by_fd(map, &info, &size) == 0 ? info : bpf_map_info{};
}

bool same_form(const bpf_map* map, int fd) {
  const bpf_map_info info = info_of(fd);
  return info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
         info.value_size == bpf_map__value_size(map) && info.max_entries == bpf_map__max_entries(map);
}

// Of a bridge's FDB, which may have any number of elements.
bool is_fdb(int fd) {
  const bpf_map_info info = info_of(fd);
  return info.type == BPF_MAP_TYPE_HASH && info.key_size == sizeof(hd_station) && info.value_size == sizeof(hd_entry);
}

// bpf_skb_set_tunnel_key() judges the size of its key when it runs, not when it is loaded: run it once.
bool tunnel_keys_have_local_addresses() {
  constexpr int kRoom = 64;
  static_assert(sizeof(bpf_tunnel_key) <= kRoom);
  std::vector<bpf_insn> code;
  for (int at = -kRoom; at < 0; at += 8)
    code.push_back({BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, static_cast<__s16>(at), 0});
  code.push_back({BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0});
  constexpr __u8 kAdd = BPF_ALU64;  // | BPF_ADD | BPF_K, which are 0. (The verifier takes no BPF_SUB on the stack.)
  code.push_back({kAdd, BPF_REG_2, 0, 0, -kRoom});
  code.push_back({BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, static_cast<__s32>(sizeof(bpf_tunnel_key))});
  code.push_back({BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0});
  code.push_back({BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_set_tunnel_key});
  code.push_back({BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
  const Fd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tunnel_key", "GPL", code.data(), code.size(), nullptr));
  std::array<std::uint8_t, 64> packet{};
  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.data_in = packet.data();
  run.data_size_in = packet.size();
  return program && bpf_prog_test_run_opts(program.get(), &run) == 0 && run.retval == 0;
}

}  // namespace

Result<std::unique_ptr<Programs>> Programs::load(const Pins& pins) {
  std::unique_ptr<Programs> p(new Programs());
  const LogKeeper keeper;
  p->skeleton_ = tc_switch__open();
  if (p->skeleton_ == nullptr) return fail_errno(errno, "opening the TC programs");
  if (auto ok = p->reuse(pins); !ok) return std::unexpected(ok.error());
  if (const int err = tc_switch__load(p->skeleton_); err != 0) {
    const auto missing = missing_features();
    if (!missing.empty()) return fail(Errc::unsupported, fmt::format("this kernel lacks {}", fmt::join(missing, ", ")));
    constexpr std::size_t kShown = 8;
    // What an earlier daemon left forwards on: then this is a failure, not a kernel that cannot do it.
    const bool goes_on = p->taken_over() || p->other_form_ || !pins.other_layouts().empty();
    return fail(goes_on ? Errc::system : Errc::unsupported,
                fmt::format("{}:\n{}", fail_errno(-err, "loading the TC programs").error().text,
                            last_lines(LogKeeper::text(), kShown)));
  }
  // The one feature that loading does not prove.
  if (!tunnel_keys_have_local_addresses())
    return fail(Errc::unsupported, "this kernel lacks local addresses in tunnel keys (Linux 6.0)");
  auto grace = GracePeriod::make();
  if (!grace) return std::unexpected(grace.error());
  p->grace_ = std::move(*grace);
  p->bind();
  if (auto ok = p->pin(pins); !ok) return std::unexpected(ok.error());
  return p;
}

Programs::~Programs() { tc_switch__destroy(skeleton_); }

// `names` is pinned last: without it a daemon was killed before it pinned all maps, or while it removed them, and
// nobody knows whose numbers the others have.
Result<> Programs::reuse(const Pins& pins) {
  std::map<std::string, std::pair<bpf_map*, Fd>> found;
  std::string other;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (bpf_map__is_internal(map)) continue;
    Fd fd = pins.open(bpf_map__name(map));
    if (!fd) continue;
    if (!same_form(map, fd.get())) other = bpf_map__name(map);
    found[bpf_map__name(map)] = {map, std::move(fd)};
  }
  for (const std::string& name : pins.names())
    if (name.starts_with(kFdb) && !is_fdb(pins.open(name).get())) other = name;
  if (!other.empty())
    spdlog::error("{}/{} has another form than maps of layout {} have; the pins are taken for another layout's",
                  pins.path(), other, HD_LAYOUT);
  else if (!found.empty() && !found.contains("names"))
    spdlog::warn("{}: the map of names is missing; the pins are taken for another layout's", pins.path());
  other_form_ = !other.empty() || (!found.empty() && !found.contains("names"));
  if (other_form_) return {};
  for (auto& [name, m] : found) {
    if (const int err = bpf_map__reuse_fd(m.first, m.second.get()); err != 0)
      return fail_errno(-err, "taking over BPF map " + name);
    reused_.insert(name);
  }
  return {};
}

// Also unpins what this version does not know: a newer version made it, and must not find it as it is now when it comes
// back. Attachments are not touched.
Result<> Programs::pin(const Pins& pins) {
  if (other_form_)
    if (auto ok = pins.set_aside(); !ok) return ok;
  std::set<std::string> known;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (bpf_map__is_internal(map)) continue;
    const std::string name = bpf_map__name(map);
    known.insert(name);
    if (reused_.contains(name)) continue;
    if (taken_over()) spdlog::info("kernel datapath: map {} was not there; it is made", name);
    if (auto ok = pins.pin(bpf_map__fd(map), name); !ok) return ok;
  }
  for (const std::string& name : pins.names()) {
    if (known.contains(name) || name.starts_with("link-") || name.starts_with(kFdb)) continue;
    spdlog::info("kernel datapath: {}/{} is of a newer version; it is unpinned", pins.path(), name);
    pins.unpin(name);
  }
  return {};
}

void Programs::bind() {
  const auto& m = skeleton_->maps;
  ports = {bpf_map__fd(m.ports), "ports"};
  devices = {bpf_map__fd(m.devices), "devices"};
  bridges = {bpf_map__fd(m.bridges), "bridges"};
  fdbs = {bpf_map__fd(m.fdbs), "fdbs"};
  vlan_sets = {bpf_map__fd(m.vlan_sets), "vlan_sets"};
  flood_sets = {bpf_map__fd(m.flood_sets), "flood_sets"};
  remotes = {bpf_map__fd(m.remotes), "remotes"};
  vnis = {bpf_map__fd(m.vnis), "vnis"};
  tunnels = {bpf_map__fd(m.tunnels), "tunnels"};
  groups = {bpf_map__fd(m.groups), "groups"};
  senders = {bpf_map__fd(m.senders), "senders"};
  drops = {bpf_map__fd(m.drops), "drops"};
  strays = {bpf_map__fd(m.strays), "strays"};
  policers = {bpf_map__fd(m.policers), "policers"};
  mirrors = {bpf_map__fd(m.mirrors), "mirrors"};
  names = {bpf_map__fd(m.names), "names"};
}

int Programs::port_ingress() const { return bpf_program__fd(skeleton_->progs.port_ingress); }
int Programs::tunnel_ingress() const { return bpf_program__fd(skeleton_->progs.tunnel_ingress); }
int Programs::traffic() const { return bpf_map__fd(skeleton_->maps.traffic); }
int Programs::learning() const { return bpf_map__fd(skeleton_->maps.learning); }
int Programs::events() const { return bpf_map__fd(skeleton_->maps.events); }

Result<Fd> Programs::make_fdb(std::size_t entries) {
  bpf_map_create_opts options{};
  options.sz = sizeof options;
  options.map_flags = BPF_F_NO_PREALLOC;
  Fd fd(bpf_map_create(BPF_MAP_TYPE_HASH, "fdb", sizeof(hd_station), sizeof(hd_entry), static_cast<__u32>(entries),
                       &options));
  if (fd) return fd;
  return fail_errno(errno, fmt::format("making a MAC table of {} entries", entries));
}

std::vector<std::string> missing_features() {
  std::vector<std::string> missing;
  const auto map = [&](bpf_map_type type, const char* name) {
    if (libbpf_probe_bpf_map_type(type, nullptr) != 1) missing.emplace_back(name);
  };
  const auto helper = [&](bpf_func_id id, const char* name) {
    if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, id, nullptr) != 1) missing.emplace_back(name);
  };
  if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, nullptr) != 1) return {"BPF programs for TC"};
  map(BPF_MAP_TYPE_ARRAY_OF_MAPS, "BPF maps of maps");
  map(BPF_MAP_TYPE_RINGBUF, "the BPF ring buffer (Linux 5.8)");
  helper(BPF_FUNC_loop, "the BPF helper bpf_loop (Linux 5.17)");
  helper(BPF_FUNC_redirect_peer, "the BPF helper bpf_redirect_peer (Linux 5.10)");
  helper(BPF_FUNC_ktime_get_coarse_ns, "the BPF helper bpf_ktime_get_coarse_ns (Linux 5.11)");
  helper(BPF_FUNC_skb_set_tunnel_key, "the BPF helper bpf_skb_set_tunnel_key");
  helper(BPF_FUNC_skb_vlan_push, "the BPF helper bpf_skb_vlan_push");
  helper(BPF_FUNC_clone_redirect, "the BPF helper bpf_clone_redirect");
  if (!tunnel_keys_have_local_addresses()) missing.emplace_back("local addresses in tunnel keys (Linux 6.0)");
  return missing;
}

}  // namespace heddle::dp
