// SPDX-License-Identifier: Apache-2.0
// The XDP programs of AF_XDP devices (bpf/xdp_port.bpf.c), loaded once for each device, with maps of its own.
//
// libbpf prepares them once: it looks through the type information of the whole kernel, 4.5 MB, for the function that a
// program calls, and a program that is bound to a device cannot be loaded once for all. What it made is kept, and
// loaded from then on by one system call.
//
// Threads: control. The first load() of the process registers a handler for the section "xdp.frags" with libbpf: no
// other thread may open BPF objects at that moment. Errors: the kernel refuses a program (too old, no BTF); the text
// names the device.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace heddle::dp {

struct XdpProgram {
  Fd program;
  // Those that the program uses.
  Fd sockets;
  Fd tunnel_ports;
  Fd local_addresses;
};

class XdpPrograms {
 public:
  enum Variant { bridge_port, bridge_port_tags, underlay };

  // Only bridge_port_tags is bound to the device.
  Result<XdpProgram> load(Variant variant, int ifindex, const std::string& device);

 private:
  static constexpr std::size_t kVariants = 3;
  struct Map {
    std::string name;
    bpf_map_type type = BPF_MAP_TYPE_UNSPEC;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
    std::uint32_t entries = 0;
    Fd XdpProgram::*place = nullptr;
  };
  Result<> prepare();

  std::array<std::vector<bpf_insn>, kVariants> images_;  // maps are named by their place in maps_
  std::vector<Map> maps_;
};

}  // namespace heddle::dp
