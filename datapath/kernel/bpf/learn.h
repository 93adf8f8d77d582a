/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Sources: whether the station is known to be where the frame came from, and what is told to the daemon when it is not.
 * A part of tc_switch.bpf.c, which includes it where struct walk and the maps are known. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_LEARN_H
#define HEDDLE_DATAPATH_KERNEL_BPF_LEARN_H

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
  e->bridge = w->bridge;
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
static __always_inline int leads_back(const struct walk* w, hd_target target) {
  __u32 remote = target >> 16;
  if ((target & 0xffff) != w->in_no) return 0;
  if (!w->from_remote) return 1;
  struct hd_remote* r = bpf_map_lookup_elem(&remotes, &remote);
  return r && same_address(r->addr, w->source);
}

static __always_inline void look_at_source(struct walk* w, void* table) {
  struct hd_station key;
  void* element;
  __builtin_memcpy(key.mac, w->src, ETH_ALEN);
  key.vlan = w->vlan;
  hd_target target = look_up(table, &key, sizeof key, &element);
  if (!target || !leads_back(w, target)) {
    report(w);
    return;
  }
  /* Should the element be another station's by now, that one seems younger than it is: nothing worse. */
  struct hd_entry* entry = element;
  __u32 now = bpf_ktime_get_coarse_ns() >> TIME_SHIFT;
  if (entry->used != now) entry->used = now;
}

#endif
