// SPDX-License-Identifier: Apache-2.0
// News of local stations: those that the FDB has on a port of this host, not behind a tunnel. For whoever tells other
// VTEPs where they are.
//
// Thread: the handler's; while the handler does not run, the caller's of Handler::call(). The call comes in the middle
// of a change of the FDB, when the change of this one station is complete. So an observer does bounded work that does
// not block, and calls neither the Fdb nor Handler::call(): it puts the news into a queue of its own, and acts on it
// from another thread. Flushing a bridge makes one call for each of its local stations.
//
// Owner: the observer belongs to whoever registers it with Handler::add_observer(), and must outlive the Handler.
#pragma once

#include "datapath/station.h"
#include "ofproto-lite/origin.h"

namespace heddle::ofproto {

struct LocalStation {
  dp::FdbKey key;  // bridge, VLAN and MAC
  dp::PortNo port = dp::PortNo::none;
  Origin origin = Origin::learned;
  bool operator==(const LocalStation&) const = default;
};

class FdbObserver {
 public:
  virtual ~FdbObserver() = default;
  // The station was nowhere, or behind a tunnel.
  virtual void appeared(const LocalStation& now) = 0;
  // The station has another port, or its entry another origin.
  virtual void moved(const LocalStation& before, const LocalStation& now) = 0;
  // The entry was removed, or the station is behind a tunnel now.
  virtual void gone(const LocalStation& before) = 0;
  // A frame of the station came by a port of this host, but an entry that other hosts' news made (Origin::evpn,
  // Origin::reflector) leads elsewhere. It stays until whoever brought the news withdraws it; frames that come until
  // then make further calls.
  virtual void claimed(const LocalStation& now) { (void)now; }
};

}  // namespace heddle::ofproto
