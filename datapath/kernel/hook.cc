// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>

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

// The device that a pinned link is on; 0 when that is gone.
int device_of(int link) {
  bpf_link_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(link, &info, &size) != 0) return 0;
  return static_cast<int>(info.xdp.ifindex);  // tcx has it at the same place
}

}  // namespace

Result<> Hook::attach_tcx(const Pins& pins, int program) {
  Fd old = pins.open(pin_name(ifindex_));
  if (old && device_of(old.get()) == ifindex_ && bpf_link_update(old.get(), program, nullptr) == 0) {
    link_ = std::move(old);
    return {};
  }
  Fd link(bpf_link_create(program, ifindex_, kTcxIngress, nullptr));
  if (!link) return fail_errno(errno, "tcx");
  if (auto ok = pins.pin(link.get(), pin_name(ifindex_)); !ok) return ok;
  link_ = std::move(link);
  return {};
}

bool Hook::has_filter(const Pins& pins, int ifindex) {
  const Quiet quiet;
  const bpf_tc_hook hook = ingress(ifindex);
  bpf_tc_opts opts = our_filter(pins);
  return bpf_tc_query(&hook, &opts) == 0;
}

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
  const bool had_filter = has_filter(pins, target.ifindex);
  const bool had_link = static_cast<bool>(pins.open(pin_name(target.ifindex)));
  const bool must_stay = (target.ours && pins.path().empty()) || (target.one_of_many && !had_link);
  Result<> tcx = fail(Errc::unsupported, "the device has filters, or many ports came at once");
  if (!had_filter && !must_stay) {
    const auto foreign = had_link ? Result<bool>(false) : kernel.ingress_filters(target.ifindex);
    if (foreign && !*foreign) tcx = hook.attach_tcx(pins, program);
  }
  if (tcx) return hook;
  if (auto filter = hook.attach_filter(pins, program); !filter)
    return fail(filter.error().code, "network device " + target.name + ": cannot attach a TC program: " +
                                         filter.error().text + "; tcx: " + tcx.error().text);
  return hook;
}

void Hook::detach(const Pins& pins, netlink::Netlink& kernel) {
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
