// SPDX-License-Identifier: Apache-2.0
// Sockets closed in the background, with pipes in their place: the other end tells when one is closed.
#include "datapath/user/socket_reaper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <vector>

namespace heddle::dp {
namespace {

constexpr int kPatienceMs = 30'000;

// A descriptor to close, and one that tells.
struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    teller.reset(ends[0]);
    closed.reset(ends[1]);
  }
  [[nodiscard]] bool is_closed(int patience_ms) const {
    pollfd p{teller.get(), POLLIN, 0};
    return poll(&p, 1, patience_ms) == 1 && (p.revents & POLLHUP) != 0;
  }
  Fd teller;
  Fd closed;
};

TEST(SocketReaper, ClosesEverything) {
  std::vector<Pair> pairs(200);
  SocketReaper reaper;
  for (auto& pair : pairs) reaper.close(std::move(pair.closed), 1);
  for (const auto& pair : pairs) EXPECT_TRUE(pair.is_closed(kPatienceMs));
}

TEST(SocketReaper, FinishesOneDevice) {
  std::vector<Pair> pairs(200);
  SocketReaper reaper;
  reaper.finish(7);  // never heard of
  for (std::size_t i = 0; i < pairs.size(); ++i) reaper.close(std::move(pairs[i].closed), static_cast<int>(i % 10));
  reaper.finish(7);
  for (std::size_t i = 7; i < pairs.size(); i += 10) EXPECT_TRUE(pairs[i].is_closed(0));
}

TEST(SocketReaper, EndsWhenAllAreClosed) {
  std::vector<Pair> pairs(200);
  {
    SocketReaper reaper;
    for (auto& pair : pairs) reaper.close(std::move(pair.closed), 1);
  }
  for (const auto& pair : pairs) EXPECT_TRUE(pair.is_closed(0));
}

}  // namespace
}  // namespace heddle::dp
