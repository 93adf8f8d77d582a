// SPDX-License-Identifier: Apache-2.0
// Finds checksums that a Linux sender has left to its device, also inside a tunnel of the sender's own (a guest's
// VXLAN, Geneve, GRE or IP in IP): the kernel leaves the innermost checksum, and has computed the outer ones as they
// will be once it is finished (Documentation/networking/checksum-offloads.rst, "LCO").
//
// Pure functions: any thread, no allocation, no errors: what cannot be read is not looked into.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/parse.h"

namespace heddle::packet {

inline constexpr std::size_t kInnerTunnels = 3;  // tunnels in one another that are looked into

// The datagrams of a frame that look unfinished (looks_partial(), checksum.h), the outermost first. There is one as a
// rule. Where a finished checksum looks like an unfinished one by chance, completing all of them from the last to the
// first gives the right ones.
class Unfinished {
 public:
  // As for parse_l3(); offsets in the result are in `data`.
  Unfinished(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len, L2 l2);
  [[nodiscard]] std::span<const L3L4> all() const { return {found_.data(), count_}; }

 private:
  std::array<L3L4, kInnerTunnels + 1> found_;
  std::size_t count_ = 0;
};

}  // namespace heddle::packet
