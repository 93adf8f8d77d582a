// Every limit of the switch in one place: each table, queue, frame and message is bounded by a number here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::limits {

// Datapath
inline constexpr std::size_t kPorts = 4096;           // datapath port numbers, tunnels included
inline constexpr std::size_t kBridges = 256;          //
inline constexpr std::size_t kQueuesPerPort = 16;     // receive queues served per netdev
inline constexpr std::size_t kWorkers = 16;           //
inline constexpr std::size_t kBatch = 32;             // frames moved at once; the kernel sends at most 32 a call
inline constexpr std::size_t kFrameSize = 4096;       // one packet buffer, bytes; a frame may chain several
inline constexpr std::size_t kFrameHeadroom = 256;    // room before a received frame for outer headers, bytes
inline constexpr std::size_t kFrameChain = 20;        // buffers in one frame (64 kB and a bit)
inline constexpr std::size_t kFrames = 32768;         // packet buffers in all (128 MiB)
inline constexpr std::size_t kRing = 2048;            // entries of each AF_XDP ring
inline constexpr std::size_t kLearnQueue = 128;       // learn events waiting per receive queue
inline constexpr std::size_t kMailbox = 1024;         // frames under way from one worker to another
inline constexpr std::size_t kTunnelRemotes = 65536;  // (tunnel port, remote VTEP) pairs
inline constexpr std::size_t kFloodList = 1024;       // remote VTEPs in one multipoint port's flood list

// Forwarding database, per bridge
inline constexpr std::size_t kFdbDefault = 8192;   // other_config:mac-table-size
inline constexpr std::size_t kFdbMax = 1'000'000;  //

// Protocol values
inline constexpr std::uint16_t kVlanMax = 4095;
inline constexpr std::uint32_t kVniMax = (1U << 24) - 1;  // RFC 7348 section 5

// Kernel
inline constexpr int kNetlinkBuffer = 16 << 20;     // bytes of news from the kernel that may wait
inline constexpr std::size_t kNetlinkDrain = 4096;  // datagrams taken from the kernel in one go

// Management
inline constexpr std::size_t kJsonMessage = 16U << 20;  // bytes of one JSON-RPC message
inline constexpr std::size_t kJsonDepth = 64;           // nesting
inline constexpr std::size_t kClients = 256;            // connections to one socket
inline constexpr std::size_t kClientQueue = 64U << 20;  // bytes waiting for a slow reader before it is cut off

}  // namespace heddle::limits
