// SPDX-License-Identifier: Apache-2.0
// The network devices of ports: taken over when the port comes, given back when it goes, and kept as devices come and
// go meanwhile. A port without its device stays, and its state says why.
//
// Owner: UserDatapath. Control thread, with the workers running. The PortShared of a port must live until its device is
// removed here. Nothing fails: an error is part of a port's state.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "datapath/port.h"
#include "datapath/user/device_retry.h"
#include "datapath/user/port_kinds.h"
#include "datapath/user/worker_group.h"

namespace heddle::dp {

class UserPortDevices {
 public:
  UserPortDevices(WorkerGroup& workers, PortKinds& kinds, DeviceRetry& retry)
      : workers_(workers), kinds_(kinds), retry_(retry) {}

  // The configuration of a new port follows in the draft, with slot().
  void add(PortNo no, const PortSpec& spec, PortShared& shared);
  // The draft has no such port any more. Publishes, whether there was a device or not.
  void remove(PortNo no);
  // MAC and MTU for the next time that the device is made.
  void set_spec(PortNo no, const PortSpec& spec);
  void set_qos(PortNo no, std::shared_ptr<const QosConf> qos);

  // kNoIo: no device now, or a port that has none by its kind.
  [[nodiscard]] std::uint32_t slot(PortNo no) const;
  // Adds the device's part; nothing for ports that have none by their kind.
  void add_state(PortNo no, PortState& state) const;
  // Adds frames that the kernel lost before the datapath saw them, on all devices that the port has had, and the errors
  // of its network card.
  void add_counters(PortNo no, PortCounters& sum) const;
  // Whether a port has the device of that name, or would have it.
  [[nodiscard]] bool has(const std::string& device) const;

  // --- the kernel's news, and another try ---
  // Inside a Ports::Batch: its end publishes devices that come. Ports whose state is another go into `changed`.
  void on_link(const netlink::Link& link, std::set<PortNo>& changed);
  void on_link_gone(const netlink::Link& link, std::set<PortNo>& changed);
  // For a port without its device. True when its state is another.
  bool try_again(PortNo no);
  // Looks for devices whose number of queues is another, of which not every driver gives news.
  void check_queues(std::set<PortNo>& changed);
  [[nodiscard]] std::vector<netlink::Link> held_links() const;
  // Devices whose other end is this host's stack: ifindexes.
  [[nodiscard]] std::set<int> host_devices() const;

 private:
  struct Device {
    PortSpec spec;
    PortShared* shared = nullptr;
    OpenDevice open;
    std::uint32_t slot = kNoIo;
    std::shared_ptr<const QosConf> qos;
    bool moved = false;                // open, and in another network namespace
    std::string alias;                 // of the device when it moved
    std::string error;                 // why it is not open
    std::uint64_t rx_lost_before = 0;  // by devices the port had earlier
  };
  [[nodiscard]] const Device* find(PortNo no) const;
  bool open(PortNo no, Device& d);
  void reopen(PortNo no, Device& d);
  bool close(PortNo no, Device& d, const std::string& why);
  static void see_moved(Device& d);
  bool take_new_queues(PortNo no, Device& d);
  static void see(Device& d, const netlink::Link& link);

  WorkerGroup& workers_;
  PortKinds& kinds_;
  DeviceRetry& retry_;
  std::map<PortNo, Device> devices_;
};

}  // namespace heddle::dp
