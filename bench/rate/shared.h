/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
// Shared by the BPF programs of heddle-rate and its user side. Plain C.
#pragma once

#include <linux/types.h>

#define RATE_TUNNEL_BYTES 50  // outer Ethernet, IPv4, UDP and VXLAN (RFC 7348 section 5)
#define RATE_MAGIC 0x48524154
#define RATE_KIND_DATA 1
#define RATE_KIND_PROBE 2

// The start of the UDP payload of every generated frame.
struct rate_mark {
  __u32 magic;
  __u32 kind;
  __u32 sequence;
} __attribute__((packed));

// Written by the generator only.
struct rate_tx {
  __u64 sent;
  __u64 seen;         // arrivals, as last read from rate_rx::published
  __u64 forgiven;     // frames counted as lost, so that they leave the window
  __u64 stalls;       // times that frames were counted as lost
  __u64 full;         // rounds in which the window was full
  __u64 stall_seen;   // `seen` when the wait began
  __u64 stall_since;  // its time, ns
  __u32 flow;
  __u32 mac;
};

// Written by the sink only.
struct rate_rx {
  __u64 received;
  __u64 probes;
  __u64 reordered;
  __u32 last_sequence;
};

// The sink publishes its count once in a few frames: a cache line that both sides accessed for every frame would slow
// the switching core.
#define RATE_PUBLISH_EVERY 8
struct rate_published {
  __u64 received;
};
