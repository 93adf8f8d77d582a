// SPDX-License-Identifier: Apache-2.0
// The decision about one frame on one bridge: why it ends there and where the drop counts, or the outputs that it
// takes; besides, the copies for mirrors and the note about its source. A producer decides (NormalPath; programmed
// flows may be another producer, with NORMAL as one of their actions) and holds no frame; the Emitter carries the
// decision out and asks nothing any more.
//
// Plain values without an owner. Lists are spans into the producer: they are valid until its next decision, and the
// ports are those of the round's configuration. One thread, the worker's. Nothing fails.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "base/drop_reason.h"
#include "datapath/user/config.h"
#include "packet/parse.h"

namespace heddle::dp {

// A frame as it came to a bridge.
struct Ingress {
  const PortConf* port = nullptr;
  const IpAddr* outer_source = nullptr;  // sender of a multipoint tunnel's packet; null for all other ports
  packet::L2 l2;
};

// One way out of a bridge. The port's VLAN mode says whether the frame leaves with a tag.
struct Output {
  const PortConf* port = nullptr;
  std::uint32_t path = 0;  // of a tunnel port: to which remote
  VlanId vlan = 0;
};

// A copy that a mirror wants.
struct MirrorCopy {
  const MirrorRule* mirror = nullptr;
  Output to;
  std::optional<Drop> drop;  // the copy cannot leave; the drop counts at `to.port`
};

struct Decision {
  std::optional<Drop> drop;              // the frame ends here, and there are no outputs
  bool admitted = false;                 // the frame passed the ingress rules: from there on mirrors may select it
  bool learn = false;                    // the source is unknown or has moved: the FDB authority is to hear of it
  VlanId vlan = 0;                       // in which the frame is switched, once it is admitted
  const PortConf* counted_at = nullptr;  // port that counts the drop
  FdbTable::Use* source_use = nullptr;   // "last used" mark of the source's FDB entry; null when it does not change
  Output one;                            // the output of a frame that has one; no port otherwise
  std::span<const Output> many;          // outputs of a flooded frame
  std::span<const MirrorCopy> copies;    // made before the frame takes an output or ends

  [[nodiscard]] std::span<const Output> outputs() const {
    return one.port != nullptr ? std::span<const Output>(&one, 1) : many;
  }
};

}  // namespace heddle::dp
