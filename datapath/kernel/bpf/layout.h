/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The form of every map that the TC programs and the daemon share. C, for both compilers.
 *
 * The maps are pinned and outlive the daemon. HD_LAYOUT numbers the layout: the names, types, sizes and meanings of all
 * maps. A daemon takes over maps of its own layout, and makes new ones beside those of another. Within a layout a newer
 * version may add four things, and an older version copes with each when it comes back:
 *
 *   a map              it begins empty, and empty must mean the old behaviour. A version unpins maps that it does not
 *                      know, so a newer version never finds one that lagged behind.
 *   a drop reason      at the end of base/drop_list.h, up to HD_DROP_ROOM. Older versions do not show its count.
 *   a reserved field   zero must mean the old behaviour. Every version writes zero to the reserved fields that it does
 *                      not know, also into elements that it takes over.
 *   a flag of hd_port  the same holds for bits that are not in HD_PORT_FLAGS.
 *
 * An event may become longer: readers take longer ones, and treat the fields that a shorter one lacks as zero. Anything
 * else (a key, a value of 32 bits, a number of elements, a field's place or meaning) needs another HD_LAYOUT. The unit
 * test kernel_layout_test.cc holds the sizes and places to this number. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_LAYOUT_H
#define HEDDLE_DATAPATH_KERNEL_BPF_LAYOUT_H

#include <linux/types.h>

#include "base/drop_list.h"

#ifdef HEDDLE_TEST_OTHER_LAYOUT /* cmake/LayoutVariants.cmake */
#define HD_LAYOUT 1000
#else
#define HD_LAYOUT 3
#endif

#define HD_PORTS 4096     /* limits::kPorts */
#define HD_BRIDGES 256    /* limits::kBridges */
#define HD_REMOTES 65536  /* limits::kTunnelRemotes */
#define HD_TARGETS 5120   /* in one flood set: every port and the longest flood list */
#define HD_CHUNK 64       /* targets in one element of `flood_sets` */
#define HD_RING (1 << 20) /* bytes of events that may wait */
#define HD_MIRRORS 32     /* limits::kMirrors */
#define HD_PATCH_HOPS 8   /* limits::kPatchHops */
#define HD_NO_BRIDGE 0xffff
#define HD_ALL_VLANS 0xffff /* in `vlan_sets`: the set of every VLAN that has none of its own */
#define HD_FRAME_HEAD 592   /* bytes of a frame in an event: what an ICMP error quotes, with the link headers */
#define HD_DROP_ROOM 128    /* drop reasons that a port's counters have room for */

enum {
#define X(name, text) HD_DROP_##name,
  HEDDLE_DROP_REASONS(X)
#undef X
      HD_DROPS
};

/* dp::VlanMode */
enum { HD_ACCESS, HD_TRUNK, HD_NATIVE_TAGGED, HD_NATIVE_UNTAGGED };

/* hd_port.flags; each one is in HD_PORT_FLAGS too */
enum {
  HD_UP = 1 << 0,            /* the device is up and has a carrier */
  HD_LEARN = 1 << 1,         /* sources are looked at */
  HD_PROTECTED = 1 << 2,     /* no frames to other protected ports */
  HD_INWARD = 1 << 3,        /* the device belongs to the host: frames go to its receive side */
  HD_PEER = 1 << 4,          /* the device's peer in another namespace may be given frames directly */
  HD_TUNNEL = 1 << 5,        /* `ifindex` is a vxlan device; the fields after `station` hold */
  HD_MULTIPOINT = 1 << 6,    /* the tunnel has many remotes */
  HD_SPLIT_HORIZON = 1 << 7, /* no frames from other tunnels */
  HD_TOS_INHERIT = 1 << 8,
  HD_TTL_INHERIT = 1 << 9,
  HD_SECURE = 1 << 12,      /* of the bridge: nothing is forwarded */
  HD_FLOOD_VLANS = 1 << 13, /* of the bridge: `bridges` has VLANs without look-ups */
  HD_POLICED = 1 << 14,     /* `policers` limits what comes */
  HD_RESERVED = 1 << 15,    /* the output of a mirror: copies leave by it, and nothing else comes or goes */
  HD_SHAPED = 1 << 20,      /* the device has queues of ours, which count what they drop */
  HD_PATCH = 1 << 21,       /* one end of a link between bridges */
  HD_TO_HOST = 1 << 22,     /* what leaves arrives at this host: `senders` is looked at */
  HD_ALL_KNOWN = 1 << 23,   /* of the bridge: frames to unknown stations do not leave by tunnels */
};
/* The flags that this version knows. */
#define HD_PORT_FLAGS                                                                                               \
  (HD_UP | HD_LEARN | HD_PROTECTED | HD_INWARD | HD_PEER | HD_TUNNEL | HD_MULTIPOINT | HD_SPLIT_HORIZON |           \
   HD_TOS_INHERIT | HD_TTL_INHERIT | HD_SECURE | HD_FLOOD_VLANS | HD_POLICED | HD_RESERVED | HD_SHAPED | HD_PATCH | \
   HD_TO_HOST | HD_ALL_KNOWN)

/* One number as the value of a hash map. The kernel may give an element to another key, or to the same key's next
 * value, while a program that found it still reads it. So the number stands in one word with a seal over key and
 * number, and programs read the word at once: with another key's word, or half of one, the seal does not fit
 * (sealed.h). */
typedef __u64 hd_sealed;

/* Keys have a multiple of four bytes. For one key, different numbers have different seals; a number with another key's
 * seal fits by chance in one of 2^32 cases, and for keys of four bytes never. */
static inline __u32 hd_seal(const void* key, unsigned size, __u32 number) {
  __u32 seal = number;
  for (unsigned at = 0; at < size; at += sizeof(__u32)) {
    __u32 word;
    __builtin_memcpy(&word, (const char*)key + at, sizeof word);
    seal = (seal ^ word) * 0x9e3779b1U; /* odd: no two seals become one */
    seal ^= seal >> 15;
  }
  return seal;
}

static inline hd_sealed hd_seal_number(const void* key, unsigned size, __u32 number) {
  return (hd_sealed)hd_seal(key, size, number) << 32 | number;
}

/* `ports`: by number. ifindex 0: nothing can leave by it. */
struct hd_port {
  __u32 ifindex; /* where frames leave */
  __u32 flags;
  __u32 mtu; /* bytes of IP packet; 0: not limited here */
  __u16 bridge;
  __u16 tag;
  __u8 mode;
  __u8 tos;
  __u8 ttl;
  __u8 reserved1;
  __u8 station[6]; /* HD_PEER: the address of the device at the far end */
  __u8 reserved2[2];
  __u32 vni;
  __u32 tunnel_flags; /* BPF_F_* of bpf_skb_set_tunnel_key() */
  __u32 remote;       /* point-to-point tunnel: number of its remote */
  __u32 mirrors_in;   /* slots of the bridge's mirrors that take what comes by this port, one bit each */
  __u32 mirrors_out;  /* and what leaves by it */
  __u32 reserved[16];
  __u64 vlans[64]; /* VLANs carried, one bit each */
};

/* `bridges`: by number. Looked at for ports with HD_FLOOD_VLANS alone. */
struct hd_bridge {
  __u64 flood_vlans[64]; /* one bit each */
  __u32 reserved[16];
};

/* `policers`: by port. A cost of 0: no limit. Times are in units of 1/64 ns of CLOCK_MONOTONIC: 9 years fit. */
struct hd_bucket {
  __u64 cost;  /* of a byte or a frame: time in HD_COST_SHIFT more bits */
  __u64 burst; /* time that the bucket holds */
  __u64 full;  /* when it will be full again: the theoretical arrival time of ITU-T I.371 */
};
struct hd_policer {
  struct hd_bucket bytes;
  struct hd_bucket frames;
  __u64 reserved[4];
};
#define HD_TIME_SHIFT 6
#define HD_COST_SHIFT 10

/* `mirrors`. An element never changes but for the counters; an element that was removed or replaced is not used again
 * while a program may read it (BridgePolicies). */
struct hd_mirror_key {
  __u16 bridge;
  __u16 slot;
};
struct hd_mirror {
  __u32 output; /* number of the port that gets copies; 0: all that carry `output_vlan` */
  __u32 output_vlan;
  __u64 packets; /* copies */
  __u64 bytes;
  __u32 reserved[8];
  __u64 vlans[64]; /* of frames that are copied, one bit each */
};

/* `devices`: ifindex -> port number (hd_sealed). */

/* Where frames go: port number, and for a tunnel the number of its remote << 16. */
typedef __u32 hd_target;

/* `remotes`: by number; 0 is none. */
struct hd_remote {
  __u8 addr[16];  /* IPv4 in the first four bytes */
  __u8 local[16]; /* outer source address; zeros: the route decides */
  __u32 mtu;      /* of the outer IP packet */
  __u8 v6;
  __u8 usable; /* there is a route */
  __u16 reserved1;
  __u32 reserved[6];
};

/* `vnis`: which forms of key `tunnels` has for this network (hd_sealed): bit 0 remote and local, 1 remote, 2 local,
 * 3 neither. */
struct hd_vni {
  __u32 device;
  __u32 vni; /* bit 24: IPv6 */
};

/* `tunnels` -> port number (hd_sealed). Zeros stand for any address. */
struct hd_tunnel {
  struct hd_vni net;
  __u8 remote[16];
  __u8 local[16];
};

/* `groups` -> number of the network's multipoint port (hd_sealed). */
struct hd_group {
  struct hd_vni net;
  __u8 group[16]; /* IPv4 in the first four bytes */
};

/* `senders`: which tunnels' packets may reach the host by a bridge's port. With a port's number: `addr` is a remote
 * that the host reaches by it, and zeros stand for any. With HD_UDP: `addr` begins with a tunnels' UDP port in network
 * order, and 0 there is any; the value has the bits below. With HD_HOST: `addr` is the host's. */
struct hd_sender {
  __u32 port;
  __u8 addr[16]; /* IPv4 in the first four bytes */
};
#define HD_UDP 0
#define HD_HOST 0xffffffffU
#define HD_SENDERS 65536
enum { HD_SERVES = 1 << 0, /* the port is tunnels' */ HD_ANY_SENDER = 1 << 1 /* and one of them takes any sender */ };

/* An FDB is a map in `fdbs`, by bridge. */
struct hd_station {
  __u8 mac[6];
  __u16 vlan;
} __attribute__((aligned(8)));
struct hd_entry {
  hd_sealed target; /* an hd_target */
  __u32 used;       /* CLOCK_MONOTONIC in units of 2^30 ns: when the station last sent from there */
  __u32 reserved;
};

/* `vlan_sets` -> number of a set (hd_sealed) in `flood_sets`. */
struct hd_vlan {
  __u16 bridge;
  __u16 vlan;
};
/* Sets never change; a change of membership makes a new set. */
struct hd_flood_key {
  __u32 set;
  __u32 chunk;
};
struct hd_flood {
  __u32 total; /* targets in all chunks of the set */
  __u32 reserved[3];
  hd_target target[HD_CHUNK];
};

/* `traffic`: by port, for each CPU. */
struct hd_traffic {
  __u64 rx_packets;
  __u64 rx_bytes;
  __u64 tx_packets;
  __u64 tx_bytes;
  __u64 reserved[4];
};

/* `drops`: by port. */
struct hd_drop_counts {
  __u64 count[HD_DROP_ROOM]; /* by drop reason */
};

/* `learning`: by port. The daemon counts `pending` down as it takes events. */
struct hd_learning {
  __s32 pending;
  __u32 reported; /* in this window */
  __u64 window;
  __u64 dropped;
  __u32 too_big; /* answers asked for in this second */
  __u32 too_big_second;
  __u32 reserved[8];
};
#define HD_LEARN_PENDING 256  /* events of one port that may wait */
#define HD_LEARN_WINDOW 13422 /* events of one port in 2^27 ns: 100,000 a second */
#define HD_TOO_BIG_RATE 100   /* answers of one port in 2^30 ns */

/* `events` */
enum { HD_EVENT_LEARN = 1, HD_EVENT_TOO_BIG = 2 };
struct hd_event {
  __u16 type;
  __u16 port;
};
struct hd_learn_event {
  struct hd_event head;
  __u16 bridge;
  __u8 from_remote; /* `remote` holds */
  __u8 v6;
  struct hd_station station;
  __u8 remote[16];
};
struct hd_tag {
  __u16 tpid; /* network order; 0: there is none */
  __u16 tci;
};
struct hd_too_big_event {
  struct hd_event head;
  __u32 room;          /* bytes of a frame that would fit, all tags but `tag` in it */
  __u32 frame_len;     /* of this one, without the tags below */
  struct hd_tag tag;   /* that it came with */
  struct hd_tag inner; /* a second one that the kernel keeps beside the frame now */
  __u32 head_len;
  __u8 frame[HD_FRAME_HEAD];
};

/* `names`: what the daemon needs to know its ports and bridges again; the programs do not read it. */
struct hd_name_key {
  __u16 number;
  __u16 is_bridge;
};
#define HD_NAME 256
struct hd_name {
  char name[HD_NAME];
  __u32 kind;        /* dp::PortKind */
  __u32 ifindex;     /* of the device whose ingress has the program */
  __u32 made_clsact; /* and whose clsact qdisc is the daemon's work */
  __u32 reserved[13];
};

#endif
