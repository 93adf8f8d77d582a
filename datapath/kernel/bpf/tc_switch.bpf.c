/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The kernel datapath's packet path: one TC program at the ingress of every port's device and one at that of every
 * vxlan device. The walk is docs/packet-walk.md's: VLAN admission, source look-up, destination look-up, output; it is
 * the same as datapath/user/forwarder.cc's, and the conformance suite holds both to it.
 *
 * Frames stay as they are (GSO, checksum state); only the VLAN tag beside the frame changes. The programs read what the
 * daemon wrote and keep no state but counters and the time a station was last seen. */
/* linux/bpf.h comes before libbpf's headers. */
/* clang-format off */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#include "datapath/kernel/bpf/layout.h"
#include "datapath/kernel/bpf/maps.h"
#include "datapath/kernel/bpf/sealed.h"

#define PASS_ON (-1) /* TC_ACT_UNSPEC and TCX_NEXT: not ours, whoever comes next may have it */
#define FINE (-1)
#define VID_MASK 0x0fff
#define TAG_SIZE 4
#define TIME_SHIFT 30
#define LEARN_WINDOW_SHIFT 27
#define PACKET_TO_US 0 /* PACKET_HOST of linux/if_packet.h */

/* One frame on its way. Numbers alone and no gaps: so the kernel verifies functions that take it, and are not static,
 * by themselves and once. From every place where they are called, with loops in loops, would be too much for it. */
struct walk {
  __u32 in_no;
  __u32 in_flags;  /* of the port it came by */
  __u8 source[16]; /* from_remote: the outer source address */
  __u32 blame;     /* the port at which a drop counts */
  hd_target held;  /* where the frame itself goes; flooding: so far; 0: not known yet */
  __u32 set;       /* flooding */
  __u32 mirrors;   /* slots that want a copy, one bit each */
  __u32 copies;    /* made for the mirror that is served */
  __u16 bridge;
  __u16 vlan;
  __u16 tci;     /* of the tag the frame has now */
  __u16 tpid;    /* network order; of that tag or of one to be added */
  __u16 arrived; /* the tag it came with, 0 when it had none */
  __u8 tagged;
  __u8 was_tagged;
  __u8 dst[ETH_ALEN];
  __u8 src[ETH_ALEN];
  __u8 from_remote; /* it came through a multipoint tunnel */
  __u8 v6;
  __u8 mirroring; /* what leaves is a copy for a mirror */
  __u8 hops;      /* patch ports that it has passed */
};
_Static_assert(sizeof(struct walk) == 72, "a gap");

/* For the functions that are called for each of many. */
struct pass {
  struct __sk_buff* skb;
  struct walk* w;
};

static __always_inline struct hd_port* port_at(__u32 no) { return bpf_map_lookup_elem(&ports, &no); }

static __always_inline int same_address(const __u8* a, const __u8* b) {
  const __u32* x = (const __u32*)a;
  const __u32* y = (const __u32*)b;
  return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

static __always_inline int same_mac(const __u8* a, const __u8* b) {
  return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

static __noinline int drop_frames(__u32 port, __u32 why, __u32 frames) {
  struct hd_drop_counts* d = bpf_map_lookup_elem(&drops, &port);
  if (d && why < HD_DROP_ROOM) __sync_fetch_and_add(&d->count[why], frames);
  return TC_ACT_SHOT;
}

static __always_inline int drop(__u32 port, __u32 why) { return drop_frames(port, why, 1); }

static __always_inline int carries(const struct hd_port* p, __u32 vlan) {
  return p->vlans[(vlan >> 6) & 63] >> (vlan & 63) & 1;
}

#include "datapath/kernel/bpf/on_wire.h"

static __always_inline void count_rx(__u32 port, struct __sk_buff* skb) {
  struct hd_traffic* t = bpf_map_lookup_elem(&traffic, &port);
  if (!t) return;
  __u64 wire = on_wire(skb);
  t->rx_packets += frames_of(wire);
  t->rx_bytes += bytes_of(wire);
}

static __always_inline void count_tx(__u32 port, struct __sk_buff* skb) {
  struct hd_traffic* t = bpf_map_lookup_elem(&traffic, &port);
  if (!t) return;
  __u64 wire = on_wire(skb);
  t->tx_packets += frames_of(wire);
  t->tx_bytes += bytes_of(wire);
}

/* A packet that the kernel will cut counts as the frames that it will be. */
static __always_inline int drop_all(struct __sk_buff* skb, __u32 port, __u32 why) {
  return drop_frames(port, why, frames_of(on_wire(skb)));
}

#include "datapath/kernel/bpf/learn.h"

/* --- output --- */

/* Why the frame must not go there; or FINE, and its mirrors take it. A multipoint port without split horizon is a hub:
 * it may send to any remote but the one the frame came from. */
__noinline int blocked(struct walk* w, hd_target target) {
  __u32 no = target & 0xffff;
  __u32 remote = target >> 16;
  struct hd_port* out = port_at(no);
  if (!w || !out || out->bridge != w->bridge) return HD_DROP_no_destination;
  if (no == w->in_no) {
    if (!(out->flags & HD_MULTIPOINT)) return HD_DROP_same_port;
    if (out->flags & HD_SPLIT_HORIZON) return HD_DROP_split_horizon;
    struct hd_remote* r = bpf_map_lookup_elem(&remotes, &remote);
    if (r && same_address(r->addr, w->source)) return HD_DROP_same_port;
  }
  if ((out->flags & w->in_flags & HD_TUNNEL) && (out->flags & HD_SPLIT_HORIZON)) return HD_DROP_split_horizon;
  if (out->flags & w->in_flags & HD_PROTECTED) return HD_DROP_protected_port;
  if (!carries(out, w->vlan)) return HD_DROP_egress_vlan;
  if ((out->flags & (HD_UP | HD_RESERVED)) != HD_UP) return HD_DROP_port_down;
  if ((w->in_flags & HD_ALL_KNOWN) && (out->flags & HD_TUNNEL) && w->set && !(w->dst[0] & 1))
    return HD_DROP_no_destination;
  w->mirrors |= out->mirrors_out;
  return FINE;
}

/* Gives the frame the tag it leaves with, or takes it off. */
static __always_inline int set_tag(struct __sk_buff* skb, struct walk* w, const struct hd_port* out) {
  int untagged = out->mode == HD_ACCESS || w->vlan == 0 || (out->mode == HD_NATIVE_UNTAGGED && w->vlan == out->tag);
  __u16 tci = (w->arrived & ~VID_MASK) | w->vlan;
  if (untagged ? !w->tagged : w->tagged && w->tci == tci) return 0;
  if (w->tagged && bpf_skb_vlan_pop(skb)) return -1;
  w->tagged = 0;
  if (untagged) return 0;
  if (bpf_skb_vlan_push(skb, w->tpid, tci)) return -1;
  w->tagged = 1;
  w->tci = tci;
  return 0;
}

#include "datapath/kernel/bpf/to_host.h"
#include "datapath/kernel/bpf/tunnel_out.h"

/* Sends the frame, or a copy of it; returns the program's verdict. Of a copy: TC_ACT_OK when it has left. */
__noinline int deliver(struct __sk_buff* skb, struct walk* w, hd_target target, int copy) {
  __u32 no = target & 0xffff;
  struct hd_port* out = port_at(no);
  if (!w || !out) return TC_ACT_SHOT;
  if (out->flags & HD_PATCH) skb->tc_index = w->hops + 1;
  /* The tunnel's UDP source port is made of the flow's hash. Now the kernel can still compute it: a tag of set_tag() is
   * put before the network header on the way into the vxlan device, and the kernel does not look behind it there. */
  if (out->flags & HD_TUNNEL) bpf_get_hash_recalc(skb);
  if (set_tag(skb, w, out)) return drop_all(skb, no, HD_DROP_no_frame);
  if (out->flags & HD_TUNNEL) {
    if (to_tunnel(skb, w, target)) return TC_ACT_SHOT;
  } else if ((out->flags & HD_TO_HOST) && injects(skb, no, out->ifindex)) {
    return drop_all(skb, w->in_no, HD_DROP_wrong_ingress);
  } else if (out->mtu && !skb->gso_size && skb->len > out->mtu + ETH_HLEN + TAG_SIZE) {
    return drop(no, HD_DROP_oversize); /* as the kernel's bridge: a tag beside the frame and one in it do not count */
  }
  __u64 flags = out->flags & HD_INWARD ? BPF_F_INGRESS : 0;
  if (copy) {
    long err = bpf_clone_redirect(skb, out->ifindex, flags);
    if (err < 0 || (err && !(out->flags & HD_SHAPED))) return drop_all(skb, no, HD_DROP_tx_error);
    count_tx(no, skb);
    return TC_ACT_OK;
  }
  count_tx(no, skb); /* what becomes of it after the program has ended is the device's to count */
  /* Straight into the guest's receive path, where nobody looks whom the frame is for: only what is the guest's own. */
  if ((out->flags & HD_PEER) && same_mac(w->dst, out->station)) {
    skb->mark = 0;
    if (skb->pkt_type == PACKET_TO_US || !bpf_skb_change_type(skb, PACKET_TO_US))
      return bpf_redirect_peer(out->ifindex, 0);
  }
  return bpf_redirect(out->ifindex, flags);
}

/* --- flooding --- */

/* The last target gets the frame itself, the others copies: each waits until the next is known. */
static long flood_one(__u32 i, struct pass* p) {
  struct walk* w = p->w;
  struct hd_flood_key key = {w->set, i / HD_CHUNK};
  struct hd_flood* chunk = bpf_map_lookup_elem(&flood_sets, &key);
  if (!chunk || i >= chunk->total) return 1;
  hd_target target = chunk->target[i % HD_CHUNK];
  if (blocked(w, target) != FINE) return 0;
  if (w->held) deliver(p->skb, w, w->held, 1);
  w->held = target;
  return 0;
}

/* 0: there is none. */
static __always_inline __u32 flood_set_of(const struct walk* w) {
  struct hd_vlan key = {w->bridge, w->vlan};
  __u32 set = number_of(&vlan_sets, &key, sizeof key);
  if (set) return set;
  key.vlan = HD_ALL_VLANS;
  return number_of(&vlan_sets, &key, sizeof key);
}

__noinline int flood(struct __sk_buff* skb, struct walk* w) {
  if (!w) return HD_DROP_no_destination;
  struct pass p = {skb, w};
  w->set = flood_set_of(w);
  if (w->set) bpf_loop(HD_TARGETS, flood_one, &p, 0);
  return w->held ? FINE : HD_DROP_no_destination;
}

/* IEEE 802.1D table 7-10: addresses that a bridge never forwards (spanning tree, pause, LLDP, ...). */
static __always_inline int is_reserved(const __u8* m) {
  return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && (m[5] & 0xf0) == 0;
}

#include "datapath/kernel/bpf/mirror.h"
#include "datapath/kernel/bpf/policer.h"

/* --- the walk --- */

/* IEEE 802.1Q 8.6.2 ingress rules; a tag with VLAN 0 carries a priority only. */
static __always_inline int admit(struct walk* w, const struct hd_port* in) {
  __u16 vid = w->tagged ? w->tci & VID_MASK : 0;
  if (vid && in->mode == HD_ACCESS) return HD_DROP_vlan_tagged_on_access;
  w->vlan = vid || in->mode == HD_TRUNK ? vid : in->tag & VID_MASK;
  return carries(in, w->vlan) ? FINE : HD_DROP_vlan_not_member;
}

/* Reads addresses and tag. A tag that is still in the frame is put where the kernel keeps tags. */
static __always_inline int read_l2(struct __sk_buff* skb, struct walk* w) {
  struct {
    __u8 addresses[2 * ETH_ALEN];
    __u16 type;
    __u16 tci;
  } head = {};
  if (bpf_skb_load_bytes(skb, 0, &head, ETH_HLEN)) return HD_DROP_truncated;
  __builtin_memcpy(w->dst, head.addresses, ETH_ALEN);
  __builtin_memcpy(w->src, head.addresses + ETH_ALEN, ETH_ALEN);
  w->tpid = bpf_htons(ETH_P_8021Q);
  if (skb->vlan_present) {
    w->tagged = 1;
    w->tci = skb->vlan_tci;
    w->tpid = skb->vlan_proto;
  } else if (is_tag(head.type)) {
    if (bpf_skb_load_bytes(skb, 0, &head, sizeof head)) return HD_DROP_truncated;
    w->tagged = 1;
    w->tci = bpf_ntohs(head.tci);
    w->tpid = head.type;
    if (bpf_skb_vlan_pop(skb) || bpf_skb_vlan_push(skb, w->tpid, w->tci)) return HD_DROP_truncated;
  }
  w->was_tagged = w->tagged;
  w->arrived = w->tci;
  return FINE;
}

static __always_inline int is_zero(const __u8* m) { return !(m[0] | m[1] | m[2] | m[3] | m[4] | m[5]); }

static __noinline int forward(struct __sk_buff* skb, struct walk* w, hd_target target) {
  __u32 no = target & 0xffff;
  struct hd_port* out = port_at(no);
  if (!out || out->bridge != w->bridge || (out->flags & HD_RESERVED)) return flood(skb, w);
  int why = blocked(w, target);
  if (why == FINE) w->held = target;
  if (why == HD_DROP_egress_vlan || why == HD_DROP_port_down) w->blame = no;
  return why;
}

static __always_inline int in_flood_vlan(const struct walk* w) {
  __u32 number = w->bridge;
  struct hd_bridge* b = bpf_map_lookup_elem(&bridges, &number);
  return b && (b->flood_vlans[(w->vlan >> 6) & 63] >> (w->vlan & 63) & 1);
}

/* Where an admitted frame goes: in `held`, when FINE. */
static __always_inline int route(struct __sk_buff* skb, struct walk* w, void* table) {
  if (is_reserved(w->dst)) return HD_DROP_reserved_multicast;
  if (w->in_flags & (HD_SECURE | HD_FLOOD_VLANS)) {
    if (w->in_flags & HD_SECURE) return HD_DROP_fail_secure;
    if (in_flood_vlan(w)) {
      w->in_flags &= ~HD_ALL_KNOWN;
      return flood(skb, w);
    }
  }
  if ((w->in_flags & HD_LEARN) && !is_zero(w->src)) look_at_source(w, table);
  if (w->dst[0] & 1) return flood(skb, w);
  struct hd_station key;
  __builtin_memcpy(key.mac, w->dst, ETH_ALEN);
  key.vlan = w->vlan;
  hd_target target = number_of(table, &key, sizeof key);
  return target ? forward(skb, w, target) : flood(skb, w);
}

static __always_inline int bridge(struct __sk_buff* skb, struct walk* w, const struct hd_port* in) {
  w->bridge = in->bridge;
  barrier(); /* a port's bridge is written last: see write_conf() */
  w->in_flags = in->flags;
  count_rx(w->in_no, skb);
  if (w->in_flags & (HD_RESERVED | HD_POLICED | HD_PATCH)) {
    if (w->in_flags & HD_RESERVED) return drop_all(skb, w->in_no, HD_DROP_mirror_port);
    if (w->in_flags & HD_PATCH) {
      if (skb->tc_index > HD_PATCH_HOPS) return drop_all(skb, w->in_no, HD_DROP_patch_loop);
      w->hops = skb->tc_index;
    }
    if ((w->in_flags & HD_POLICED) && police(skb, w->in_no) != FINE) return TC_ACT_SHOT;
  }
  int why = read_l2(skb, w);
  if (why != FINE) return drop_all(skb, w->in_no, why);
  __u32 number = w->bridge;
  void* table = bpf_map_lookup_elem(&fdbs, &number);
  if (!table) return drop_all(skb, w->in_no, HD_DROP_no_bridge);
  if (w->src[0] & 1) return drop_all(skb, w->in_no, HD_DROP_source_multicast);
  why = admit(w, in); /* a mirror takes also what is not for us to forward */
  if (why != FINE) return drop_all(skb, w->in_no, is_reserved(w->dst) ? HD_DROP_reserved_multicast : why);
  w->blame = w->in_no;
  w->mirrors = in->mirrors_in;
  why = route(skb, w, table);
  if (w->mirrors) mirror(skb, w);
  return why == FINE ? deliver(skb, w, w->held, 0) : drop_all(skb, w->blame, why);
}

/* At the ingress of a port's device. */
SEC("tc")
int port_ingress(struct __sk_buff* skb) {
  __u32 device = skb->ifindex;
  void* element = NULL;
  struct walk w = {.in_no = look_up(&devices, &device, sizeof device, &element)};
  if (!w.in_no) return element ? TC_ACT_SHOT : PASS_ON; /* a port's frame does not go to the host */
  struct hd_port* in = port_at(w.in_no);
  return in ? bridge(skb, &w, in) : PASS_ON;
}

/* RFC 7348 with several tunnel ports of one network: the one that names the packet's remote comes before the one that
 * takes any, and so with the local address. */
static __always_inline __u32 tunnel_for(struct hd_tunnel* key) {
  __u8 local[16];
  __u32 forms = number_of(&vnis, &key->net, sizeof key->net);
  __u32 no;
  if (!forms) return 0;
  __builtin_memcpy(local, key->local, sizeof local);
  if ((forms & 1) && (no = number_of(&tunnels, key, sizeof *key))) return no;
  __builtin_memset(key->local, 0, sizeof key->local);
  if ((forms & 2) && (no = number_of(&tunnels, key, sizeof *key))) return no;
  __builtin_memset(key->remote, 0, sizeof key->remote);
  __builtin_memcpy(key->local, local, sizeof local);
  if ((forms & 4) && (no = number_of(&tunnels, key, sizeof *key))) return no;
  __builtin_memset(key->local, 0, sizeof key->local);
  if ((forms & 8) && (no = number_of(&tunnels, key, sizeof *key))) return no;
  return 0;
}

/* A packet to a multicast group is for the network's multipoint port alone. */
static __always_inline int is_group(const struct hd_tunnel* key) {
  return key->net.vni >> 24 ? key->local[0] == 0xff : (key->local[0] & 0xf0) == 0xe0;
}

static __always_inline int group_port(const struct hd_tunnel* key, struct walk* w) {
  struct hd_group group = {.net = key->net};
  __builtin_memcpy(group.group, key->local, sizeof group.group);
  w->in_no = number_of(&groups, &group, sizeof group);
  if (w->in_no) return FINE;
  return number_of(&vnis, &key->net, sizeof key->net) & (4 | 8) ? HD_DROP_wrong_group : HD_DROP_unknown_vni;
}

static __noinline int stray(__u32 device, __u32 why) {
  struct hd_drop_counts* d = bpf_map_lookup_elem(&strays, &device);
  if (d && why < HD_DROP_ROOM) __sync_fetch_and_add(&d->count[why], 1);
  return TC_ACT_SHOT;
}

/* Which tunnel port a packet belongs to, in `in_no`, and what is known of its outer headers. A function of its own: its
 * stack is free again before frames are sent, where calls are deepest (the kernel allows 512 bytes in all). */
static __noinline int read_outer(struct __sk_buff* skb, struct walk* w) {
  struct bpf_tunnel_key outer = {};
  struct hd_tunnel key = {};
  if (!bpf_skb_get_tunnel_key(skb, &outer, sizeof outer, 0)) {
    __u32 remote = bpf_htonl(outer.remote_ipv4);
    __u32 local = bpf_htonl(outer.local_ipv4);
    __builtin_memcpy(key.remote, &remote, 4);
    __builtin_memcpy(key.local, &local, 4);
  } else if (!bpf_skb_get_tunnel_key(skb, &outer, sizeof outer, BPF_F_TUNINFO_IPV6)) {
    w->v6 = 1;
    __builtin_memcpy(key.remote, outer.remote_ipv6, 16);
    __builtin_memcpy(key.local, outer.local_ipv6, 16);
  } else {
    return HD_DROP_bad_vxlan;
  }
  __builtin_memcpy(w->source, key.remote, 16);
  key.net.device = skb->ifindex;
  key.net.vni = outer.tunnel_id | (__u32)w->v6 << 24;
  if (is_group(&key)) return group_port(&key, w);
  w->in_no = tunnel_for(&key);
  return w->in_no ? FINE : HD_DROP_unknown_vni;
}

/* At the ingress of a vxlan device: the kernel has taken the outer headers off and checked them. */
SEC("tc")
int tunnel_ingress(struct __sk_buff* skb) {
  struct walk w = {};
  __u32 device = skb->ifindex;
  int why = read_outer(skb, &w);
  if (why != FINE) return stray(device, why);
  struct hd_port* in = port_at(w.in_no);
  if (!in) return stray(device, HD_DROP_unknown_vni);
  w.from_remote = (in->flags & HD_MULTIPOINT) != 0;
  return bridge(skb, &w, in);
}

char _license[] SEC("license") = "GPL";
