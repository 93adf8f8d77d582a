// SPDX-License-Identifier: Apache-2.0
// The workers' configuration, as the control thread edits it: slots of PortIo, ports, bridges, tunnel keys. publish()
// turns the draft into the snapshot that workers read. Control thread only.
#pragma once

#include <memory>
#include <vector>

#include "base/rcu.h"
#include "datapath/user/config.h"
#include "datapath/user/worker.h"

namespace heddle::dp {

class ConfigDraft {
 public:
  ConfigDraft(RcuPtr<Config>& live, std::vector<std::unique_ptr<Worker>>& workers);

  // Puts a device's PortIo into a free slot and its queues on the workers, least loaded first. The workers see it after
  // publish(). `port` none: an underlay.
  Result<std::uint32_t> add_io(std::shared_ptr<PortIo> io, PortNo port, PortShared* shared);
  // Takes it out and publishes; when this returns no worker uses it, and the caller may destroy it.
  void remove_io(std::uint32_t slot);
  void set_qos(std::uint32_t slot, std::shared_ptr<const QosConf> qos);
  [[nodiscard]] const IoConf* io(std::uint32_t slot) const { return draft_.ios.at(slot).get(); }

  void set_port(std::shared_ptr<const PortConf> port);
  void remove_port(PortNo port);
  // Returns when every worker has taken it up.
  void publish();
  // For what takes nothing away from anybody. Between the other two it is left to whoever publishes next, end_changes()
  // at the latest: a snapshot names every port, so one for each of many that come would cost their square.
  void publish_addition();
  // These nest.
  void begin_changes() { ++changing_; }
  void end_changes();

 private:
  RcuPtr<Config>& live_;
  std::vector<std::unique_ptr<Worker>>& workers_;
  Config draft_;
  std::vector<unsigned> load_;  // queues, by worker
  std::uint64_t generation_ = 0;
  unsigned changing_ = 0;
  bool late_ = false;  // something waits to be published
};

}  // namespace heddle::dp
