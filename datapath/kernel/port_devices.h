// SPDX-License-Identifier: Apache-2.0
// The devices of ports: taking them over by their kind, giving them back, their queues, and what the programs must know
// of them. One device belongs to one port, whatever names it has.
//
// Owner: KernelPorts. Control thread, but for answer_device(): any.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "datapath/kernel/egress_shapers.h"
#include "datapath/kernel/internal_pairs.h"
#include "datapath/kernel/own_devices.h"
#include "datapath/kernel/patch_pairs.h"
#include "datapath/kernel/port_table.h"
#include "datapath/kernel/take_over.h"

namespace heddle::dp {

class PortDevices {
 public:
  PortDevices(const OwnDevices& own, const Pins& pins, const Programs& programs, PortTable& table,
              const TakeOver& former, const TimeSource& time);

  // The name by which a port's device is known.
  static std::string device_name(const PortSpec& spec);
  // Tries to take the device over; p.device.error says why that failed. True when the port has it.
  bool open(PortEntry& p);
  // Gives the device back. The port stays, without one; `why` becomes its error.
  void close(PortEntry& p, const std::string& why);
  // Closes, and removes a device that the datapath made and no other port uses.
  void remove(PortEntry& p);

  // The device is as this now.
  void see_link(PortEntry& p, const netlink::Link& link);
  // Looks at an internal port's pair again: the host's end may have moved to another namespace, or come back. True when
  // anything is different.
  bool look_at_pair(PortEntry& p);
  // A queueing discipline or filter at the way out came or went. True when anything is different.
  bool on_traffic(PortEntry& p);
  // The far end of a veth, or the near end's watchers, may have changed without news. True when the link is different.
  bool refresh(PortEntry& p);

  [[nodiscard]] PortState state(const PortEntry& p) const;

  // Brings the device's queues to p.config.qos; p.shaping.error says why that failed.
  void apply_qos(PortEntry& p);
  [[nodiscard]] const EgressShapers& shapers() const { return shapers_; }

  // Takes off what an earlier daemon left on a device that is no port's.
  void free_left_over(int ifindex, bool made_clsact) const;
  // The same for every device but these, and elements of `devices` and `strays` of others.
  void drop_left_overs(const std::set<int>& ours) const;
  // A discipline of ours at a port without QoS, from a former life, goes.
  void drop_left_over_queues(PortEntry& p);

  // By which device answers to a port's guests leave; 0: none.
  [[nodiscard]] int answer_device(PortNo port) const {
    return answer_device_[static_cast<std::size_t>(port) % limits::kPorts].load(std::memory_order_relaxed);
  }

 private:
  Result<> open_netdev(PortEntry& p);
  Result<> open_pair(PortEntry& p);
  Result<> open_patch(PortEntry& p);
  Result<> attach(PortEntry& p, const netlink::Link& hooked, bool made_clsact);
  void write(PortEntry& p);
  void see_way_out(PortEntry& p);
  [[nodiscard]] bool has_unused_pair(const PortEntry& p) const;
  [[nodiscard]] bool one_of_many();
  [[nodiscard]] PatchPairs::InUse in_use() const {
    return [this](int ifindex) { return holders_.contains(ifindex); };
  }

  const OwnDevices& own_;
  const Pins& pins_;
  const Programs& programs_;
  PortTable& table_;
  const TakeOver& former_;
  const TimeSource& time_;
  InternalPairs pairs_;
  PatchPairs patches_;
  EgressShapers shapers_;
  std::map<int, std::string> holders_;  // ifindex -> the port that has the device
  TimePoint hooks_paid_{};              // when the RCU waits of all tcx attachments are paid for
  std::array<std::atomic<int>, limits::kPorts> answer_device_{};  // read by the handler
};

}  // namespace heddle::dp
