// SPDX-License-Identifier: Apache-2.0
// OpenSSL's side of TLS, for the server's streams and the blocking client alike: keys read from their files, and an
// authority's certificate taken from the first peer ("bootstrap", ovs-vsctl(8)). TLS 1.2 is the least that is spoken.
//
// Threads: each context on one. Failures name the file and give OpenSSL's reason.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "ovsdb/tls_files.h"

namespace heddle::ovsdb {

struct TlsContext {
  boost::asio::ssl::context ssl{boost::asio::ssl::context::tls};
  std::string bootstrap = {};        // where the first peer's authority has to be written; empty: peers are verified
  LogLimit complaints = LogLimit{};  // about peers that send none
};

Result<std::shared_ptr<TlsContext>> load_tls(const TlsFiles& files);

// After a handshake with `bootstrap` set: writes the authority's certificate there, mode 0600. The result says so, to
// be shown to an operator. Fails when the peer has sent no self-signed certificate, and when the file exists by now.
Result<std::string> save_authority(const SSL* ssl, const std::string& file);

// The last failure of OpenSSL on this thread, in words.
std::string tls_reason();

}  // namespace heddle::ovsdb
