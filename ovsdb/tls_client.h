// SPDX-License-Identifier: Apache-2.0
// TLS on the connected socket of a blocking Client. It does not wait: the caller polls for what is wanted and tries
// again. The socket is the Client's, and not blocking.
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
  // What came of a try.
  struct Step {
    short poll_for = 0;     // not 0: nothing yet; POLLIN or POLLOUT to wait for
    std::size_t bytes = 0;  // sent or received; 0 and nothing to wait for: the peer has closed the connection
  };
  static Result<std::shared_ptr<TlsClient>> make(int fd, const TlsFiles& files);
  virtual ~TlsClient() = default;
  // Done when there is nothing to wait for.
  virtual Result<Step> handshake() = 0;
  virtual Result<Step> send(std::string_view bytes) = 0;
  virtual Result<Step> receive(std::span<char> into) = 0;
  // Not empty: the connection has served to get the authority's certificate (TlsFiles::bootstrap), and serves for
  // nothing else. In words for the user.
  [[nodiscard]] virtual const std::string& bootstrapped() const = 0;
};

}  // namespace heddle::ovsdb
