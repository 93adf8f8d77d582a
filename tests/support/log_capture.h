// SPDX-License-Identifier: Apache-2.0
// Takes up the log's warnings and errors for the life of the object, in the place of printing them. One at a time;
// any thread may log meanwhile.
#pragma once

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace heddle::test {

class LogCapture {
 public:
  LogCapture() { spdlog::set_default_logger(std::make_shared<spdlog::logger>("captured", sink_)); }
  ~LogCapture() { spdlog::set_default_logger(former_); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // The messages since the last take(), in the order in which they came.
  std::vector<std::string> take() { return sink_->take(); }

 private:
  class Sink final : public spdlog::sinks::base_sink<std::mutex> {
   public:
    std::vector<std::string> take() {
      const std::lock_guard lock(mutex_);
      return std::exchange(messages_, {});
    }

   private:
    void sink_it_(const spdlog::details::log_msg& message) override {
      if (message.level >= spdlog::level::warn) messages_.emplace_back(message.payload.data(), message.payload.size());
    }
    void flush_() override {}
    std::vector<std::string> messages_;
  };

  std::shared_ptr<spdlog::logger> former_ = spdlog::default_logger();
  std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
};

}  // namespace heddle::test
