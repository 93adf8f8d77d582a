// SPDX-License-Identifier: Apache-2.0
// The elements that belong to a port's number: configuration, counters, policer, name.
//
// Owner: KernelPorts. Control thread.
#pragma once

#include "base/result.h"
#include "datapath/kernel/events.h"
#include "datapath/kernel/port_entry.h"
#include "datapath/kernel/programs.h"

namespace heddle::dp {

class PortTable {
 public:
  PortTable(const Programs& programs, Events& events) : programs_(programs), events_(events) {}

  // The number belongs to no port: no bridge, counters at zero.
  void reset_slot(PortNo no);
  // Reads what the programs have; after a take-over that of the former life.
  void read(PortEntry& p) const;
  // Gives the programs `wanted`, without what this version does not know. May wait for an RCU grace period.
  Result<> write(PortEntry& p, const hd_port& wanted);
  // The policy's fields of an element; its bridge among them.
  static void write_policy(const PortPolicy& policy, hd_port& next);
  Result<> write_policer(PortNo no, const Policing& policing);
  // For the next daemon: see TakeOver.
  void remember(const PortEntry& p);
  void forget(PortNo no);
  // Without the drops of the device's queues.
  [[nodiscard]] PortCounters counters(PortNo no) const;

 private:
  const Programs& programs_;
  Events& events_;
};

}  // namespace heddle::dp
