// SPDX-License-Identifier: Apache-2.0
// The PEM files of one side of TLS connections. Both sides show a certificate, and each must be signed by the authority
// in `ca_cert`; names in certificates are not looked at, because Open vSwitch's certificates (ovs-pki) do not carry
// host names.
#pragma once

#include <string>

namespace heddle::ovsdb {

struct TlsFiles {
  std::string private_key = {};
  std::string certificate = {};  // may be followed by intermediate certificates
  std::string ca_cert = {};      // "none": the peer's certificate is not verified
  // While there is no file `ca_cert`, it is made of what the first peer shows: the self-signed end of its chain. That
  // connection serves for nothing else. Whoever is in the way of it can pass for anybody from then on.
  bool bootstrap = false;
  std::string peer_ca_cert = {};  // sent to peers after `certificate`, for their bootstrap; empty: none
  [[nodiscard]] bool empty() const { return private_key.empty() && certificate.empty() && ca_cert.empty(); }
  bool operator==(const TlsFiles&) const = default;
};

}  // namespace heddle::ovsdb
