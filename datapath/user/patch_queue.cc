// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/patch_queue.h"

namespace heddle::dp {

std::optional<Drop> PatchQueue::put(FrameRef f, const PortConf& out) {
  const PortConf* peer = round_.config->port(out.peer);
  if (peer == nullptr) return Drop::port_down;
  if (hops_ == limits::kPatchHops) return Drop::patch_loop;
  if (waiting_.size() == limits::kPatched) return Drop::tx_queue_full;
  WorkerCounters& c = round_.counters(*out.shared);
  c.tx_packets.add(1);
  c.tx_bytes.add(cache_.meta(f).total);
  waiting_.push_back({f, peer});
  return std::nullopt;
}

void PatchQueue::count_arrival(const Waiting& w) {
  WorkerCounters& c = round_.counters(*w.at->shared);
  c.rx_packets.add(1);
  c.rx_bytes.add(cache_.meta(w.frame).total);
}

}  // namespace heddle::dp
