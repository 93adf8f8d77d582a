// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/frame_checksums.h"

#include "packet/unfinished.h"

namespace heddle::dp {

std::span<packet::Segment> FrameChecksums::segments(FrameRef f) {
  segments_.clear();
  for (; f != kNoFrame; f = cache_.meta(f).next) segments_.push_back({cache_.data(f), cache_.meta(f).len});
  return segments_;
}

void FrameChecksums::complete(FrameRef f, const packet::L2& l2, std::size_t len, bool receiver_completes) {
  FrameMeta& m = cache_.meta(f);
  m.maybe_partial = false;
  const packet::Unfinished unfinished(cache_.data(f), m.len, len, l2);
  const auto all = unfinished.all();
  // An outer checksum depends on the inner ones. The receiver is told of one place only: the outermost.
  for (std::size_t i = all.size(); i-- > 0;) {
    const packet::L3L4& l = all[i];
    if (i == 0 && receiver_completes && m.next == kNoFrame) {
      constexpr std::uint8_t kTcpField = 16;
      constexpr std::uint8_t kUdpField = 6;
      m.csum_start = l.l4_offset;
      m.csum_offset = l.l4_proto == packet::kProtoTcp ? kTcpField : kUdpField;
    } else {
      packet::complete_partial(segments(f), l);
    }
  }
}

void FrameChecksums::finish_inner(FrameRef f, const packet::VxlanOuter& outer) {
  FrameMeta& m = cache_.meta(f);
  if (!m.maybe_partial || m.len < outer.inner_offset) return;
  packet::L2 l2;
  m.maybe_partial = false;
  if (packet::parse_l2(cache_.data(f) + outer.inner_offset, m.len - outer.inner_offset, l2)) return;
  l2.l3_offset = static_cast<std::uint16_t>(l2.l3_offset + outer.inner_offset);
  complete(f, l2, std::size_t{outer.inner_offset} + outer.inner_len, false);
}

}  // namespace heddle::dp
