// SPDX-License-Identifier: Apache-2.0
// Where a database server listens or connects to, as Open vSwitch writes it (ovsdb(7), "connection methods"):
// punix:FILE, ptcp:PORT[:IP], pssl:PORT[:IP], unix:FILE, tcp:HOST[:PORT], ssl:HOST[:PORT]. IPv6 addresses stand in
// brackets. PORT is 6640 when it is left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::ovsdb {

struct Target {
  std::string text;  // as it was written
  bool passive = false;
  bool tls = false;
  bool file = false;
  std::string place;  // the file, host or local address; empty: every local IPv4 address
  std::uint16_t port = 6640;

  static Result<Target> parse(std::string_view text);
};

}  // namespace heddle::ovsdb
