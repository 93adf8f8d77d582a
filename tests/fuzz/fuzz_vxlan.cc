// SPDX-License-Identifier: Apache-2.0
// links: packet
// Any bytes as a packet for a tunnel end point, then the inner frame. The first byte: bit 0 corrects the IPv4 header
// checksum (which would stop nearly every input), bit 1 selects a short first buffer, bit 2 takes the input as a UDP
// socket's payload, bit 3 encapsulates the input instead and expects it back unchanged.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "packet/ecn.h"
#include "packet/flow_hash.h"
#include "packet/vxlan.h"
#include "tests/fuzz/ipv4_checksum.h"

using namespace heddle;
using namespace heddle::packet;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_inner(std::vector<std::uint8_t>& head, std::size_t frame_len, const VxlanOuter& outer) {
  require(outer.vni < (1U << 24));
  require(outer.inner_len >= sizeof(EthHeader));
  require(outer.inner_offset + std::size_t{outer.inner_len} <= frame_len);
  require(outer.inner_offset + sizeof(EthHeader) <= head.size());
  std::uint8_t* inner = head.data() + outer.inner_offset;
  const std::size_t contiguous = std::min<std::size_t>(outer.inner_len, head.size() - outer.inner_offset);
  L2 l2;
  if (parse_l2(inner, contiguous, l2)) return;
  static_cast<void>(inner_hash(inner, contiguous, l2));
  static_cast<void>(ecn_decap_frame(outer.tos, inner, contiguous, l2));
  L3L4 l;
  if (parse_l3(inner, contiguous, outer.inner_len, l2, l)) return;
  require(l.l4_offset + std::size_t{l.l4_len} <= outer.inner_len);
}

void check_received(std::vector<std::uint8_t> head, std::vector<std::uint8_t> tail) {
  const std::size_t frame_len = head.size() + tail.size();
  VxlanOuter outer;
  if (parse_vxlan(head.data(), head.size(), frame_len, outer)) return;
  const std::uint8_t* end = head.data() + head.size();
  require(outer.src > head.data() && outer.src + outer.src_addr().size() <= end);
  require(outer.dst > head.data() && outer.dst + outer.dst_addr().size() <= end);
  const Segment chain[] = {{head.data(), head.size()}, {tail.data(), tail.size()}};
  static_cast<void>(udp_checksum_ok(chain, outer));
  check_inner(head, frame_len, outer);
}

void check_round_trip(const std::vector<std::uint8_t>& inner, bool v6) {
  if (inner.size() < sizeof(EthHeader) || inner.size() > max_inner_len(v6)) return;
  const IpAddr v6_addr = IpAddr::v6_bytes("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01");
  const IpAddr addr = v6 ? v6_addr : IpAddr::v4(0xc0000201);
  const MacAddr mac = MacAddr::from_u64(0x020000000001);
  const EncapTemplate t = make_encap_template(mac, mac, addr, addr, 4789, inner[0], 0, 64, true);
  std::vector<std::uint8_t> head(t.len);
  head.insert(head.end(), inner.begin(), inner.end());
  write_encap(head.data(), t, inner.size(), 50000, inner[1], 64, 1);
  const Segment chain[] = {{head.data(), head.size()}};
  write_outer_udp_checksum(chain, t);
  VxlanOuter outer;
  require(!parse_vxlan(head.data(), head.size(), head.size(), outer));
  require(verify_l4(chain, outer.ip) && udp_checksum_ok(chain, outer));
  require(outer.inner_offset == t.len && outer.inner_len == inner.size() && outer.vni == inner[0]);
  require(std::equal(inner.begin(), inner.end(), head.begin() + t.len));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size < 2) return 0;
  const std::uint8_t flags = input[0];
  std::vector<std::uint8_t> frame(input + 2, input + size);
  if ((flags & 8) != 0) {
    check_round_trip(frame, (flags & 1) != 0);
    return 0;
  }
  if ((flags & 1) != 0) fix_ipv4_checksum(frame);
  const std::size_t cut = (flags & 2) != 0 ? std::min<std::size_t>(input[1], frame.size()) : frame.size();
  std::vector<std::uint8_t> head(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(cut));
  const std::vector<std::uint8_t> tail(frame.begin() + static_cast<std::ptrdiff_t>(cut), frame.end());
  if ((flags & 4) != 0) {
    VxlanOuter outer;
    if (!parse_vxlan_payload(head.data(), head.size(), frame.size(), outer)) check_inner(head, frame.size(), outer);
    return 0;
  }
  check_received(std::move(head), tail);
  return 0;
}
