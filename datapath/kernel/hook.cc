// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"

namespace heddle::dp {
namespace {

// linux/bpf.h of 6.6; Debian 12's headers are older.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr unsigned kPreference = 65000;  // filters that ask for none get smaller numbers, and so run before ours

std::string pin_name(int ifindex) { return "link-" + std::to_string(ifindex); }

bpf_tc_hook ingress(int ifindex) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = ifindex;
  hook.attach_point = BPF_TC_INGRESS;
  return hook;
}

bpf_tc_opts our_filter(const Pins& pins) {
  bpf_tc_opts opts{};
  opts.sz = sizeof opts;
  opts.handle = pins.mark();
  opts.priority = kPreference;
  return opts;
}

// libbpf prints what the kernel answers to every question, also to those whose answer may be "no".
struct Quiet {
  libbpf_print_fn_t before = libbpf_set_print(nullptr);
  Quiet() = default;
  ~Quiet() { libbpf_set_print(before); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};

void remove_filter(const Pins& pins, int ifindex, netlink::Netlink& kernel, bool made_clsact) {
  const Quiet quiet;
  bpf_tc_hook hook = ingress(ifindex);
  const bpf_tc_opts opts = our_filter(pins);
  bpf_tc_detach(&hook, &opts);
  if (!made_clsact) return;
  // Others may have found the qdisc there and put filters in it.
  const auto in = kernel.ingress_filters(ifindex);
  const auto out = kernel.egress_filters(ifindex);
  if (!in || *in || !out || *out) return;
  hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  bpf_tc_hook_destroy(&hook);
}

bpf_link_info info_of(const Fd& link) {
  bpf_link_info info{};
  __u32 size = sizeof info;
  return link && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 ? info : bpf_link_info{};
}

// The device that a pinned link is on; 0 when that is gone.
int device_of(const Fd& link) { return static_cast<int>(info_of(link).xdp.ifindex); }  // tcx has it at the same place

// The number of the owner's filter's program; 0 when there is no filter.
__u32 filter_program(const Pins& pins, int ifindex) {
  const Quiet quiet;
  const bpf_tc_hook hook = ingress(ifindex);
  bpf_tc_opts opts = our_filter(pins);
  return bpf_tc_query(&hook, &opts) == 0 ? opts.prog_id : 0;
}

std::set<__u32> maps_of(int program) {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) return {};
  std::vector<__u32> maps(info.nr_map_ids);
  info = {};
  info.nr_map_ids = static_cast<__u32>(maps.size());
  info.map_ids = reinterpret_cast<__u64>(maps.data());
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) return {};
  return {maps.begin(), maps.end()};
}

// Whether the program of number `id` works on other maps than `program`. Programs of one layout share the pinned ones.
bool works_on_other_maps(__u32 id, int program) {
  const Fd other(bpf_prog_get_fd_by_id(id));
  const auto theirs = maps_of(other.get());
  const auto ours = maps_of(program);
  return !theirs.empty() && std::ranges::none_of(theirs, [&](__u32 map) { return ours.contains(map); });
}

struct ProgramInfo {
  __u32 id = 0;
  std::string name;
};

ProgramInfo program_info(int program) {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (program < 0 || bpf_obj_get_info_by_fd(program, &info, &size) != 0) return {};
  return {info.id, info.name};
}

// Whether another daemon has a program of the same name as `ours` on the device: it is a port of that daemon's.
// `left`: the program that this owner's earlier daemon left there.
bool has_other_owner(const Pins& pins, netlink::Netlink& kernel, int ifindex, int ours, __u32 left) {
  const ProgramInfo mine = program_info(ours);
  std::array<__u32, 64> ids{};
  __u32 count = ids.size();
  if (bpf_prog_query(ifindex, kTcxIngress, 0, nullptr, ids.data(), &count) == 0)
    for (const __u32 id : std::span(ids).first(std::min<std::size_t>(count, ids.size()))) {
      const Fd program(bpf_prog_get_fd_by_id(id));
      if (id != left && id != mine.id && program_info(program.get()).name == mine.name) return true;
    }
  const auto handles = kernel.ingress_filter_handles(ifindex, kPreference);
  return handles && std::ranges::any_of(*handles, [&](std::uint32_t handle) { return handle != pins.mark(); });
}

}  // namespace

// The link that an earlier daemon left on the device, of this layout or of another.
void Hook::find_link(const Pins& pins) {
  link_ = pins.open(pin_name(ifindex_));
  pinned_ = device_of(link_) == ifindex_;
  if (pinned_) return;
  link_.reset();
  for (Fd& link : pins.open_in_other_layouts(pin_name(ifindex_)))
    if (device_of(link) == ifindex_) link_ = std::move(link);
}

// A link of another layout is pinned here before it is updated: if the daemon is killed in between, its successor finds
// it.
Result<> Hook::attach_tcx(const Pins& pins, int program) {
  if (link_) {
    if (!pinned_)
      if (auto ok = pins.pin(link_.get(), pin_name(ifindex_)); !ok) return ok;
    pinned_ = true;
    if (bpf_link_update(link_.get(), program, nullptr) == 0) return {};
  }
  Fd link(bpf_link_create(program, ifindex_, kTcxIngress, nullptr));
  if (!link) return fail_errno(errno, "tcx");
  if (auto ok = pins.pin(link.get(), pin_name(ifindex_)); !ok) return ok;
  link_ = std::move(link);
  pinned_ = true;
  return {};
}

bool Hook::has_filter(const Pins& pins, int ifindex) { return filter_program(pins, ifindex) != 0; }

Result<> Hook::attach_filter(const Pins& pins, int program) {
  const Quiet quiet;
  bpf_tc_hook hook = ingress(ifindex_);
  const int made = bpf_tc_hook_create(&hook);
  if (made != 0 && made != -EEXIST) return fail_errno(-made, "clsact qdisc");
  made_clsact_ = made_clsact_ || made == 0;
  bpf_tc_opts opts = our_filter(pins);
  opts.prog_fd = program;
  opts.flags = BPF_TC_F_REPLACE;
  if (const int err = bpf_tc_attach(&hook, &opts); err != 0) return fail_errno(-err, "TC filter");
  return {};
}

// A link that is not pinned ends with the process, a filter with its device.
Result<Hook> Hook::attach(const Pins& pins, netlink::Netlink& kernel, const Target& target, int program) {
  Hook hook;
  hook.ifindex_ = target.ifindex;
  hook.made_clsact_ = target.made_clsact;
  hook.find_link(pins);
  const bool had_link = static_cast<bool>(hook.link_);
  const __u32 old_filter = filter_program(pins, target.ifindex);
  const __u32 left = had_link ? info_of(hook.link_).prog_id : old_filter;
  if (target.leave_other && left != 0 && works_on_other_maps(left, program)) {
    hook.waiting_ = program;
    return hook;
  }
  if (has_other_owner(pins, kernel, target.ifindex, program, left))
    return fail(Errc::exists,
                "network device " + target.name +
                    " is a port of another switch daemon: remove that port first, or stop that daemon with "
                    "its exit --cleanup");
  const bool must_stay = (target.ours && pins.path().empty()) || (target.one_of_many && !had_link);
  Result<> tcx = fail(Errc::unsupported, "the device has filters, or many ports came at once");
  if (had_link) {
    tcx = hook.attach_tcx(pins, program);
  } else if (old_filter == 0 && !must_stay) {
    const auto foreign = kernel.ingress_filters(target.ifindex);
    if (foreign && !*foreign) tcx = hook.attach_tcx(pins, program);
  }
  if (tcx) return hook;
  hook.link_.reset();
  if (auto filter = hook.attach_filter(pins, program); !filter)
    return fail(filter.error().code, "network device " + target.name + ": cannot attach a TC program: " +
                                         filter.error().text + "; tcx: " + tcx.error().text);
  return hook;
}

Result<> Hook::take_over(const Pins& pins) {
  const int program = std::exchange(waiting_, -1);
  if (program < 0) return {};
  return link_ ? attach_tcx(pins, program) : attach_filter(pins, program);
}

void Hook::detach(const Pins& pins, netlink::Netlink& kernel) {
  waiting_ = -1;
  if (ifindex_ == 0) return;
  if (link_) {
    bpf_link_detach(link_.get());
    link_.reset();
    pins.unpin(pin_name(ifindex_));
  } else {
    remove_filter(pins, ifindex_, kernel, made_clsact_);
  }
  ifindex_ = 0;
}

void Hook::remove_left_over(const Pins& pins, netlink::Netlink& kernel, int ifindex, bool made_clsact) {
  if (const Fd link = pins.open(pin_name(ifindex))) {
    bpf_link_detach(link.get());
    pins.unpin(pin_name(ifindex));
  }
  if (has_filter(pins, ifindex)) remove_filter(pins, ifindex, kernel, made_clsact);
}

}  // namespace heddle::dp
