// SPDX-License-Identifier: Apache-2.0
// Network devices as ports: the checks before a device is taken over. Control thread.
#pragma once

#include <string>

#include "base/result.h"
#include "datapath/port.h"
#include "netlink/netlink.h"

namespace heddle::dp {

// The device of that name, when it may become a port. Errc::not_found: there is none yet. Errc::unsupported: the
// loopback device. Errc::exists: it belongs to a bridge or bond, or bears `owner` as its alias and so is the switch's
// own.
Result<netlink::Link> find_netdev(netlink::Netlink& kernel, const std::string& name, const std::string& owner);

// The error of a port whose device is gone, renamed, or belongs to another master.
std::string gone_text(const std::string& name);
std::string renamed_text(const std::string& name, const std::string& now);
std::string enslaved_text(const std::string& name, const std::string& master);

// Adds what a network card has counted. Nothing for virtual devices, which have no such errors.
void add_card_errors(netlink::Netlink& kernel, const netlink::Link& device, PortCounters& counters);

}  // namespace heddle::dp
