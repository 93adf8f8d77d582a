// SPDX-License-Identifier: Apache-2.0
#include "packet/unfinished.h"

#include <algorithm>

#include "packet/checksum.h"
#include "packet/headers.h"

namespace heddle::packet {
namespace {

constexpr std::uint8_t kProtoIpv4 = 4;             // RFC 2003
constexpr std::uint8_t kProtoIpv6 = 41;            // RFC 2473
constexpr std::uint8_t kProtoGre = 47;             // RFC 2784
constexpr std::uint16_t kGenevePort = 6081;        // RFC 8926
constexpr std::uint16_t kEthTransparent = 0x6558;  // Ethernet, in Geneve and GRE
constexpr std::uint8_t kVxlanKnown = 0x08;         // RFC 7348 section 5: the I flag
constexpr std::size_t kVxlanSize = 8;

// What a datagram carries, if it is a tunnel's.
struct Inside {
  const std::uint8_t* data;
  std::size_t contiguous;
  std::size_t offset;  // of the tunnel's header
  L2& l2;

  bool ethernet() {
    if (offset >= contiguous || parse_l2(data + offset, contiguous - offset, l2)) return false;
    const std::size_t at = offset + l2.l3_offset;
    l2.l3_offset = static_cast<std::uint16_t>(at);
    return at <= 0xffff;
  }
  bool ip(std::uint16_t type) {
    l2.eth_type = type;
    l2.l3_offset = static_cast<std::uint16_t>(offset);
    return offset < contiguous && offset <= 0xffff;
  }
  bool protocol(std::uint16_t type) {
    if (type == kEthTransparent) return ethernet();
    return (type == kEthIpv4 || type == kEthIpv6) && ip(type);
  }
  [[nodiscard]] bool has(std::size_t bytes) const { return offset + bytes <= contiguous; }

  // RFC 2784 and RFC 2890: checksum, key and sequence number are there as the flags say.
  bool gre() {
    if (!has(4)) return false;
    const std::uint16_t flags = load_be16(data + offset);
    const std::uint16_t type = load_be16(data + offset + 2);
    if ((flags & ~0xb000) != 0) return false;
    offset += 4;
    for (const unsigned flag : {0x8000U, 0x2000U, 0x1000U})
      if ((flags & flag) != 0) offset += 4;
    return protocol(type);
  }
  bool geneve() {
    if (!has(8) || data[offset] >> 6 != 0) return false;
    const std::size_t options = static_cast<std::size_t>(data[offset] & 0x3f) * 4;
    const std::uint16_t type = load_be16(data + offset + 2);
    offset += 8 + options;
    return protocol(type);
  }
  // By its header alone, because guests use many UDP ports.
  bool vxlan() {
    if (!has(kVxlanSize) || (data[offset] & kVxlanKnown) == 0) return false;
    offset += kVxlanSize;
    return ethernet();
  }
};

// Makes `l2` that of the packet inside; false when there is none.
bool step_inside(const std::uint8_t* data, std::size_t contiguous, const L3L4& l, L2& l2) {
  if (l.fragment || l.l4_offset == 0) return false;
  Inside inside{data, contiguous, l.l4_offset, l2};
  switch (l.l4_proto) {
    case kProtoUdp:
      inside.offset += sizeof(UdpHeader);
      return load_be16(data + l.l4_offset + 2) == kGenevePort ? inside.geneve() : inside.vxlan();
    case kProtoGre:
      return inside.gre();
    case kProtoIpv4:
      return inside.ip(kEthIpv4);
    case kProtoIpv6:
      return inside.ip(kEthIpv6);
    default:
      return false;
  }
}

}  // namespace

Unfinished::Unfinished(const std::uint8_t* data, std::size_t contiguous, std::size_t frame_len, L2 l2) {
  for (std::size_t depth = 0; depth < found_.size(); ++depth) {
    L3L4& l = found_[count_];
    if (parse_l3(data, contiguous, frame_len, l2, l)) return;
    if (looks_partial(data, l)) ++count_;
    if (l.l4_offset == 0) return;
    frame_len = std::min(frame_len, std::size_t{l.l4_offset} + l.l4_len);
    if (!step_inside(data, std::min(contiguous, frame_len), l, l2)) return;
  }
}

}  // namespace heddle::packet
