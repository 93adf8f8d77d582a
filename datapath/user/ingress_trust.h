// SPDX-License-Identifier: Apache-2.0
// The devices by which no tunnel takes a packet from whoever sends it (Config::untrusted): those that bring a bridge's
// frames to the host, unless a tunnel's remote is reached by them.
//
// Owner: UserDatapath. Control thread, with the workers running. Nothing fails.
#pragma once

#include "datapath/control/device_stack.h"
#include "datapath/user/path_resolver.h"
#include "datapath/user/user_port_devices.h"
#include "datapath/user/worker_group.h"

namespace heddle::dp {

class IngressTrust {
 public:
  IngressTrust(netlink::Netlink& kernel, WorkerGroup& workers, const PathResolver& paths,
               const UserPortDevices& devices)
      : kernel_(kernel), workers_(workers), paths_(paths), devices_(devices) {}

  // Tunnels, their routes, or devices are others. Publishes when that matters.
  void refresh();

  // --- the kernel's news ---
  void on_link(const netlink::Link& link) { stack_.on_link(link); }
  void on_link_gone(int ifindex) { stack_.on_link_gone(ifindex); }

 private:
  netlink::Netlink& kernel_;
  WorkerGroup& workers_;
  const PathResolver& paths_;
  const UserPortDevices& devices_;
  DeviceStack stack_;
  bool read_ = false;  // stack_, once
};

}  // namespace heddle::dp
