// SPDX-License-Identifier: Apache-2.0
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
inline constexpr std::size_t kFill = 2048;            // receive buffers given to one queue, at most
inline constexpr std::size_t kLearnQueue = 128;       // learn events waiting per receive queue
inline constexpr std::size_t kMailbox = 4096;         // frames under way from one worker to another
inline constexpr std::size_t kTunnelRemotes = 65536;  // (tunnel port, remote VTEP) pairs
inline constexpr std::size_t kFloodList = 1024;       // remote VTEPs in one multipoint port's flood list
inline constexpr std::size_t kMirrors = 32;           // per bridge
inline constexpr unsigned kPatchHops = 8;             // patch ports that one frame may pass
inline constexpr std::size_t kPatched = 2048;         // frames of one worker between two bridges
inline constexpr std::size_t kQueues = 64;            // of one port's QoS
inline constexpr std::uint32_t kQueueMax = 0xfff0;    // highest queue number: one more is the HTB class's
inline constexpr std::size_t kShapedFrames = 1000;    // waiting in one queue of a port with QoS

// Forwarding database, per bridge
inline constexpr std::size_t kFdbDefault = 8192;   // other_config:mac-table-size
inline constexpr std::size_t kFdbMax = 1'000'000;  //
inline constexpr unsigned kAgingDefault = 300;     // other_config:mac-aging-time, seconds
inline constexpr unsigned kAgingMin = 15;          //
inline constexpr unsigned kAgingMax = 3600;        //
inline constexpr std::size_t kAgingBatch = 4096;   // entries looked at in one go before commands get their turn
inline constexpr std::size_t kEvictScan = 8;       // oldest entries of a port compared when one must go
inline constexpr std::size_t kEventBatch = 256;    // learn events taken in one go before commands get their turn

// OpenFlow port numbers, per bridge
inline constexpr std::uint16_t kOfportMax = 0xfeff;    // highest ordinary number (OpenFlow 1.0 section 5.2.1)
inline constexpr std::uint16_t kOfportLocal = 0xfffe;  // the bridge's own internal port
inline constexpr std::size_t kOfportRest = 1024;       // freed numbers that are kept from being given out again

// Parser
inline constexpr std::size_t kInnerVlanTags = 2;   // tags skipped behind the outer one
inline constexpr std::size_t kIpv6Extensions = 8;  // IPv6 extension headers followed in one packet

// Protocol values
inline constexpr std::uint16_t kVlanMax = 4095;
inline constexpr std::uint32_t kVniMax = (1U << 24) - 1;  // RFC 7348 section 5

// Kernel
inline constexpr int kNetlinkBuffer = 16 << 20;     // bytes of news from the kernel that may wait
inline constexpr std::size_t kNetlinkDrain = 4096;  // datagrams taken from the kernel in one go

// Management
inline constexpr std::size_t kJsonMessage = 16U << 20;  // bytes of one JSON-RPC message
inline constexpr std::size_t kJsonDepth = 64;           // nesting
inline constexpr std::size_t kShownRows = 200'000;      // lines of one control command's answer
inline constexpr std::size_t kClients = 256;            // connections to one socket
inline constexpr std::size_t kClientQueue = 64U << 20;  // bytes waiting for a slow reader before it is cut off
inline constexpr std::size_t kClientMemory = 1U << 30;  // bytes waiting, and half received, of all clients together
inline constexpr unsigned kHandshakeSeconds = 10;       // for a connection and its TLS handshake
inline constexpr unsigned kProbeSeconds = 5;            // silence of a TCP or TLS client before it is probed
inline constexpr unsigned kBackoffSeconds = 8;          // between calls to a manager that does not answer, at most
inline constexpr std::size_t kRemotes = 64;             // beside db.sock

// Database
inline constexpr std::size_t kMonitors = 256;             // per session
inline constexpr std::size_t kMonitorClauses = 4096;      // in the conditions of one monitor
inline constexpr std::size_t kHistory = 1000;             // recent transactions kept for clients that reconnect
inline constexpr std::size_t kHistoryRows = 8192;         // row changes in them, together
inline constexpr std::size_t kHistoryBytes = 8U << 20;    // of rows that are kept only for them
inline constexpr std::size_t kLocks = 64;                 // locks that one session holds or waits for
inline constexpr std::size_t kWaits = 64;                 // transactions of one session waiting at the same time
inline constexpr std::size_t kOperations = 65536;         // in one transaction
inline constexpr std::size_t kTransactionRows = 1 << 20;  // rows changed by one transaction
inline constexpr std::size_t kDatumAtoms = 1 << 20;       // elements in one column of one row
inline constexpr std::size_t kDatabaseRows = 1 << 20;     // in all tables together
inline constexpr int kRpcBacklog = 64;                    // connections not accepted yet
inline constexpr std::size_t kTransactRetries = 1000;     // of vsctl, when others change the same records

}  // namespace heddle::limits
