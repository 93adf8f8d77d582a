// SPDX-License-Identifier: Apache-2.0
// Completes the L4 checksums that a virtual device left to its receiver, in frames that lie in one buffer or several.
// AF_XDP shows no flag for an unfinished checksum, so it is recognised: the field holds just the pseudo-header's sum,
// perhaps inside a tunnel of the sender's own (packet/unfinished.h).
//
// Owned by the worker's Forwarder and used on its thread. Frames stay the caller's. Nothing fails: a frame whose
// headers cannot be read stays as it is.
#pragma once

#include <span>
#include <vector>

#include "datapath/user/frames.h"
#include "packet/checksum.h"
#include "packet/vxlan.h"

namespace heddle::dp {

class FrameChecksums {
 public:
  explicit FrameChecksums(FrameCache& cache) : cache_(cache) {}

  // The frame's buffers; valid until the next call of any function here.
  std::span<packet::Segment> segments(FrameRef f);
  // For a receiver that can complete the checksum itself the frame's metadata say where it is (FrameMeta::csum_start);
  // for others it is completed here.
  void finish(FrameRef f, const packet::L2& l2, bool receiver_completes) {
    FrameMeta& m = cache_.meta(f);
    if (m.maybe_partial) complete(f, l2, m.total, receiver_completes);
  }
  // The checksum of the frame inside a packet. A Linux sender computes the outer checksum as it will be once the inner
  // one is finished ("local checksum offload", Documentation/networking/checksum-offloads.rst): so this comes before
  // the outer one is judged.
  void finish_inner(FrameRef f, const packet::VxlanOuter& outer);

 private:
  void complete(FrameRef f, const packet::L2& l2, std::size_t len, bool receiver_completes);

  FrameCache& cache_;
  std::vector<packet::Segment> segments_;
};

}  // namespace heddle::dp
