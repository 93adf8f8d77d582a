/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The TC programs, with readers of sealed numbers made slow: each waits, for a while, until the element that it has
 * found has another word. For kernel_reuse_test.cc. */
/* clang-format off */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#include "datapath/kernel/bpf/layout.h"

#define PATIENCE 3000 /* looks at the element: some microseconds */

struct wait {
  hd_sealed* word;
  hd_sealed first;
};

__u64 waits = 0;
__u64 changes = 0; /* waits that have seen another word */
__u32 trust = 0;   /* take what the element has, as if there was no seal */

static long look_again(__u32 i, struct wait* w) { return *(volatile hd_sealed*)w->word != w->first; }

/* Not inline: the stack of these programs is nearly full. */
static __noinline void wait_for_change(hd_sealed* word) {
  struct wait w = {word, *(volatile hd_sealed*)word};
  __sync_fetch_and_add(&waits, 1);
  if (bpf_loop(PATIENCE, look_again, &w, 0) != PATIENCE) __sync_fetch_and_add(&changes, 1);
}

/* A program is held up once: its second look is as fast as ever. */
#define BEFORE_READING(word, tries) \
  if (!(tries)) wait_for_change(word)
#define SEAL_FITS(word, seal) (trust || (word) >> 32 == (seal))

#include "datapath/kernel/bpf/tc_switch.bpf.c"
