// SPDX-License-Identifier: Apache-2.0
// TLS for JSON-RPC sessions by OpenSSL: the keys (see TlsFiles) and the streams that use them.
//
// Owned by shared_ptr; a stream keeps the keys with which it started. Threads: the io_context's. Errors have the file's
// name and OpenSSL's reason.
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
  // Sets the files for later streams.
  virtual void use(const TlsFiles& files) = 0;
  // Reads the files again when they have changed. When changed files cannot be used, the earlier keys stay in use, with
  // a warning in the log.
  virtual Result<std::unique_ptr<Stream>> stream(Socket socket, TlsRole role) = 0;
  // Fails when stream() would fail.
  virtual Result<> check() = 0;
};

}  // namespace heddle::ovsdb
