// SPDX-License-Identifier: Apache-2.0
// Pairs of patch ports. Two ports are a pair while each names the other; they may come in any order, and either may go.
//
// Owner: UserDatapath. Control thread. The PortShared of a port must live until the port is removed here.
#pragma once

#include <map>
#include <set>
#include <string>

#include "datapath/port.h"
#include "datapath/user/config.h"
#include "datapath/user/signal.h"

namespace heddle::dp {

class PatchPeers {
 public:
  // Errc::invalid: the port names no peer, or itself.
  static Result<> check(const PortSpec& spec);

  // Both return the port whose peer came or went, if there is one: its configuration is another now. Both ends are
  // marked up or down.
  PortNo add(PortNo no, const PortSpec& spec, PortShared& shared);
  PortNo remove(const std::string& name);

  // The port where frames arrive that leave by the port of this name; none while there is no pair.
  [[nodiscard]] PortNo peer_of(const std::string& name) const;

  // Becomes readable when a peer came or went; take_changed() has the ports concerned, once.
  [[nodiscard]] int fd() const { return news_.fd(); }
  std::set<PortNo> take_changed();

 private:
  struct End {
    PortNo no = PortNo::none;
    std::string peer;
    PortShared* shared = nullptr;
  };
  [[nodiscard]] const End* partner(const std::string& name, const End& end) const;
  void tell(const End& end, bool up);

  std::map<std::string, End> ends_;
  std::set<PortNo> changed_;
  Signal news_;
};

}  // namespace heddle::dp
