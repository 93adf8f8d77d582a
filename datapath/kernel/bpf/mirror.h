/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Copies for mirrors. A part of tc_switch.bpf.c, which includes it where struct walk and deliver() are known. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_MIRROR_H
#define HEDDLE_DATAPATH_KERNEL_BPF_MIRROR_H

/* A copy of the frame in w->vlan, if that is the way it is to leave by. */
static __always_inline void copy_to(struct __sk_buff* skb, struct walk* w, __u32 no, const struct hd_port* out) {
  if (deliver(skb, w, no | out->remote << 16, 1) == TC_ACT_OK) w->copies++;
}

/* To one of the ports that carry the mirror's VLAN; the one that the frame came by is like all others. */
static long copy_to_member(__u32 i, struct pass* p) {
  struct walk* w = p->w;
  struct hd_flood_key key = {w->set, i / HD_CHUNK};
  struct hd_flood* chunk = bpf_map_lookup_elem(&flood_sets, &key);
  if (!chunk || i >= chunk->total) return 1;
  __u32 no = chunk->target[i % HD_CHUNK] & 0xffff;
  struct hd_port* out = port_at(no);
  if (!out || out->bridge != w->bridge || !carries(out, w->vlan)) return 0;
  if ((out->flags & (HD_UP | HD_RESERVED | HD_MULTIPOINT)) != HD_UP) return 0;
  if ((out->flags & w->in_flags & HD_TUNNEL) && (out->flags & HD_SPLIT_HORIZON)) return 0;
  copy_to(p->skb, w, no, out);
  return 0;
}

__noinline int copy_to_vlan(struct __sk_buff* skb, struct walk* w, __u32 vlan) {
  if (!w) return 0;
  struct pass p = {skb, w};
  __u16 own = w->vlan;
  if (vlan == own) return 0;         /* it is there already: such copies would be copied again where they arrive */
  if (is_reserved(w->dst)) return 0; /* other bridges of that VLAN would take it for their neighbour's */
  w->vlan = vlan;
  w->set = flood_set_of(w);
  if (w->set) bpf_loop(HD_TARGETS, copy_to_member, &p, 0);
  w->vlan = own;
  return 0;
}

/* The output of a mirror need not carry the frame's VLAN. */
static __always_inline int copy_to_output(struct __sk_buff* skb, struct walk* w, __u32 no) {
  struct hd_port* out = port_at(no);
  if (!out || out->bridge != w->bridge || (out->flags & HD_MULTIPOINT)) return 0;
  if (!(out->flags & HD_UP)) return drop(no, HD_DROP_port_down);
  copy_to(skb, w, no, out);
  return 0;
}

static long copy_for_mirror(__u32 slot, struct pass* p) {
  struct walk* w = p->w;
  if (!(w->mirrors >> (slot & 31))) return 1;
  if (!(w->mirrors >> (slot & 31) & 1)) return 0;
  struct hd_mirror_key key = {w->bridge, slot};
  struct hd_mirror* m = bpf_map_lookup_elem(&mirrors, &key);
  if (!m || !(m->vlans[(w->vlan >> 6) & 63] >> (w->vlan & 63) & 1)) return 0;
  w->copies = 0;
  if (m->output)
    copy_to_output(p->skb, w, m->output);
  else
    copy_to_vlan(p->skb, w, m->output_vlan);
  __u64 wire = on_wire(p->skb);
  __sync_fetch_and_add(&m->packets, (__u64)w->copies * frames_of(wire));
  __sync_fetch_and_add(&m->bytes, (__u64)w->copies * bytes_of(wire));
  return 0;
}

/* Before the frame itself leaves or is dropped: one copy for each mirror that selected it. */
__noinline int mirror(struct __sk_buff* skb, struct walk* w) {
  if (!w) return 0;
  struct pass p = {skb, w};
  w->mirroring = 1;
  bpf_loop(HD_MIRRORS, copy_for_mirror, &p, 0);
  w->mirroring = 0;
  return 0;
}

#endif
