// SPDX-License-Identifier: Apache-2.0
// A source of knowledge about other VTEPs: what it is told of this host, and what it says. Its other side is a VtepSet,
// whose Sink gets the news.
//
// Threads: control. Nothing fails: what is wrong with a source is in its status.
#pragma once

#include <optional>
#include <string>

#include "overlay/vtep_set.h"

namespace heddle::overlay {

struct SourceStatus {
  bool in_step = false;
  std::string where;       // the server that it talks to
  std::string last_error;  // with the remedy where there is one; empty: none
};

class Source {
 public:
  virtual ~Source() = default;
  // A network of this host comes (its VTEP address, if it has one of its own), changes, or goes.
  virtual void add_network(Vni vni, const std::optional<IpAddr>& address) = 0;
  virtual void remove_network(Vni vni) = 0;
  // A station is on a port of this host, or is no more. `fixed`: by an operator's word, so that no other host may claim
  // it. A station that another host holds is claimed.
  virtual void add_station(Vni vni, const MacAddr& mac, bool fixed) = 0;
  virtual void remove_station(Vni vni, const MacAddr& mac) = 0;

  [[nodiscard]] virtual const VtepSet& known() const = 0;
  [[nodiscard]] virtual SourceStatus status() const = 0;
  // What is wrong with one network alone, with the remedy; empty: nothing.
  [[nodiscard]] virtual std::string problem_of(Vni vni) const {
    (void)vni;
    return {};
  }
};

}  // namespace heddle::overlay
