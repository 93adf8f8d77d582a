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
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#include "datapath/kernel/bpf/layout.h"
#include "datapath/kernel/bpf/maps.h"

#define PASS_ON (-1) /* TC_ACT_UNSPEC and TCX_NEXT: not ours, whoever comes next may have it */
#define FINE (-1)
#define VID_MASK 0x0fff
#define TAG_SIZE 4
#define TIME_SHIFT 30
#define LEARN_WINDOW_SHIFT 27
#define PACKET_TO_US 0 /* PACKET_HOST of linux/if_packet.h */

/* One frame on its way. */
struct walk {
  struct __sk_buff* skb;
  struct hd_port* in;
  __u8 source[16]; /* from_remote: the outer source address */
  __u32 in_no;
  hd_target held; /* flooding: the target that waits for the next one to be found; 0: none yet */
  __u32 set;      /* flooding */
  __u16 vlan;
  __u16 tci;     /* of the tag the frame has now */
  __u16 tpid;    /* network order; of that tag or of one to be added */
  __u16 arrived; /* the tag it came with, 0 when it had none */
  __u8 tagged;
  __u8 was_tagged;
  __u8 hops;        /* patch ports that it has passed */
  __u8 from_remote; /* it came through a multipoint tunnel */
  __u8 v6;
  __u8 dst[ETH_ALEN];
  __u8 src[ETH_ALEN];
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

static __noinline int drop(__u32 port, __u32 why) {
  struct hd_drop_counts* d = bpf_map_lookup_elem(&drops, &port);
  if (d && why < HD_DROPS) __sync_fetch_and_add(&d->count[why], 1);
  return TC_ACT_SHOT;
}

static __always_inline __u32 frames_in(const struct __sk_buff* skb) { return skb->gso_segs ? skb->gso_segs : 1; }

static __always_inline void count_rx(__u32 port, const struct __sk_buff* skb) {
  struct hd_traffic* t = bpf_map_lookup_elem(&traffic, &port);
  if (!t) return;
  t->rx_packets += frames_in(skb);
  t->rx_bytes += skb->len;
}

static __always_inline void count_tx(__u32 port, const struct __sk_buff* skb) {
  struct hd_traffic* t = bpf_map_lookup_elem(&traffic, &port);
  if (!t) return;
  t->tx_packets += frames_in(skb);
  t->tx_bytes += skb->len;
}

static __always_inline int carries(const struct hd_port* p, __u32 vlan) {
  return p->vlans[(vlan >> 6) & 63] >> (vlan & 63) & 1;
}

/* --- sources --- */

/* A port may have so many events waiting, and bring so many in a time: one port's new stations are not another's. */
static __always_inline int may_report(struct hd_learning* l) {
  __u64 window = bpf_ktime_get_coarse_ns() >> LEARN_WINDOW_SHIFT;
  if (l->window != window) {
    l->window = window;
    l->reported = 0;
  }
  return l->pending < HD_LEARN_PENDING && l->reported < HD_LEARN_WINDOW;
}

static __noinline int report(struct walk* w) {
  __u32 no = w->in_no;
  struct hd_learning* l = bpf_map_lookup_elem(&learning, &no);
  if (!l) return 0;
  struct hd_learn_event* e = may_report(l) ? bpf_ringbuf_reserve(&events, sizeof *e, 0) : NULL;
  if (!e) {
    __sync_fetch_and_add(&l->dropped, 1);
    return 0;
  }
  e->head.type = HD_EVENT_LEARN;
  e->head.port = no;
  e->bridge = w->in->bridge;
  e->from_remote = w->from_remote;
  e->v6 = w->v6;
  __builtin_memcpy(e->station.mac, w->src, ETH_ALEN);
  e->station.vlan = w->vlan;
  __builtin_memcpy(e->remote, w->source, sizeof e->remote);
  l->reported++;
  __sync_fetch_and_add(&l->pending, 1);
  bpf_ringbuf_submit(e, 0);
  return 0;
}

/* An entry is right when it leads to where the frame came from; for a multipoint tunnel to the very remote. */
static __always_inline int leads_back(const struct walk* w, const struct hd_entry* entry) {
  __u32 remote = entry->target >> 16;
  if ((entry->target & 0xffff) != w->in_no) return 0;
  if (!w->from_remote) return 1;
  struct hd_remote* r = bpf_map_lookup_elem(&remotes, &remote);
  return r && same_address(r->addr, w->source);
}

static __always_inline void look_at_source(struct walk* w, void* table) {
  struct hd_station key;
  __builtin_memcpy(key.mac, w->src, ETH_ALEN);
  key.vlan = w->vlan;
  /* The kernel may use an element again at once for another station: then one event too many, nothing worse. So at the
   * destination look-up, where blocked() still holds the frame to its VLAN. */
  struct hd_entry* entry = bpf_map_lookup_elem(table, &key);
  if (!entry || !leads_back(w, entry)) {
    report(w);
    return;
  }
  __u32 now = bpf_ktime_get_coarse_ns() >> TIME_SHIFT;
  if (entry->used != now) entry->used = now;
}

/* --- output --- */

/* Why the frame must not go there, or FINE. A multipoint port without split horizon is a hub: it may send to any remote
 * but the one the frame came from. */
static __noinline int blocked(struct walk* w, hd_target target) {
  __u32 no = target & 0xffff;
  __u32 remote = target >> 16;
  struct hd_port* in = w->in;
  struct hd_port* out = port_at(no);
  if (!out || out->bridge != in->bridge) return HD_DROP_no_destination;
  if (no == w->in_no) {
    if (!(out->flags & HD_MULTIPOINT)) return HD_DROP_same_port;
    if (out->flags & HD_SPLIT_HORIZON) return HD_DROP_split_horizon;
    struct hd_remote* r = bpf_map_lookup_elem(&remotes, &remote);
    if (r && same_address(r->addr, w->source)) return HD_DROP_same_port;
  }
  if ((out->flags & HD_TUNNEL) && (in->flags & HD_TUNNEL) && (out->flags & HD_SPLIT_HORIZON))
    return HD_DROP_split_horizon;
  if (out->flags & in->flags & HD_PROTECTED) return HD_DROP_protected_port;
  if (!carries(out, w->vlan)) return HD_DROP_egress_vlan;
  if (!(out->flags & HD_UP)) return HD_DROP_port_down;
  return FINE;
}

/* Gives the frame the tag it leaves with, or takes it off. */
static __always_inline int set_tag(struct walk* w, const struct hd_port* out) {
  int untagged = out->mode == HD_ACCESS || w->vlan == 0 || (out->mode == HD_NATIVE_UNTAGGED && w->vlan == out->tag);
  __u16 tci = (w->arrived & ~VID_MASK) | w->vlan;
  if (untagged ? !w->tagged : w->tagged && w->tci == tci) return 0;
  if (w->tagged && bpf_skb_vlan_pop(w->skb)) return -1;
  w->tagged = 0;
  if (untagged) return 0;
  if (bpf_skb_vlan_push(w->skb, w->tpid, tci)) return -1;
  w->tagged = 1;
  w->tci = tci;
  return 0;
}

#include "datapath/kernel/bpf/tunnel_out.h"

/* Sends the frame, or a copy of it; returns the program's verdict. */
static __noinline int deliver(struct walk* w, hd_target target, int copy) {
  struct __sk_buff* skb = w->skb;
  __u32 no = target & 0xffff;
  struct hd_port* out = port_at(no);
  if (!out) return TC_ACT_SHOT;
  if (out->flags & HD_PATCH) skb->tc_index = w->hops + 1;
  if (set_tag(w, out)) return drop(no, HD_DROP_no_frame);
  if (out->flags & HD_TUNNEL) {
    if (to_tunnel(w, target)) return TC_ACT_SHOT;
  } else if (out->mtu && !skb->gso_size && skb->len > out->mtu + ETH_HLEN) {
    return drop(no, HD_DROP_oversize); /* as the kernel's bridge: one tag does not count */
  }
  __u64 flags = out->flags & HD_INWARD ? BPF_F_INGRESS : 0;
  if (copy) {
    long err = bpf_clone_redirect(skb, out->ifindex, flags);
    if (err < 0 || (err && !(out->flags & HD_SHAPED))) return drop(no, HD_DROP_tx_error);
    count_tx(no, skb);
    return TC_ACT_SHOT;
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
static long flood_one(__u32 i, struct walk* w) {
  struct hd_flood_key key = {w->set, i / HD_CHUNK};
  struct hd_flood* chunk = bpf_map_lookup_elem(&flood_sets, &key);
  if (!chunk || i >= chunk->total) return 1;
  hd_target target = chunk->target[i % HD_CHUNK];
  if (blocked(w, target) != FINE) return 0;
  if (w->held) deliver(w, w->held, 1);
  w->held = target;
  return 0;
}

static __noinline int flood(struct walk* w) {
  struct hd_vlan key = {w->in->bridge, w->vlan};
  __u32* set = bpf_map_lookup_elem(&vlan_sets, &key);
  if (!set) {
    key.vlan = HD_ALL_VLANS;
    set = bpf_map_lookup_elem(&vlan_sets, &key);
  }
  if (set) {
    w->set = *set;
    bpf_loop(HD_TARGETS, flood_one, w, 0);
  }
  if (!w->held) return drop(w->in_no, HD_DROP_no_destination);
  return deliver(w, w->held, 0);
}

/* --- the walk --- */

/* IEEE 802.1Q 8.6.2 ingress rules; a tag with VLAN 0 carries a priority only. */
static __always_inline int admit(struct walk* w) {
  struct hd_port* in = w->in;
  __u16 vid = w->tagged ? w->tci & VID_MASK : 0;
  if (vid && in->mode == HD_ACCESS) return HD_DROP_vlan_tagged_on_access;
  w->vlan = vid || in->mode == HD_TRUNK ? vid : in->tag & VID_MASK;
  return carries(in, w->vlan) ? FINE : HD_DROP_vlan_not_member;
}

/* Reads addresses and tag. A tag that is still in the frame is put where the kernel keeps tags. */
static __always_inline int read_l2(struct walk* w) {
  struct __sk_buff* skb = w->skb;
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

/* IEEE 802.1D table 7-10: addresses that a bridge never forwards (spanning tree, pause, LLDP, ...). */
static __always_inline int is_reserved(const __u8* m) {
  return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && (m[5] & 0xf0) == 0;
}

static __always_inline int is_zero(const __u8* m) { return !(m[0] | m[1] | m[2] | m[3] | m[4] | m[5]); }

static __noinline int forward(struct walk* w, hd_target target) {
  __u32 no = target & 0xffff;
  struct hd_port* out = port_at(no);
  if (!out || out->bridge != w->in->bridge) return flood(w);
  int why = blocked(w, target);
  if (why == FINE) return deliver(w, target, 0);
  return drop(why == HD_DROP_egress_vlan || why == HD_DROP_port_down ? no : w->in_no, why);
}

static __always_inline int bridge(struct walk* w) {
  struct hd_port* in = w->in;
  int why = read_l2(w);
  if (why != FINE) return drop(w->in_no, why);
  __u32 number = in->bridge;
  void* table = bpf_map_lookup_elem(&fdbs, &number);
  if (!table) return drop(w->in_no, HD_DROP_no_bridge);
  if (w->src[0] & 1) return drop(w->in_no, HD_DROP_source_multicast);
  if (is_reserved(w->dst)) return drop(w->in_no, HD_DROP_reserved_multicast);
  why = admit(w);
  if (why != FINE) return drop(w->in_no, why);
  if ((in->flags & HD_LEARN) && !is_zero(w->src)) look_at_source(w, table);
  if (w->dst[0] & 1) return flood(w);
  struct hd_station key;
  __builtin_memcpy(key.mac, w->dst, ETH_ALEN);
  key.vlan = w->vlan;
  struct hd_entry* entry = bpf_map_lookup_elem(table, &key);
  return entry ? forward(w, entry->target) : flood(w);
}

/* At the ingress of a port's device. */
SEC("tc")
int port_ingress(struct __sk_buff* skb) {
  __u32 device = skb->ifindex;
  __u32* no = bpf_map_lookup_elem(&devices, &device);
  if (!no) return PASS_ON;
  struct walk w = {.skb = skb, .in_no = *no};
  w.in = port_at(w.in_no);
  if (!w.in) return PASS_ON;
  count_rx(w.in_no, skb);
  if (w.in->flags & HD_PATCH) {
    if (skb->tc_index > HD_PATCH_HOPS) return drop(w.in_no, HD_DROP_patch_loop);
    w.hops = skb->tc_index;
  }
  return bridge(&w);
}

/* RFC 7348 with several tunnel ports of one network: the one that names the packet's remote comes before the one that
 * takes any, and so with the local address. */
static __always_inline __u32 tunnel_for(struct hd_tunnel* key) {
  __u8 local[16];
  __u32* forms = bpf_map_lookup_elem(&vnis, &key->net);
  __u32* no;
  if (!forms) return 0;
  __builtin_memcpy(local, key->local, sizeof local);
  if ((*forms & 1) && (no = bpf_map_lookup_elem(&tunnels, key))) return *no;
  __builtin_memset(key->local, 0, sizeof key->local);
  if ((*forms & 2) && (no = bpf_map_lookup_elem(&tunnels, key))) return *no;
  __builtin_memset(key->remote, 0, sizeof key->remote);
  __builtin_memcpy(key->local, local, sizeof local);
  if ((*forms & 4) && (no = bpf_map_lookup_elem(&tunnels, key))) return *no;
  __builtin_memset(key->local, 0, sizeof key->local);
  if ((*forms & 8) && (no = bpf_map_lookup_elem(&tunnels, key))) return *no;
  return 0;
}

static __noinline int stray(__u32 device, __u32 why) {
  struct hd_drop_counts* d = bpf_map_lookup_elem(&strays, &device);
  if (d && why < HD_DROPS) __sync_fetch_and_add(&d->count[why], 1);
  return TC_ACT_SHOT;
}

/* At the ingress of a vxlan device: the kernel has taken the outer headers off and checked them. */
SEC("tc")
int tunnel_ingress(struct __sk_buff* skb) {
  struct walk w = {.skb = skb};
  struct bpf_tunnel_key outer = {};
  struct hd_tunnel key = {};
  __u32 device = skb->ifindex;
  if (!bpf_skb_get_tunnel_key(skb, &outer, sizeof outer, 0)) {
    __u32 remote = bpf_htonl(outer.remote_ipv4);
    __u32 local = bpf_htonl(outer.local_ipv4);
    __builtin_memcpy(key.remote, &remote, 4);
    __builtin_memcpy(key.local, &local, 4);
  } else if (!bpf_skb_get_tunnel_key(skb, &outer, sizeof outer, BPF_F_TUNINFO_IPV6)) {
    w.v6 = 1;
    __builtin_memcpy(key.remote, outer.remote_ipv6, 16);
    __builtin_memcpy(key.local, outer.local_ipv6, 16);
  } else {
    return stray(device, HD_DROP_bad_vxlan);
  }
  __builtin_memcpy(w.source, key.remote, 16);
  key.net.device = device;
  key.net.vni = outer.tunnel_id | (__u32)w.v6 << 24;
  w.in_no = tunnel_for(&key);
  w.in = w.in_no ? port_at(w.in_no) : NULL;
  if (!w.in) return stray(device, HD_DROP_unknown_vni);
  w.from_remote = (w.in->flags & HD_MULTIPOINT) != 0;
  count_rx(w.in_no, skb);
  return bridge(&w);
}

char _license[] SEC("license") = "GPL";
