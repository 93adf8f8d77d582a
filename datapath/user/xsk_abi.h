// SPDX-License-Identifier: Apache-2.0
// What linux/if_xdp.h of Debian 12 does not have yet; values from include/uapi/linux/if_xdp.h of Linux 6.8; and access
// to what lies in rings. Not for inclusion outside xsk*.cc.
#pragma once

#include <cstdint>

#include "base/limits.h"

namespace heddle::dp {

inline constexpr std::uint16_t kXdpUseSg = 1 << 4;
inline constexpr std::uint32_t kXdpPacketContinues = 1 << 0;
inline constexpr std::uint32_t kXdpHasMetadata = 1 << 1;
inline constexpr std::uint32_t kXdpUmemTxMetadataLen = 1 << 2;
inline constexpr std::uint64_t kXdpMetadataChecksum = 1 << 1;

struct UmemRegistration {
  std::uint64_t address;
  std::uint64_t length;
  std::uint32_t chunk_size;
  std::uint32_t headroom;
  std::uint32_t flags;
  std::uint32_t tx_metadata_len;
};
inline constexpr std::size_t kOldUmemRegistration = 28;  // without tx_metadata_len

struct TxMetadata {
  std::uint64_t flags;
  std::uint16_t csum_start;
  std::uint16_t csum_offset;
  std::uint32_t pad;
  std::uint64_t launch_time;
};
static_assert(sizeof(TxMetadata) == 24 && sizeof(TxMetadata) <= limits::kFrameHeadroom);

// A ring's index, which the kernel reads and writes too.
inline std::uint32_t load(const std::uint32_t* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
inline void store(std::uint32_t* p, std::uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

}  // namespace heddle::dp
