// SPDX-License-Identifier: Apache-2.0
// Frames between two bridges: what leaves by one of a pair of patch ports arrives at the other, as it is.
//
// A frame does not arrive on the spot, since the bridge that it leaves may be in the middle of a flood. Frames wait in
// a list until the batch is through, and those that they bring forth wait in the next list: all frames of a list have
// passed equally many patch ports.
//
// Owned by the worker's Forwarder and used on its thread. Owns the frames that wait; there are none after drain(). A
// frame that is refused stays the caller's.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "datapath/user/frames.h"
#include "datapath/user/round.h"

namespace heddle::dp {

class PatchQueue {
 public:
  PatchQueue(const Round& round, FrameCache& cache) : round_(round), cache_(cache) {}

  // A frame that leaves by the patch port `out`. The reason when it is refused: there is no peer, the frame has passed
  // too many patch ports, or too many frames wait.
  std::optional<Drop> put(FrameRef f, const PortConf& out);
  // Calls arrive(frame, port) for every frame that waits, and for those that are put meanwhile. Ends: frames that have
  // passed the most patch ports bring forth none.
  template <typename Arrive>
  void drain(Arrive arrive) {
    for (; !waiting_.empty(); arriving_.clear()) {
      std::swap(waiting_, arriving_);
      ++hops_;
      for (const Waiting& w : arriving_) {
        count_arrival(w);
        arrive(w.frame, *w.at);
      }
    }
    hops_ = 0;
  }

 private:
  struct Waiting {
    FrameRef frame;
    const PortConf* at;  // where it will arrive
  };
  void count_arrival(const Waiting& w);

  const Round& round_;
  FrameCache& cache_;
  std::vector<Waiting> waiting_;
  std::vector<Waiting> arriving_;
  unsigned hops_ = 0;  // patch ports that the frames of arriving_ have passed
};

}  // namespace heddle::dp
