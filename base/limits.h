// SPDX-License-Identifier: Apache-2.0
// All limits of the switch: each table, queue, frame and message is bounded by a number here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::limits {

// Datapath
inline constexpr std::size_t kPorts = 4096;  // datapath port numbers, tunnels included
inline constexpr std::size_t kBridges = 256;
inline constexpr std::size_t kQueuesPerPort = 16;  // receive queues served per netdev
inline constexpr std::size_t kWorkers = 16;
inline constexpr std::size_t kBatch = 32;             // frames per receive or send; the kernel sends at most 32 a call
inline constexpr std::size_t kFrameSize = 4096;       // bytes of one packet buffer; a frame may chain several
inline constexpr std::size_t kFrameHeadroom = 256;    // bytes before a received frame, for outer headers
inline constexpr std::size_t kFrameChain = 20;        // buffers of one frame: a little over 64 kB
inline constexpr std::size_t kFrames = 32768;         // packet buffers of the switch: 128 MiB
inline constexpr std::size_t kRing = 2048;            // entries of each AF_XDP ring
inline constexpr std::size_t kFill = 2048;            // receive buffers of one queue, at most
inline constexpr std::size_t kLearnQueue = 128;       // learn events waiting per receive queue
inline constexpr std::size_t kMailbox = 4096;         // frames in the queue from one worker to another
inline constexpr std::size_t kTunnelRemotes = 65536;  // (tunnel port, remote VTEP) pairs
inline constexpr std::size_t kFloodList = 1024;       // remote VTEPs in one multipoint port's flood list
inline constexpr std::size_t kMirrors = 32;           // mirrors of one bridge
inline constexpr unsigned kPatchHops = 8;             // patch ports on the way of one frame
inline constexpr std::size_t kPatched = 2048;         // frames of one worker that wait between two bridges
inline constexpr std::size_t kQueues = 64;            // queues in one port's QoS
inline constexpr std::uint32_t kQueueMax = 0xfff0;    // highest queue number; its HTB class has the number plus one
inline constexpr std::size_t kShapedFrames = 1000;    // frames that wait in one queue of a port with QoS

// Forwarding database, per bridge
inline constexpr std::size_t kFdbDefault = 8192;  // other_config:mac-table-size
inline constexpr std::size_t kFdbMax = 1'000'000;
inline constexpr unsigned kAgingDefault = 300;  // other_config:mac-aging-time, seconds
inline constexpr unsigned kAgingMin = 15;
inline constexpr unsigned kAgingMax = 3600;
inline constexpr std::size_t kAgingBatch = 4096;  // entries checked at a time; then commands are served
inline constexpr std::size_t kEvictScan = 8;      // oldest entries of a port that eviction compares
inline constexpr std::size_t kEventBatch = 256;   // learn events handled at a time; then commands are served

// OpenFlow port numbers, per bridge
inline constexpr std::uint16_t kOfportMax = 0xfeff;    // highest ordinary number (OpenFlow 1.0 section 5.2.1)
inline constexpr std::uint16_t kOfportLocal = 0xfffe;  // the bridge's own internal port
inline constexpr std::size_t kOfportRest = 1024;       // freed numbers that are not assigned again yet

// Parser
inline constexpr std::size_t kInnerVlanTags = 2;   // tags skipped behind the outer tag
inline constexpr std::size_t kIpv6Extensions = 8;  // IPv6 extension headers followed in one packet

// Protocol values
inline constexpr std::uint16_t kVlanMax = 4095;
inline constexpr std::uint32_t kVniMax = (1U << 24) - 1;  // RFC 7348 section 5

// Kernel
inline constexpr int kNetlinkBuffer = 16 << 20;     // bytes of kernel notifications that may wait in the socket
inline constexpr std::size_t kNetlinkDrain = 4096;  // datagrams read from a netlink socket at a time

// Management
inline constexpr std::size_t kJsonMessage = 16U << 20;      // bytes of one JSON-RPC message
inline constexpr std::size_t kReplicaMessage = 256U << 20;  // the same, of a server that a Follower follows
inline constexpr std::size_t kJsonDepth = 64;               // nesting of arrays and objects in one message
inline constexpr std::size_t kShownRows = 200'000;          // lines of one control command's answer
inline constexpr std::size_t kClients = 256;                // connections to one socket
inline constexpr std::size_t kClientQueue = 64U << 20;  // bytes that wait for a slow client before it is disconnected
inline constexpr std::size_t kClientMemory = 1U << 30;  // bytes queued or half received, all clients together
inline constexpr unsigned kHandshakeSeconds = 10;       // for connecting and the TLS handshake
inline constexpr unsigned kProbeSeconds = 5;            // silence of a TCP or TLS client before an echo request
inline constexpr unsigned kBackoffSeconds = 8;          // between connection attempts to a manager, at most
inline constexpr std::size_t kRemotes = 64;             // listening sockets and managers, beside db.sock

// Database
inline constexpr std::size_t kMonitors = 256;             // monitors of one session
inline constexpr std::size_t kMonitorClauses = 4096;      // clauses in the conditions of one monitor
inline constexpr std::size_t kHistory = 1000;             // recent transactions kept for clients that reconnect
inline constexpr std::size_t kHistoryRows = 8192;         // row changes of those transactions, together
inline constexpr std::size_t kHistoryBytes = 8U << 20;    // bytes of rows that only those transactions hold
inline constexpr std::size_t kLocks = 64;                 // locks that one session holds or waits for
inline constexpr std::size_t kWaits = 64;                 // transactions of one session that wait at the same time
inline constexpr std::size_t kOperations = 65536;         // operations in one transaction
inline constexpr std::size_t kTransactionRows = 1 << 20;  // rows changed by one transaction
inline constexpr std::size_t kDatumAtoms = 1 << 20;       // elements in one column of one row
inline constexpr std::size_t kDatabaseRows = 1 << 20;     // rows of all tables together
inline constexpr int kRpcBacklog = 64;                    // connections that wait for accept(2)
inline constexpr std::size_t kTransactRetries = 1000;  // attempts of vsctl while other clients change the same records

// What a source (the reflector, EVPN) tells of other VTEPs, and what it is told.
inline constexpr std::size_t kOverlayNetworks = 4096;    // networks of this host that other VTEPs are asked about
inline constexpr std::size_t kOverlayMembers = 16384;    // VTEPs of one network that one source may name
inline constexpr std::size_t kOverlayMacs = 1'000'000;   // MACs that one source may tell
inline constexpr std::size_t kClaims = 500;              // stations in one transaction with the reflector
inline constexpr std::size_t kReflectorClients = 16384;  // connections to one socket of reflectord
inline constexpr unsigned kHoldSeconds = 60;             // for what a lost source has told
inline constexpr std::size_t kEvpnWrites = 300;          // MACs written for zebra at a time, every 20 ms
inline constexpr std::size_t kVtyAnswer = 256U << 20;    // bytes of one answer of zebra or bgpd

}  // namespace heddle::limits
