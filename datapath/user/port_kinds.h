// SPDX-License-Identifier: Apache-2.0
// The kinds of port that the user datapath offers, and how the device of each is opened: a new kind is a new row of the
// table in port_kinds.cc.
//
// Owner: UserDatapath; it must outlive the devices that it opened. Control thread, with the workers running.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "datapath/control/netdev.h"
#include "datapath/port.h"
#include "datapath/user/packet_shares.h"
#include "datapath/user/port_io.h"
#include "datapath/user/promiscuous.h"
#include "datapath/user/underlay_devices.h"
#include "datapath/user/worker_group.h"
#include "datapath/user/xdp_programs.h"
#include "netlink/ethtool.h"
#include "netlink/netlink.h"

namespace heddle::dp {

// A port's device in use.
struct OpenDevice {
  PacketShares::Share share;
  std::shared_ptr<PortIo> io;
  netlink::Link link;
  netlink::EthtoolInfo ethtool;
};

class PortKinds {
 public:
  // `owner`: the alias of devices that outlive the datapath; none when empty.
  PortKinds(netlink::Netlink& kernel, WorkerGroup& workers, XdpPrograms& programs, UnderlayDevices& underlays,
            std::string owner);

  static const KindSet& all();
  // Opens the port's device and sets it up; makes it where the kind demands. Errc::not_found: it does not exist yet.
  // Errc::exists: it cannot be had now, another holds it. Any failure may end with a change of the device. `device` has
  // the facts that were found out, also after a failure.
  Result<> open(const PortSpec& spec, OpenDevice& device);
  // The device of a PortIo::place() as it is there; `index` 0: it cannot be seen.
  [[nodiscard]] netlink::Link look_elsewhere(const PortIo& io) const;
  // Whether the device's number of receive queues is another than when `io` was opened.
  [[nodiscard]] static bool has_other_queues(const PortSpec& spec, const PortIo& io);
  void add_card_errors(const netlink::Link& device, PortCounters& counters) const {
    dp::add_card_errors(kernel_, device, counters);
  }
  // After the port and its PortIo are gone: removes the device if it would stay.
  static void discard(const PortSpec& spec);

 private:
  struct Row;
  static const Row* row_of(PortKind kind);
  Result<> open_netdev(const PortSpec& spec, OpenDevice& device);
  Result<> open_tap(const PortSpec& spec, OpenDevice& device);
  Result<std::unique_ptr<PortIo>> make_tap(const PortSpec& spec);

  netlink::Netlink& kernel_;
  WorkerGroup& workers_;
  XdpPrograms& programs_;
  UnderlayDevices& underlays_;
  std::string owner_;
  Promiscuous promiscuous_;
};

}  // namespace heddle::dp
