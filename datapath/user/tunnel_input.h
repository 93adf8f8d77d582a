// SPDX-License-Identifier: Apache-2.0
// Takes the outer headers off the packets that arrive on an underlay: checks lengths and checksums, finds the tunnel
// port, whose remote must be reached by the device that brought the packet, and carries the congestion marks over (RFC
// 6040).
//
// Owned by the worker's Forwarder and used on its thread. A packet that no port takes is counted at the underlay, a
// frame that its port cannot take at the port; both are freed.
#pragma once

#include <expected>
#include <optional>

#include "datapath/user/frame_checksums.h"
#include "datapath/user/round.h"

namespace heddle::dp {

class TunnelInput {
 public:
  TunnelInput(const Round& round, FrameCache& cache, FrameChecksums& checksums, const TunnelPaths& paths)
      : round_(round), cache_(cache), checksums_(checksums), paths_(paths) {}

  struct Arrival {
    const PortConf* port;
    IpAddr source;  // the remote VTEP that sent the packet
  };
  // The port by which the inner frame arrives; `f` is the inner frame then. Nothing when the packet is dropped.
  std::optional<Arrival> decapsulate(FrameRef f, const IoConf& underlay);

 private:
  [[nodiscard]] std::expected<const PortConf*, Drop> port_for(const packet::VxlanOuter& outer) const;
  [[nodiscard]] bool may_come_by(const PortConf& port, int device) const;
  [[nodiscard]] bool is_guests(int device) const;
  std::optional<Drop> check(FrameRef f, packet::VxlanOuter& outer);
  void strip(FrameRef f, const packet::VxlanOuter& outer);
  std::optional<Drop> carry_congestion_marks(FrameRef f, const packet::VxlanOuter& outer);

  const Round& round_;
  FrameCache& cache_;
  FrameChecksums& checksums_;
  const TunnelPaths& paths_;
};

}  // namespace heddle::dp
