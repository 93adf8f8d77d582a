// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/tunnel_fragments.h"

#include <algorithm>
#include <cstring>

#include "packet/headers.h"

namespace heddle::dp {
namespace {

// RFC 8200 section 4.5.
struct FragmentHeader {
  std::uint8_t next;
  std::uint8_t reserved;
  Be16 place;  // offset in units of 8 bytes in the high 13 bits; bit 0: more follow
  Be32 id;
};
static_assert(sizeof(FragmentHeader) == 8);

constexpr std::uint32_t kUnit = 8;  // of a fragment's place

// Of each fragment.
std::uint32_t ip_headers(const TunnelPath& path) {
  return path.head.l4_offset - path.head.ip_offset + (path.head.v6 ? sizeof(FragmentHeader) : 0);
}

// Copies bytes of a chain, from `at` on.
void copy_out(FrameCache& cache, FrameRef f, std::uint32_t at, std::uint32_t size, std::uint8_t* to) {
  while (at >= cache.meta(f).len) {
    at -= cache.meta(f).len;
    f = cache.meta(f).next;
  }
  for (; size > 0; f = cache.meta(f).next, at = 0) {
    const std::uint32_t n = std::min<std::uint32_t>(size, cache.meta(f).len - at);
    std::memcpy(to, cache.data(f) + at, n);
    to += n;
    size -= n;
  }
}

void write_v4(std::uint8_t* at, std::uint32_t offset, std::uint32_t size, bool last, std::uint16_t id) {
  auto ip = packet::load<packet::Ipv4Header>(at);
  ip.total_len = be16(static_cast<std::uint16_t>(sizeof ip + size));
  ip.id = be16(id);
  ip.frag = be16(static_cast<std::uint16_t>(offset / 8 | (last ? 0 : packet::kIpv4Mf)));
  ip.checksum = {};
  packet::store(at, ip);
  ip.checksum = packet::ipv4_header_checksum(at, sizeof ip);
  packet::store(at, ip);
}

void write_v6(std::uint8_t* at, std::uint32_t offset, std::uint32_t size, bool last, std::uint32_t id) {
  auto ip = packet::load<packet::Ipv6Header>(at);
  const FragmentHeader fragment{ip.next, 0, be16(static_cast<std::uint16_t>(offset | (last ? 0 : 1))), be32(id)};
  ip.next = packet::kProtoFragment;
  ip.payload_len = be16(static_cast<std::uint16_t>(sizeof fragment + size));
  packet::store(at, ip);
  packet::store(at + sizeof ip, fragment);
}

}  // namespace

// One piece: the payload's `size` bytes from `at` on.
FrameRef TunnelFragments::make(FrameRef whole, const TunnelPath& path, std::uint32_t at, std::uint32_t size,
                               bool last) {
  const FrameRef f = cache_.alloc();
  if (f == kNoFrame) return f;
  const std::uint32_t head = path.head.l4_offset;
  const std::uint32_t extra = path.head.v6 ? sizeof(FragmentHeader) : 0;
  FrameMeta& m = cache_.meta(f);
  m.len = static_cast<std::uint16_t>(head + extra + size);
  m.total = m.len;
  std::uint8_t* data = cache_.data(f);
  copy_out(cache_, whole, 0, head, data);
  copy_out(cache_, whole, head + at, size, data + head + extra);
  // Workers count by themselves: no two of them may give the same number at the same time.
  constexpr unsigned worker_bits = 4;
  const std::uint32_t id = count_ << worker_bits | (round_.worker & ((1U << worker_bits) - 1));
  if (path.head.v6)
    write_v6(data + path.head.ip_offset, at, size, last, id);
  else
    write_v4(data + path.head.ip_offset, at, size, last, static_cast<std::uint16_t>(id));
  return f;
}

bool TunnelFragments::possible(const TunnelPath& path) { return path.mtu >= ip_headers(path) + kUnit; }

std::optional<Drop> TunnelFragments::send(FrameRef whole, const TunnelPath& path) {
  // In one buffer each.
  const std::uint32_t most = std::min<std::uint32_t>(
      path.mtu, limits::kFrameSize - limits::kFrameHeadroom - static_cast<std::uint32_t>(sizeof(packet::EthHeader)));
  const std::uint32_t step = (most - ip_headers(path)) / kUnit * kUnit;
  const std::uint32_t payload = cache_.meta(whole).total - path.head.l4_offset;
  ++count_;
  std::vector<FrameRef> pieces;
  for (std::uint32_t at = 0; at < payload; at += step) {
    const std::uint32_t size = std::min(step, payload - at);
    const FrameRef piece = make(whole, path, at, size, at + size == payload);
    if (piece == kNoFrame) {
      for (const FrameRef made : pieces) cache_.free_one(made);
      return Drop::no_frame;
    }
    pieces.push_back(piece);
  }
  for (const FrameRef piece : pieces) queues_.put(path.io, piece);
  cache_.free_chain(whole);
  return std::nullopt;
}

}  // namespace heddle::dp
