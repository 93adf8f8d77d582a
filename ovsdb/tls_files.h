// SPDX-License-Identifier: Apache-2.0
// The PEM files of one side of TLS connections; a plain value. Both sides present a certificate, which must be signed
// by the authority in `ca_cert`. Names in certificates are not checked, because Open vSwitch's certificates (ovs-pki)
// have no host names.
#pragma once

#include <string>

namespace heddle::ovsdb {

struct TlsFiles {
  std::string private_key = {};
  std::string certificate = {};  // may be followed by intermediate certificates
  std::string ca_cert = {};      // "none": the peer's certificate is not verified
  // While the file `ca_cert` is missing, it is created from the self-signed end of the first peer's chain; that
  // connection then ends. An attacker between the peers at this moment can impersonate every peer later.
  bool bootstrap = false;
  std::string peer_ca_cert = {};  // sent to peers after `certificate`, for their bootstrap; may be empty
  [[nodiscard]] bool empty() const { return private_key.empty() && certificate.empty() && ca_cert.empty(); }
  bool operator==(const TlsFiles&) const = default;
};

}  // namespace heddle::ovsdb
