/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a port may bring: the generic cell rate algorithm in its virtual scheduling form (ITU-T I.371 annex A), a token
 * bucket kept in one number. The bucket is not empty while the time at which it will be full again is no further off
 * than what it holds; then a frame passes, whatever its length, and puts that time off by its cost. A part of
 * tc_switch.bpf.c, which includes it where drop_frames(), on_wire() and the maps are known. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_POLICER_H
#define HEDDLE_DATAPATH_KERNEL_BPF_POLICER_H

static __always_inline int is_empty(const struct hd_bucket* b, __u64 now) {
  return b->cost && b->full > now + b->burst;
}

/* Several CPUs may do so at once: each frame that passed is charged, so the average holds. */
static __always_inline void charge(struct hd_bucket* b, __u64 now, __u64 units) {
  if (!b->cost) return;
  __u64 full = b->full;
  if (full < now) __sync_val_compare_and_swap(&b->full, full, now); /* else another CPU was first */
  __sync_fetch_and_add(&b->full, (units * b->cost + (1 << (HD_COST_SHIFT - 1))) >> HD_COST_SHIFT);
}

/* Whether the frame is within the port's limits. A GSO packet is charged as the frames that it will be. */
__noinline int police(struct __sk_buff* skb, __u32 no) {
  struct hd_policer* p = bpf_map_lookup_elem(&policers, &no);
  if (!p) return FINE;
  __u64 wire = on_wire(skb);
  __u64 frames = frames_of(wire);
  __u64 bytes = bytes_of(wire);
  __u64 now = bpf_ktime_get_ns() << HD_TIME_SHIFT;
  if (is_empty(&p->bytes, now) || is_empty(&p->frames, now)) {
    drop_frames(no, HD_DROP_policed, frames);
    return HD_DROP_policed;
  }
  charge(&p->bytes, now, bytes);
  charge(&p->frames, now, frames);
  return FINE;
}

#endif
