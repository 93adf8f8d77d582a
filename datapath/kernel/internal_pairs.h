// SPDX-License-Identifier: Apache-2.0
// The devices of internal ports: a veth pair each. The host has the end that bears the port's name, and may move it to
// another namespace; the other end ("hd" and eight hexadecimal digits, since interface names have 15 characters) stays,
// with the program at its ingress.
//
// Owner: PortDevices. Control thread. Stateless: the kernel has the pairs.
#pragma once

#include <string>

#include "base/result.h"
#include "datapath/kernel/own_devices.h"
#include "datapath/port.h"

namespace heddle::dp {

class InternalPairs {
 public:
  struct Pair {
    netlink::Link near;  // the host's end; as `far` when it is in another namespace
    netlink::Link far;
    bool moved = false;
    bool operator==(const Pair&) const = default;
  };

  explicit InternalPairs(const OwnDevices& own) : own_(own) {}

  // The name of the far end.
  static std::string far_name(const std::string& port);
  // Makes the pair that is not there, or finishes one that was being made. The far end is not up yet: the caller
  // attaches its program first, then calls bring_up(). Errc::exists: something else has one of the names.
  Result<Pair> make(const PortSpec& spec) const;
  // Address and MTU of the host's end as the port asks for, and both ends up.
  Result<> bring_up(const Pair& pair, const PortSpec& spec) const;
  // The pair as it is now, by its far end; nothing when that is gone.
  [[nodiscard]] Result<Pair> look(int far, const std::string& port) const;
  void remove(const std::string& port) const;

 private:
  Result<> make_links(const PortSpec& spec) const;

  const OwnDevices& own_;
};

}  // namespace heddle::dp
