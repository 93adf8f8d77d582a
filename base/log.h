// SPDX-License-Identifier: Apache-2.0
// Logging: spdlog's macros and formatting, set up once by main(). Levels: error = an operator must act, warn =
// something is not as configured, info = configuration changes, debug = decisions. Nothing is logged per packet.
#pragma once

#include <spdlog/spdlog.h>

#include <chrono>
#include <mutex>
#include <string>

#include "base/result.h"

namespace heddle {

// Sends the log to `file`, or to stderr when `file` is empty. `level`: trace, debug, info, warn, error or off. Call
// once, before other threads start. Errors: an unknown level, a file that cannot be opened.
Result<> log_setup(const std::string& file, const std::string& level);

// Allows `burst` messages in every `period` and counts the suppressed ones. For messages that a peer can provoke.
class LogLimit {
 public:
  explicit LogLimit(int burst = 5, std::chrono::seconds period = std::chrono::seconds(10))
      : burst_(burst), period_(period) {}
  // True when the caller may log; `held_back` is then the number of messages suppressed since the last true. Thread
  // safe.
  bool allow(unsigned& held_back);

 private:
  std::mutex mutex_;
  int burst_;
  std::chrono::seconds period_;
  std::chrono::steady_clock::time_point window_{};
  int used_ = 0;
  unsigned held_back_ = 0;
};

}  // namespace heddle
