// SPDX-License-Identifier: Apache-2.0
// An OVSDB connection method (ovsdb(7), "connection methods"), by which a server listens or connects: punix:FILE,
// ptcp:PORT[:IP], pssl:PORT[:IP], unix:FILE, tcp:HOST[:PORT], ssl:HOST[:PORT]. IPv6 addresses are in brackets. The
// default PORT is 6640. A plain value; parse() fails with Errc::invalid.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::ovsdb {

struct Target {
  std::string text;  // the parsed text
  bool passive = false;
  bool tls = false;
  bool file = false;
  std::string place;  // file, host or local address; empty: all local IPv4 addresses
  std::uint16_t port = 6640;

  static Result<Target> parse(std::string_view text);
};

}  // namespace heddle::ovsdb
