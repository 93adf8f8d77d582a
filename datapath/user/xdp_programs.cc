// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/xdp_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "xdp_port.skel.h"

namespace heddle::dp {
namespace {

constexpr std::uint32_t kDeviceBound = 1U << 6;  // BPF_F_XDP_DEV_BOUND_ONLY of linux/bpf.h, Linux 6.3

using Image = std::vector<bpf_insn>;

// While it lives, libbpf hands over to it the instructions of every XDP program that this thread loads, when all is
// resolved in them, and loads one that does nothing in its place: the right ones may be for a device only, or not for
// this kernel. The handler stays for good, since libbpf 1.1 frees its list of handlers twice when the last one goes.
class Keeper {
 public:
  Keeper() {
    active_ = this;
    static const int handler = [] {
      libbpf_prog_handler_opts options{};
      options.sz = sizeof options;
      options.prog_prepare_load_fn = keep;
      return libbpf_register_prog_handler("xdp.frags", BPF_PROG_TYPE_XDP, BPF_XDP, &options);
    }();
    handler_ = handler;
  }
  ~Keeper() { active_ = nullptr; }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  [[nodiscard]] int status() const { return std::min(handler_, 0); }
  [[nodiscard]] Image image(const bpf_program* program) const {
    for (const auto& [kept, image] : images_)
      if (kept == program) return image;
    return {};
  }

 private:
  static int keep(bpf_program* program, bpf_prog_load_opts* options, long /*cookie*/) {
    options->prog_flags |= BPF_F_XDP_HAS_FRAGS;  // what libbpf's own handler does
    if (active_ == nullptr) return 0;
    const bpf_insn* first = bpf_program__insns(program);
    active_->images_.emplace_back(program, Image(first, first + bpf_program__insn_cnt(program)));
    options->func_info_cnt = 0;
    options->line_info_cnt = 0;
    std::array<bpf_insn, 2> nothing{};
    nothing[0].code = BPF_ALU64 | BPF_MOV | BPF_K;  // r0 = XDP_PASS
    nothing[0].imm = XDP_PASS;
    nothing[1].code = BPF_JMP | BPF_EXIT;
    return bpf_program__set_insns(program, nothing.data(), nothing.size());
  }

  static thread_local Keeper* active_;
  int handler_ = -1;
  std::vector<std::pair<const bpf_program*, Image>> images_;
};

thread_local Keeper* Keeper::active_ = nullptr;

// An instruction that loads a map's address, in two halves, the first of which names the map.
bool names_map(const bpf_insn& i) { return i.code == (BPF_LD | BPF_IMM | BPF_DW) && i.src_reg == BPF_PSEUDO_MAP_FD; }

struct SkeletonFree {
  void operator()(xdp_port* s) const { xdp_port::destroy(s); }
};

}  // namespace

Result<> XdpPrograms::prepare() {
  const Keeper keeper;
  if (keeper.status() != 0) return fail_errno(-keeper.status(), "preparing the XDP programs");
  const std::unique_ptr<xdp_port, SkeletonFree> skeleton(xdp_port::open());
  if (!skeleton) return fail_errno(errno, "opening the XDP programs");
  if (const int err = xdp_port::load(skeleton.get()); err != 0) return fail_errno(-err, "preparing the XDP programs");

  std::vector<Map> maps;
  std::vector<int> numbers;
  const auto& m = skeleton->maps;
  for (const auto& [map, place] :
       {std::pair{m.sockets, &XdpProgram::sockets}, std::pair{m.tunnel_ports, &XdpProgram::tunnel_ports},
        std::pair{m.local_addresses, &XdpProgram::local_addresses}}) {
    maps.push_back({bpf_map__name(map), bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
                    bpf_map__max_entries(map), place});
    numbers.push_back(bpf_map__fd(map));
  }
  const auto& p = skeleton->progs;
  std::array<Image, kVariants> images{keeper.image(p.bridge_port), keeper.image(p.bridge_port_tags),
                                      keeper.image(p.underlay)};
  for (Image& image : images) {
    for (bpf_insn& i : image) {
      if (!names_map(i)) continue;
      const auto at = std::find(numbers.begin(), numbers.end(), i.imm);
      if (at == numbers.end()) return fail(Errc::invalid, "the XDP programs name a map that is not theirs");
      i.imm = static_cast<int>(at - numbers.begin());
    }
  }
  images_ = std::move(images);
  maps_ = std::move(maps);
  return {};
}

Result<XdpProgram> XdpPrograms::load(Variant variant, int ifindex, const std::string& device) {
  if (maps_.empty()) {
    if (auto ok = prepare(); !ok) return std::unexpected(ok.error());
  }
  XdpProgram out;
  Image image = images_.at(variant);
  for (bpf_insn& i : image) {
    if (!names_map(i)) continue;
    const Map& map = maps_.at(static_cast<std::size_t>(i.imm));
    Fd& fd = out.*map.place;
    if (!fd) fd.reset(bpf_map_create(map.type, map.name.c_str(), map.key_size, map.value_size, map.entries, nullptr));
    if (!fd) return fail_errno(errno, "making the map " + map.name + " of the XDP program for " + device);
    i.imm = fd.get();
  }
  constexpr std::array<const char*, kVariants> kNames{"bridge_port", "bridge_port_tags", "underlay"};
  bpf_prog_load_opts options{};
  options.sz = sizeof options;
  options.expected_attach_type = BPF_XDP;
  options.prog_flags = BPF_F_XDP_HAS_FRAGS;
  if (variant == bridge_port_tags) {
    options.prog_flags |= kDeviceBound;
    options.prog_ifindex = static_cast<std::uint32_t>(ifindex);
  }
  out.program.reset(bpf_prog_load(BPF_PROG_TYPE_XDP, kNames.at(variant), "GPL", image.data(), image.size(), &options));
  if (!out.program) return fail_errno(errno, "loading the XDP program for " + device);
  return out;
}

}  // namespace heddle::dp
