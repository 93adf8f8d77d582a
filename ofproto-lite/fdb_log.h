// SPDX-License-Identifier: Apache-2.0
// Warnings of the FDB authority, each at a limited rate: stations can provoke them. Owner: the Fdb. Handler thread; no
// errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/log.h"
#include "ofproto-lite/fdb_entry.h"

namespace heddle::ofproto {

class FdbLog {
 public:
  // Ports are by name.
  void own_mac(const std::string& bridge, const dp::FdbKey& key, const std::string& port);
  void full(const std::string& bridge, std::size_t entries);
  // Called for each move of a learned entry; warns when moves follow each other quickly.
  void moved(const std::string& bridge, FdbEntry& entry, std::int64_t second, const std::string& from,
             const std::string& to);

 private:
  LogLimit flapping_{1};
  LogLimit own_mac_{1};
  LogLimit full_{1};
};

}  // namespace heddle::ofproto
