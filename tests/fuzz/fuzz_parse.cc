// SPDX-License-Identifier: Apache-2.0
// links: packet
// Any bytes as a guest's frame: the offsets of an accepted frame must lie within it, and all functions on accepted
// frames must stay in bounds. The first two bytes select the end of the first buffer and whether the IPv4 header
// checksum is corrected.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "packet/checksum.h"
#include "packet/ecn.h"
#include "packet/flow_hash.h"
#include "packet/icmp_error.h"
#include "packet/parse.h"
#include "packet/too_big.h"
#include "tests/fuzz/ipv4_checksum.h"

using namespace heddle;
using namespace heddle::packet;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_bounds(const L2& l2, const L3L4& l, std::size_t contiguous, std::size_t frame_len) {
  require(l.l3_offset >= l2.l3_offset && l.l3_offset <= contiguous);
  require(l.l3_offset + std::size_t{l.l3_total_len} <= frame_len);
  if (l.kind == L3L4::Kind::none || l.kind == L3L4::Kind::arp) require(l.l4_offset == 0 && l.l4_len == 0);
  if (l.l4_offset == 0) {
    require(l.l4_len == 0 && l.l4_header_len == 0);
    return;
  }
  require(l.l4_offset > l.l3_offset && l.l4_offset + std::size_t{l.l4_header_len} <= contiguous);
  require(l.l4_header_len <= l.l4_len);
  require(l.l4_offset + std::size_t{l.l4_len} <= l.l3_offset + std::size_t{l.l3_total_len});
  require(l.pseudo_dst > l.l3_offset && l.pseudo_dst < l.l4_offset);
  require(!l.fragment || l.first_fragment);
}

// Completing makes the checksum right, and changes only the checksum.
void check_completion(std::vector<std::uint8_t> head, std::vector<std::uint8_t> tail, const L3L4& l) {
  const Segment chain[] = {{head.data(), head.size()}, {tail.data(), tail.size()}};
  const bool partial = looks_partial(head.data(), l);
  complete_partial(chain, l);
  const bool sums = !l.fragment && l.l4_offset != 0 && l.kind != L3L4::Kind::arp &&
                    (l.l4_proto == kProtoTcp || l.l4_proto == kProtoUdp);
  require(sums || !partial);
  if (!sums) return;
  require(verify_l4(chain, l));
  const std::vector<std::uint8_t> once = head;
  complete_partial(chain, l);
  require(head == once);
}

// The same bytes as an ICMP error of a router.
void check_too_big(const std::vector<std::uint8_t>& message) {
  if (const auto e = parse_too_big_v4(message)) require(e->mtu >= kLeastMtuV4 && e->mtu < 65535 && !e->dst.is_v6());
  if (const auto e = parse_too_big_v6(message)) require(e->mtu >= kLeastMtuV6 && e->dst.is_v6());
}

void check_answer(const std::vector<std::uint8_t>& head, std::size_t frame_len, const L2& l2, unsigned mtu) {
  std::vector<std::uint8_t> out(kTooBigMax);
  out.resize(build_too_big(head, frame_len, l2, mtu, out));
  if (out.empty()) return;
  L2 answer_l2;
  L3L4 answer;
  require(!parse_l2(out.data(), out.size(), answer_l2));
  require(!parse_l3(out.data(), out.size(), out.size(), answer_l2, answer));
  require(answer_l2.dst == l2.src && answer_l2.src == l2.dst && answer_l2.vlan_tci == l2.vlan_tci);
  require(verify_l4(out.data(), out.size(), answer));
  std::vector<std::uint8_t> again(kTooBigMax);
  require(build_too_big(out, out.size(), answer_l2, 1, again) == 0);  // no error for an error
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t frame_len = size - 2;
  const std::size_t cut = load_be16(input) % 8 == 0 ? load_be16(input) % (frame_len + 1) : frame_len;
  std::vector<std::uint8_t> frame(input + 2, input + size);
  if ((input[0] & 0x80) != 0) fix_ipv4_checksum(frame);
  const auto split = frame.begin() + static_cast<std::ptrdiff_t>(cut);
  const std::vector<std::uint8_t> head(frame.begin(), split);  // no more than the readable bytes
  const std::vector<std::uint8_t> tail(split, frame.end());

  check_too_big(head);
  L2 l2;
  if (parse_l2(head.data(), head.size(), l2)) return 0;
  require(l2.l3_offset <= head.size());
  require(inner_hash(head.data(), head.size(), l2) == inner_hash(head.data(), head.size(), l2));
  check_answer(head, frame_len, l2, 68);
  std::vector<std::uint8_t> marked = head;
  static_cast<void>(inner_ip(head.data(), head.size(), l2));
  static_cast<void>(ecn_decap_frame(kEcnCe, marked.data(), marked.size(), l2));

  L3L4 l;
  if (parse_l3(head.data(), head.size(), frame_len, l2, l)) return 0;
  check_bounds(l2, l, head.size(), frame_len);
  if (l.kind == L3L4::Kind::ipv4 || l.kind == L3L4::Kind::ipv6) check_completion(head, tail, l);
  return 0;
}
