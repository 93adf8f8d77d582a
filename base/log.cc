// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>

namespace heddle {

Result<> log_setup(const std::string& file, const std::string& level) {
  constexpr std::array<const char*, 6> known{"trace", "debug", "info", "warn", "error", "off"};
  bool ok = false;
  for (const char* name : known) ok = ok || level == name;
  if (!ok) return fail(Errc::invalid, "log level \"" + level + "\" is not one of trace, debug, info, warn, error, off");
  try {
    auto logger = file.empty() ? spdlog::stderr_logger_mt("heddle") : spdlog::basic_logger_mt("heddle", file);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(logger);
    spdlog::set_level(spdlog::level::from_str(level == "error" ? "err" : level));
  } catch (const spdlog::spdlog_ex& e) {
    return fail(Errc::system, "log file " + file + ": " + e.what());
  }
  return {};
}

bool LogLimit::allow(unsigned& held_back) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - window_ >= period_) {
    window_ = now;
    used_ = 0;
  }
  if (used_ >= burst_) {
    ++held_back_;
    return false;
  }
  ++used_;
  held_back = std::exchange(held_back_, 0);
  return true;
}

}  // namespace heddle
