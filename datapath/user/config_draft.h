// SPDX-License-Identifier: Apache-2.0
// The workers' configuration, as the control thread edits it: slots of PortIo, ports, bridges, tunnel keys. publish()
// turns the draft into the snapshot that workers read.
//
// Owner: WorkerGroup. Control thread. publish() waits until every worker has taken the snapshot up.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/rcu.h"
#include "datapath/user/config.h"
#include "datapath/user/worker.h"

namespace heddle::dp {

class ConfigDraft {
 public:
  ConfigDraft(RcuPtr<Config>& live, std::vector<std::unique_ptr<Worker>>& workers);

  // Puts a device's PortIo into a free slot and its queues on the workers, least loaded first. The workers see it after
  // publish(). `port` none: an underlay. Errc::limit; or the system has no descriptors left.
  Result<std::uint32_t> add_io(std::shared_ptr<PortIo> io, PortNo port, PortShared* shared);
  // Takes the PortIo out and publishes; when this returns no worker uses it, and the caller may destroy it.
  void remove_io(std::uint32_t slot);
  void set_qos(std::uint32_t slot, std::shared_ptr<const QosConf> qos);

  // Config::untrusted. True when it was another.
  bool set_untrusted(std::vector<int> devices) {
    return std::exchange(draft_.untrusted, std::move(devices)) != draft_.untrusted;
  }

  void set_port(std::shared_ptr<const PortConf> port);
  // The slot of a port's device is another now. Nothing when the draft has no such port.
  void set_slot(PortNo port, std::uint32_t slot);
  void remove_port(PortNo port);
  void publish();
  // For changes that only add. With `defer` the addition is published by the next publish() or publish_deferred(): a
  // snapshot names every port, so a snapshot for each of many new ports would cost their square.
  void publish_addition(bool defer);
  void publish_deferred();

 private:
  RcuPtr<Config>& live_;
  std::vector<std::unique_ptr<Worker>>& workers_;
  Config draft_;
  std::vector<unsigned> load_;  // queues, by worker
  std::uint64_t generation_ = 0;
  bool deferred_ = false;  // an addition waits to be published
};

}  // namespace heddle::dp
