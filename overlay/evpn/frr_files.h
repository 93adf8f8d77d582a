// SPDX-License-Identifier: Apache-2.0
// The configuration of the zebra and bgpd that run for EVPN, and the folder by which the daemon and their keeper
// (evpn-frr, a service of its own: FRR needs rights that the daemon has not, and outlives its restart) understand each
// other:
//   wanted, zebra.conf, bgpd.conf, vtep   from the daemon: FRR is to run, so, with this VTEP address
//   holder                                process number: its network namespace is zebra's, new for each start
//   control                               a line to it ends the present FRR; it starts anew while "wanted" is there
//   problem                               why FRR does not run
//   frr/zebra.vty, frr/bgpd.vty           FRR's command sockets; FRR may write in frr/, and only there
//
// Threads: any. Errc::system with the file's name: it cannot be written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"

namespace heddle::overlay::evpn {

struct BgpSettings {
  std::uint32_t asn = 0;
  std::uint32_t remote_asn = 0;
  std::vector<IpAddr> neighbors;  // route reflectors, or other VTEPs
  bool operator==(const BgpSettings&) const = default;
};

std::string zebra_conf();
std::string bgpd_conf(const BgpSettings& settings, const IpAddr& router_id);

class FrrFiles {
 public:
  explicit FrrFiles(std::string folder) : folder_(std::move(folder)) {}

  // An FRR that runs with the same goes on.
  Result<> want(const BgpSettings& settings, const IpAddr& vtep) const;
  // True: it was wanted.
  bool stop() const;
  [[nodiscard]] std::string sockets() const { return folder_ + "/frr"; }
  [[nodiscard]] std::optional<int> holder() const;
  [[nodiscard]] std::string problem() const;

 private:
  [[nodiscard]] bool put(const std::string& name, const std::string& text, Result<>& done) const;
  void poke() const;

  std::string folder_;
};

}  // namespace heddle::overlay::evpn
