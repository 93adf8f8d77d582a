// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <string_view>
#include <utility>

#include "base/log_control.h"

namespace heddle {

namespace {

// What the logger writes to; the inner sink may be exchanged while other threads log.
std::shared_ptr<spdlog::sinks::dist_sink_mt>& outlet() {
  static auto sink = std::make_shared<spdlog::sinks::dist_sink_mt>();
  return sink;
}

std::string& file_name() {
  static std::string name;
  return name;
}

Result<spdlog::sink_ptr> open_sink(const std::string& file) {
  if (file.empty()) return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
  } catch (const spdlog::spdlog_ex& e) {
    return fail(Errc::system, "log file " + file + ": " + e.what());
  }
}

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v";

constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 9> kLevels{{
    {"trace", spdlog::level::trace},
    {"debug", spdlog::level::debug},
    {"info", spdlog::level::info},
    {"warn", spdlog::level::warn},
    {"error", spdlog::level::err},
    {"off", spdlog::level::off},
    {"dbg", spdlog::level::debug},
    {"err", spdlog::level::err},
    {"emer", spdlog::level::critical},  // nothing is as grave as that
}};

const auto* find_level(const std::string& level) {
  std::string lower = level;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(kLevels, lower, [](const auto& item) { return item.first; });
}

}  // namespace

bool is_log_level(const std::string& level) { return find_level(level) != kLevels.end(); }

Result<> log_set_level(const std::string& level) {
  const auto* known = find_level(level);
  if (known == kLevels.end())
    return fail(Errc::invalid, "log level \"" + level + "\" is not one of trace, debug, info, warn, error, off");
  spdlog::set_level(known->second);
  return {};
}

std::string log_level() {
  const auto level = spdlog::get_level();
  const auto known = std::ranges::find(kLevels, level, [](const auto& item) { return item.second; });
  return std::string(known->second == spdlog::level::critical ? "error" : known->first);
}

const std::string& log_file() { return file_name(); }

Result<> log_setup(const std::string& file, const std::string& level) {
  auto sink = open_sink(file);
  if (!sink) return std::unexpected(sink.error());
  file_name() = file;
  outlet()->set_sinks({std::move(*sink)});
  auto logger = std::make_shared<spdlog::logger>("heddle", outlet());
  logger->set_pattern(kPattern);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
  return log_set_level(level);
}

Result<> log_reopen() {
  if (file_name().empty()) return {};
  auto sink = open_sink(file_name());
  if (!sink) return std::unexpected(sink.error());
  (*sink)->set_pattern(kPattern);
  outlet()->set_sinks({std::move(*sink)});
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
