// The user-space datapath: AF_XDP and tap ports, worker threads, one packet memory. See datapath/datapath.h for the
// contract.
#pragma once

#include <memory>

#include "datapath/datapath.h"

namespace heddle::dp {

struct UserDatapathOptions {
  unsigned workers = 1;                  // 1 to limits::kWorkers
  std::size_t frames = limits::kFrames;  // packet buffers, shared by all ports
  const TimeSource* time = nullptr;      // must outlive the datapath
};

// Starts the workers. Fails when packet memory cannot be had.
Result<std::unique_ptr<Datapath>> make_user_datapath(const UserDatapathOptions& options);

}  // namespace heddle::dp
