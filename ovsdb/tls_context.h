// SPDX-License-Identifier: Apache-2.0
// OpenSSL contexts for the server's streams and the blocking client: reads keys from their files, and saves an
// authority's certificate from the first peer ("bootstrap", ovs-vsctl(8)). The minimum is TLS 1.2.
//
// Threads: one thread per context. Errors have the file's name and OpenSSL's reason.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "ovsdb/tls_files.h"

namespace heddle::ovsdb {

struct TlsContext {
  boost::asio::ssl::context ssl{boost::asio::ssl::context::tls};
  std::string bootstrap = {};        // file for the first peer's authority; empty: peers are verified
  LogLimit complaints = LogLimit{};  // for warnings about peers that send no authority
};

Result<std::shared_ptr<TlsContext>> load_tls(const TlsFiles& files);

// After a handshake with `bootstrap` set: writes the authority's certificate to `file`, mode 0600, and returns a
// message for the operator. Fails when the peer sent no self-signed certificate, or when the file exists.
Result<std::string> save_authority(const SSL* ssl, const std::string& file);

// The common name in the peer's certificate (RFC 5280 section 4.1.2.6; empty: it has none, or more than 255 bytes);
// nothing: none was verified.
std::optional<std::string> verified_name(const SSL* ssl);

// The text of OpenSSL's first queued error on this thread; clears the queue.
std::string tls_reason();

}  // namespace heddle::ovsdb
