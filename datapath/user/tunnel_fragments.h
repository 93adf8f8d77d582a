// SPDX-License-Identifier: Apache-2.0
// Cuts tunnel packets that are larger than their path's MTU into fragments (RFC 791 section 3.2, RFC 8200 section 4.5),
// for tunnels that may do so (options:df_default=false). The far host puts them together before its tunnel sees them.
//
// Owned by TunnelOutput and used on the worker's thread. Fragments that are sent are the output queues'.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/drop_reason.h"
#include "datapath/user/config.h"
#include "datapath/user/output_queues.h"

namespace heddle::dp {

class TunnelFragments {
 public:
  TunnelFragments(const Round& round, FrameCache& cache, OutputQueues& queues)
      : round_(round), cache_(cache), queues_(queues) {}

  // False when the path's MTU has no room for any payload.
  static bool possible(const TunnelPath& path);
  // Sends `whole`, which has its outer headers, in pieces, and frees it. When it cannot, it sends none of them, and
  // `whole` stays the caller's. The path must be possible().
  std::optional<Drop> send(FrameRef whole, const TunnelPath& path);

 private:
  FrameRef make(FrameRef whole, const TunnelPath& path, std::uint32_t at, std::uint32_t size, bool last);

  const Round& round_;
  FrameCache& cache_;
  OutputQueues& queues_;
  std::uint32_t count_ = 0;  // of packets: their identification
};

}  // namespace heddle::dp
