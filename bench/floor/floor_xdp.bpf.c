/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
// Redirects every frame of the device to the AF_XDP socket of its queue.
//
// bpf_helpers.h needs the types of linux/bpf.h, so the order of the includes is fixed.
// clang-format off
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
// clang-format on

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

SEC("xdp")
int take(struct xdp_md* ctx) { return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS); }

char _license[] SEC("license") = "GPL";
