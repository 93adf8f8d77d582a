// SPDX-License-Identifier: Apache-2.0
// The kernel datapath: TC programs at the ingress of every port, the kernel's vxlan device for tunnels. See
// datapath/datapath.h for the contract.
//
// It forwards while no daemon runs: programs, maps and attachments are pinned in a BPF file system. A new object with
// the same owner takes over what an earlier one left; nothing of it stops meanwhile. Destroying the object leaves all
// at work; clean_up() removes it.
//
// What it makes in the network namespace bears `owner` as its alias: a vxlan device for each UDP port ("hdvx4789") and
// a veth pair for each internal port, whose other end is "hd" and eight hexadecimal digits. IPv6 routes to multicast
// groups are in table local, with protocol 72.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "datapath/control/group_memberships.h"
#include "datapath/datapath.h"

namespace heddle::dp {

struct KernelDatapathOptions {
  std::string owner;                  // tells this daemon's devices and pins from others'
  std::string bpffs = "/sys/fs/bpf";  // mount point of a BPF file system; mounted when it is not
  const TimeSource* time = nullptr;   // must outlive the datapath
  // Of multicast groups: without one the host is no member of them while no daemon runs.
  GroupMemberships::Keep keep_socket = {};
};

// Errc::unsupported when the kernel cannot do it; the text names what it lacks.
Result<std::unique_ptr<Datapath>> make_kernel_datapath(const KernelDatapathOptions& options);

}  // namespace heddle::dp
