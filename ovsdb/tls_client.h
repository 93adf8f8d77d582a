// SPDX-License-Identifier: Apache-2.0
// TLS on the connected, non-blocking socket of a Client, which owns the socket. No call waits: the caller polls for the
// requested event and repeats the call. One thread at a time. Errors: Errc::invalid for a TLS error, with OpenSSL's
// reason; Errc::system for a socket error.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ovsdb/tls_files.h"

namespace heddle::ovsdb {

class TlsClient {
 public:
  // The outcome of one call.
  struct Step {
    short poll_for = 0;     // POLLIN or POLLOUT: wait for the event, then call again; 0: done
    std::size_t bytes = 0;  // sent or received; 0 when done: the peer has closed the connection
  };
  static Result<std::shared_ptr<TlsClient>> make(int fd, const TlsFiles& files);
  virtual ~TlsClient() = default;
  // Done when poll_for is 0.
  virtual Result<Step> handshake() = 0;
  virtual Result<Step> send(std::string_view bytes) = 0;
  virtual Result<Step> receive(std::span<char> into) = 0;
  // Not empty: a message for the user that this connection saved the authority's certificate (TlsFiles::bootstrap).
  // Such a connection must not be used further.
  [[nodiscard]] virtual const std::string& bootstrapped() const = 0;
};

}  // namespace heddle::ovsdb
