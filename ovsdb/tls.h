// SPDX-License-Identifier: Apache-2.0
// TLS for JSON-RPC sessions by OpenSSL: the keys (TlsFiles says what they are for), and streams that use them.
//
// Owned by whoever owns the remotes; streams share the context that they began with. Threads: the io_context's. Fails
// with the file's name and OpenSSL's reason when a key cannot be used.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "ovsdb/stream.h"
#include "ovsdb/tls_files.h"

namespace heddle::ovsdb {

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
