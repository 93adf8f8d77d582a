// TLS for JSON-RPC sessions by OpenSSL: the keys, and streams that use them. Both sides show a certificate, and each
// must be signed by the authority in `ca_cert`; names in certificates are not looked at, because Open vSwitch's
// certificates (ovs-pki) do not carry host names. TLS 1.2 is the least that is spoken.
//
// Owned by whoever owns the remotes; streams share the context that they began with. Threads: the io_context's. Fails
// with the file's name and OpenSSL's reason when a key cannot be used.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "ovsdb/stream.h"

namespace heddle::ovsdb {

struct TlsFiles {
  std::string private_key;  // PEM files
  std::string certificate;  // may be followed by intermediate certificates
  std::string ca_cert;      // "none": the peer's certificate is not verified
  [[nodiscard]] bool empty() const { return private_key.empty() && certificate.empty() && ca_cert.empty(); }
  bool operator==(const TlsFiles&) const = default;
};

enum class TlsRole { client, server };

class Tls {
 public:
  virtual ~Tls() = default;
  static std::shared_ptr<Tls> make();
  // Other files from the next stream on.
  virtual void use(const TlsFiles& files) = 0;
  // Reads the files anew when they have changed since the last stream. When new ones cannot be used, the old ones
  // serve on, with a warning in the log.
  virtual Result<std::unique_ptr<Stream>> stream(Socket socket, TlsRole role) = 0;
  // Whether stream() would succeed.
  virtual Result<> check() = 0;
};

}  // namespace heddle::ovsdb
