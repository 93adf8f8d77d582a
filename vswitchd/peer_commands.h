// SPDX-License-Identifier: Apache-2.0
// Commands that scripts and exporters written for Open vSwitch send to the control socket. Those that mean something
// here are answered in the form that is documented for them; for the others the answer says what there is instead.
//
// Threads: control. Pure but for reading the switches.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "ofproto-lite/switch.h"

namespace heddle::vswitchd {

using SwitchesByType = std::map<std::string, ofproto::Switch*>;

struct PeerCommand {
  const char* name;
  const char* usage;
  const char* help;
  // Null: there is no such thing here, and `help` says why.
  Result<std::string> (*function)(const SwitchesByType& switches);
};

// In the order of names.
const std::vector<PeerCommand>& peer_commands();
Result<std::string> run_peer_command(const PeerCommand& command, const SwitchesByType& switches,
                                     const std::vector<std::string>& args);

}  // namespace heddle::vswitchd
