// SPDX-License-Identifier: Apache-2.0
// The TC programs and their maps, loaded into the kernel. Maps that an earlier daemon pinned in the same form are taken
// over one by one, and those that are missing (this version added them) are made. When one of them has another form
// than its layout's number promises, none is taken over: all pins are set aside as another layout's.
//
// Owner: the kernel datapath. load() and the destructor on the control thread; the maps' descriptors are good on any
// thread for the object's life. Destroying it leaves what is pinned or attached at work.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/kernel/bpf/layout.h"
#include "datapath/kernel/bpf_map.h"
#include "datapath/kernel/grace_period.h"
#include "datapath/kernel/pins.h"
#include "datapath/kernel/sealed_map.h"

struct tc_switch;

namespace heddle::dp {

// class-size: a member for each BPF map
class Programs {
 public:
  // Errc::unsupported, with the feature that the kernel lacks or the end of the verifier's log, when the programs
  // cannot be loaded.
  static Result<std::unique_ptr<Programs>> load(const Pins& pins);
  ~Programs();
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  // Maps came from an earlier life.
  [[nodiscard]] bool taken_over() const { return !reused_.empty(); }
  [[nodiscard]] int port_ingress() const;
  [[nodiscard]] int tunnel_ingress() const;
  // For what the programs may still use after it was taken out of a map.
  [[nodiscard]] const GracePeriod& grace() const { return *grace_; }

  BpfMap<__u32, hd_port> ports;
  SealedMap<__u32> devices;
  BpfMap<__u32, hd_bridge> bridges;
  BpfMap<__u32, __u32> fdbs;  // value: descriptor of a map made with make_fdb()
  SealedMap<hd_vlan> vlan_sets;
  BpfMap<hd_flood_key, hd_flood> flood_sets;
  BpfMap<__u32, hd_remote> remotes;
  SealedMap<hd_vni> vnis;
  SealedMap<hd_tunnel> tunnels;
  SealedMap<hd_group> groups;
  BpfMap<hd_sender, __u32> senders;
  BpfMap<__u32, hd_drop_counts> drops;
  BpfMap<__u32, hd_drop_counts> strays;
  BpfMap<__u32, hd_policer> policers;
  BpfMap<hd_mirror_key, hd_mirror> mirrors;
  BpfMap<hd_name_key, hd_name> names;
  [[nodiscard]] int traffic() const;   // of each CPU: see PortTable::counters()
  [[nodiscard]] int learning() const;  // for mmap()
  [[nodiscard]] int events() const;

  // Room for `entries` stations.
  static Result<Fd> make_fdb(std::size_t entries);

 private:
  Programs() = default;
  Result<> reuse(const Pins& pins);
  Result<> pin(const Pins& pins);
  void bind();

  tc_switch* skeleton_ = nullptr;
  std::unique_ptr<GracePeriod> grace_;
  std::set<std::string> reused_;  // maps of an earlier life
  bool other_form_ = false;       // pins of this layout's number have another form
};

// True when no byte of a reserved field is set. A newer version may have written to it: see layout.h.
template <typename T>
bool is_unused(const T& reserved) {
  const auto bytes = std::as_bytes(std::span(&reserved, 1));
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

// What the programs need of the kernel and it lacks, in words; empty when all is there. Each feature is tried.
std::vector<std::string> missing_features();

}  // namespace heddle::dp
