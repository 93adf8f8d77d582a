// SPDX-License-Identifier: Apache-2.0
// How the packet memory is divided among receive rings: together they may take three quarters of it, and the share of
// each queue gets smaller as there are more queues.
//
// Owner: WorkerGroup. Control thread. Nothing fails: a device that gets no share has memory of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/limits.h"
#include "datapath/user/frames.h"
#include "datapath/user/xsk.h"

namespace heddle::dp {

class PacketShares {
 public:
  // One device's part of the memory, given back when the object goes. It must not outlive the PacketShares.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)), queues_(other.queues_), fill_(std::exchange(other.fill_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(queues_, other.queues_);
      std::swap(fill_, other.fill_);
      return *this;
    }
    ~Share() {
      if (of_ != nullptr) of_->give_back(*this);
    }
    // Buffers for the receive ring of each queue; 0: the device's sockets need memory of their own.
    [[nodiscard]] std::size_t fill() const { return fill_; }

   private:
    friend class PacketShares;
    Share(PacketShares& of, unsigned queues, std::size_t fill) : of_(&of), queues_(queues), fill_(fill) {}
    PacketShares* of_ = nullptr;
    unsigned queues_ = 0;
    std::size_t fill_ = 0;
  };

  explicit PacketShares(std::size_t buffers) : buffers_(buffers) {}
  PacketShares(const PacketShares&) = delete;
  PacketShares& operator=(const PacketShares&) = delete;

  // For a device that carries the traffic of many: of a host, or under tunnels.
  Share take(unsigned queues) {
    const std::size_t most = buffers_ * 3 / 4;
    const std::size_t left = most > filled_ ? most - filled_ : 0;
    const std::size_t fair = std::clamp<std::size_t>(buffers_ / 8 / (queues_ + 1), 64, limits::kFill);
    const std::size_t fill = std::min(fair, left) / FramePool::kBundle * FramePool::kBundle;
    if (fill == 0) return {};
    filled_ += fill * queues;
    queues_ += queues;
    return {*this, queues, fill};
  }
  // For a device of one guest: only the first so many share.
  Share take_if_few(unsigned queues) { return queues_ < XskFactory::kSharers ? take(queues) : Share(); }

 private:
  void give_back(const Share& share) {
    filled_ -= share.fill_ * share.queues_;
    queues_ -= share.queues_;
  }

  std::size_t buffers_;
  std::size_t filled_ = 0;  // buffers promised to receive rings
  unsigned queues_ = 0;     // queues that have a share
};

}  // namespace heddle::dp
