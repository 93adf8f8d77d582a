/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Look-ups in hash maps whose values are sealed numbers (layout.h). A part of tc_switch.bpf.c. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_SEALED_H
#define HEDDLE_DATAPATH_KERNEL_BPF_SEALED_H

/* tests/unit/datapath/bpf/slow_switch.bpf.c sets these: what happens between a look-up and the reading of its result,
 * and whether a seal is trusted. */
#ifndef BEFORE_READING
#define BEFORE_READING(word, tries) (void)0
#define SEAL_FITS(word, seal) ((word) >> 32 == (seal))
#endif

/* The key's number, and in `element` its element; 0: the map does not have the key. When the element changed hands in
 * between, a second look finds the key's new element. Should that change hands as well, the key counts as unknown, but
 * `element` is not null. */
static __always_inline __u32 look_up(void* map, const void* key, __u32 size, void** element) {
  for (int tries = 0; tries < 2; tries++) {
    hd_sealed* found = bpf_map_lookup_elem(map, key);
    if (!found) return 0;
    *element = found;
    BEFORE_READING(found, tries);
    hd_sealed word = *(volatile hd_sealed*)found;
    if (SEAL_FITS(word, hd_seal(key, size, (__u32)word))) return (__u32)word;
  }
  return 0;
}

static __always_inline __u32 number_of(void* map, const void* key, __u32 size) {
  void* element;
  return look_up(map, key, size, &element);
}

#endif
