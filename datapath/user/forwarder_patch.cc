// SPDX-License-Identifier: Apache-2.0
// From one bridge to another through a pair of patch ports: what leaves by one arrives at the other, as it is.
//
// Not by calling bridge() on the spot: the bridge it leaves may be in the middle of a flood. Frames wait in a list
// until the batch is through, and those that they bring forth in the next: all in a list have come equally far.
#include <utility>

#include "datapath/user/forwarder.h"

namespace heddle::dp {

void Forwarder::to_peer(FrameRef f, const PortConf& out) {
  const PortConf* peer = config_->port(out.peer);
  if (peer == nullptr) return drop(f, out, Drop::port_down);
  if (hops_ == limits::kPatchHops) return drop(f, out, Drop::patch_loop);
  if (patched_.size() == limits::kPatched) return drop(f, out, Drop::tx_queue_full);
  WorkerCounters& c = counters(out);
  c.tx_packets.add(1);
  c.tx_bytes.add(cache_.meta(f).total);
  patched_.push_back({f, peer});
}

// Ends: frames that passed the most hops bring forth none.
void Forwarder::arrive_at_peers() {
  for (; !patched_.empty(); arriving_.clear()) {
    std::swap(patched_, arriving_);
    ++hops_;
    for (const Patched& p : arriving_) {
      WorkerCounters& c = counters(*p.at);
      c.rx_packets.add(1);
      c.rx_bytes.add(cache_.meta(p.frame).total);
      bridge(p.frame, *p.at, nullptr);
    }
  }
  hops_ = 0;
}

}  // namespace heddle::dp
