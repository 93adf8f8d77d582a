// SPDX-License-Identifier: Apache-2.0
// Bridges of the kernel datapath: the Bridges facet.
//
// Owner: KernelDatapath. Control thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "datapath/datapath.h"
#include "datapath/kernel/fdb_tables.h"
#include "datapath/kernel/kernel_ports.h"
#include "datapath/kernel/take_over.h"

namespace heddle::dp {

class KernelBridges final : public Bridges {
 public:
  KernelBridges(const Programs& programs, FdbTables& fdb, KernelPorts& ports, TakeOver& former)
      : programs_(programs), fdb_(fdb), ports_(ports), former_(former) {}

  Result<BridgeId> add(const std::string& name) override;
  void remove(BridgeId bridge) override;
  Result<> set(BridgeId bridge, const BridgePolicy& policy) override;
  [[nodiscard]] MirrorCounters mirror_counters(BridgeId bridge, unsigned slot) const override {
    return ports_.policies().mirror_counters(bridge, slot);
  }

  // Ends a take-over: bridges whose policy never came get the one that bridges begin with, bridges of a former life go.
  void settle();
  [[nodiscard]] std::set<BridgeId> numbers() const;

 private:
  [[nodiscard]] std::size_t free_number() const;

  const Programs& programs_;
  FdbTables& fdb_;
  KernelPorts& ports_;
  TakeOver& former_;
  std::map<std::string, BridgeId> bridges_;
};

}  // namespace heddle::dp
