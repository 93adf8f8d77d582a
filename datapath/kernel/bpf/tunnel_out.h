/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A frame's way into a tunnel: whether it fits, the answer to a guest whose packet does not, and the tunnel's fields
 * beside the frame. A part of tc_switch.bpf.c, which includes it where struct walk, drop_all() and the maps are known.
 */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_TUNNEL_OUT_H
#define HEDDLE_DATAPATH_KERNEL_BPF_TUNNEL_OUT_H

/* The guest is told the largest packet that fits; the daemon writes the answer. */
static __noinline int report_too_big(struct __sk_buff* skb, const struct walk* w, __u32 room) {
  __u32 no = w->in_no;
  struct hd_learning* l = bpf_map_lookup_elem(&learning, &no);
  if (!l || (w->in_flags & HD_TUNNEL)) return 0;
  __u32 second = bpf_ktime_get_coarse_ns() >> TIME_SHIFT;
  if (l->too_big_second != second) {
    l->too_big_second = second;
    l->too_big = 0;
  }
  if (l->too_big >= HD_TOO_BIG_RATE) return 0;
  struct hd_too_big_event* e = bpf_ringbuf_reserve(&events, sizeof *e, 0);
  if (!e) return 0;
  l->too_big++;
  e->head.type = HD_EVENT_TOO_BIG;
  e->head.port = no;
  e->room = room;
  e->frame_len = skb->len; /* of a GSO packet too: its IP header has the length of the whole */
  e->tag.tpid = w->was_tagged ? w->tpid : 0;
  e->tag.tci = w->arrived;
  e->inner.tpid = skb->vlan_present && !w->tagged ? skb->vlan_proto : 0;
  e->inner.tci = skb->vlan_tci;
  __u32 head = skb->len;
  if (head > sizeof e->frame) head = sizeof e->frame;
  if (head < ETH_HLEN || bpf_skb_load_bytes(skb, 0, e->frame, head)) head = 0;
  e->head_len = head;
  bpf_ringbuf_submit(e, 0);
  return 0;
}

static __always_inline void inherit(struct __sk_buff* skb, const struct hd_port* out, struct bpf_tunnel_key* key) {
  __u8 head[9] = {};
  if (!(out->flags & (HD_TOS_INHERIT | HD_TTL_INHERIT))) return;
  __u16 type = 0;
  __u32 at = network_header(skb, &type);
  int v4 = type == bpf_htons(ETH_P_IP);
  if (!v4 && type != bpf_htons(ETH_P_IPV6)) return;
  if (bpf_skb_load_bytes(skb, at, head, sizeof head)) return;
  /* The congestion bits are the kernel's affair (RFC 6040). */
  if (out->flags & HD_TOS_INHERIT) key->tunnel_tos = (v4 ? head[1] : head[0] << 4 | head[1] >> 4) & 0xfc;
  if (out->flags & HD_TTL_INHERIT) key->tunnel_ttl = v4 ? head[8] : head[7];
}

static __noinline int to_tunnel(struct __sk_buff* skb, const struct walk* w, hd_target target) {
  __u32 no = target & 0xffff;
  __u32 number = target >> 16;
  struct hd_port* out = port_at(no);
  struct hd_remote* r = bpf_map_lookup_elem(&remotes, &number);
  if (!out) return -1;
  if (!r || !r->usable) {
    drop_all(skb, no, HD_DROP_no_route);
    return -1;
  }
  __u32 beside = skb->vlan_present ? TAG_SIZE : 0; /* ours or, when that is off, a second one */
  __u32 outer = (r->v6 ? 40 : 20) + 8 + 8;
  __u32 limit = r->mtu > outer + beside ? r->mtu - outer - beside : 0;
  /* The kernel makes fragments of what its vxlan device sends over IPv4 alone (ip6_fragment() wants skb->ignore_df). */
  int must_fit = r->v6 || (out->tunnel_flags & BPF_F_DONT_FRAGMENT);
  if (must_fit && skb->len > limit && (!skb->gso_size || segment_length(skb) > limit)) {
    if (!w->mirroring) report_too_big(skb, w, w->tagged ? limit : limit + beside);
    drop_all(skb, no, HD_DROP_tunnel_mtu);
    return -1;
  }
  struct bpf_tunnel_key key = {};
  key.tunnel_id = out->vni;
  key.tunnel_tos = out->tos;
  key.tunnel_ttl = out->ttl;
  __u64 flags = out->tunnel_flags;
  if (r->v6) {
    flags |= BPF_F_TUNINFO_IPV6;
    __builtin_memcpy(key.remote_ipv6, r->addr, 16);
    __builtin_memcpy(key.local_ipv6, r->local, 16);
  } else {
    __u32 remote, local;
    __builtin_memcpy(&remote, r->addr, 4);
    __builtin_memcpy(&local, r->local, 4);
    key.remote_ipv4 = bpf_ntohl(remote);
    key.local_ipv4 = bpf_ntohl(local);
  }
  inherit(skb, out, &key);
  if (bpf_skb_set_tunnel_key(skb, &key, sizeof key, flags)) {
    drop_all(skb, no, HD_DROP_no_frame);
    return -1;
  }
  return 0;
}

#endif
