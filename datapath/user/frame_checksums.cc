// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/frame_checksums.h"

namespace heddle::dp {

std::span<packet::Segment> FrameChecksums::segments(FrameRef f) {
  segments_.clear();
  for (; f != kNoFrame; f = cache_.meta(f).next) segments_.push_back({cache_.data(f), cache_.meta(f).len});
  return segments_;
}

void FrameChecksums::finish_partial(FrameRef f, const packet::L2& l2, bool receiver_completes) {
  FrameMeta& m = cache_.meta(f);
  m.maybe_partial = false;
  packet::L3L4 l;
  if (packet::parse_l3(cache_.data(f), m.len, m.total, l2, l)) return;
  if (!packet::looks_partial(cache_.data(f), l)) return;
  if (receiver_completes && m.next == kNoFrame) {
    constexpr std::uint8_t kTcpField = 16;
    constexpr std::uint8_t kUdpField = 6;
    m.csum_start = l.l4_offset;
    m.csum_offset = l.l4_proto == packet::kProtoTcp ? kTcpField : kUdpField;
    return;
  }
  packet::complete_partial(segments(f), l);
}

void FrameChecksums::finish_inner(FrameRef f, const packet::VxlanOuter& outer) {
  FrameMeta& m = cache_.meta(f);
  if (!m.maybe_partial || m.len < outer.inner_offset) return;
  std::uint8_t* inner = cache_.data(f) + outer.inner_offset;
  const std::size_t contiguous = m.len - outer.inner_offset;
  packet::L2 l2;
  packet::L3L4 l;
  m.maybe_partial = false;
  if (packet::parse_l2(inner, contiguous, l2) || packet::parse_l3(inner, contiguous, outer.inner_len, l2, l)) return;
  if (!packet::looks_partial(inner, l)) return;
  const auto chain = segments(f);
  chain.front().data += outer.inner_offset;
  chain.front().len -= outer.inner_offset;
  packet::complete_partial(chain, l);
}

}  // namespace heddle::dp
