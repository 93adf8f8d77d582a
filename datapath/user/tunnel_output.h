// SPDX-License-Identifier: Apache-2.0
// Puts the outer headers before the frames that leave by a tunnel port, and writes the ICMP answer to a guest whose
// packet does not fit the tunnel.
//
// Owned by the worker's Forwarder and used on its thread. A frame that is sent is the output queues'; one that is
// refused stays the caller's, and the reason comes back.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "datapath/user/decision.h"
#include "datapath/user/frame_checksums.h"
#include "datapath/user/output_queues.h"
#include "datapath/user/round.h"
#include "datapath/user/tunnel_fragments.h"

namespace heddle::dp {

class TunnelOutput {
 public:
  TunnelOutput(const Round& round, FrameCache& cache, FrameChecksums& checksums, OutputQueues& queues,
               const TunnelPaths& paths);

  // `l2`: of the frame as it leaves. The reason when there is no path to the remote (no_route), when the frame does not
  // fit the underlay and the tunnel makes no fragments (tunnel_mtu), or when its buffer has no room for the headers, or
  // there is none for fragments (no_frame).
  std::optional<Drop> send(FrameRef f, const packet::L2& l2, const Output& to);
  // The answer (RFC 1191, RFC 4443) to the sender of a frame that send() refused as too large; kNoFrame when there is
  // none to give. RFC 1812 4.3.2.8 asks for a limit on such answers: it is kept for each ingress port, so that one
  // guest cannot use up another's.
  FrameRef too_big_answer(const Ingress& in, FrameRef f, const packet::L2& l2, const Output& to);

 private:
  struct IcmpBudget {
    std::uint32_t second = 0;
    unsigned sent = 0;
  };
  unsigned room_for_packet(FrameRef f, const packet::L2& l2, const TunnelPath& path);
  void encapsulate(FrameRef f, const packet::L2& l2, const PortConf& out, const packet::EncapTemplate& head);

  const Round& round_;
  FrameCache& cache_;
  FrameChecksums& checksums_;
  OutputQueues& queues_;
  TunnelFragments fragments_;
  const TunnelPaths& paths_;
  std::uint16_t ip_id_ = 0;
  std::vector<IcmpBudget> icmp_;  // by ingress port
};

}  // namespace heddle::dp
