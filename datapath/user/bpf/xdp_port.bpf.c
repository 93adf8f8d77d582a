/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
// XDP programs of the user-space datapath. A bridge port hands every frame to its AF_XDP socket; an underlay device
// hands over only the tunnels' UDP ports to this host's own addresses and groups, and leaves everything else to the
// host's stack. linux/bpf.h comes before libbpf's headers.
// clang-format off
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#define MAX_QUEUES 64

struct address_key {
  __u8 bytes[16];  // IPv4 in the first four
  __u32 v6;
};

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 64);
  __type(key, __be16);
  __type(value, __u8);
} tunnel_ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 8192);
  __type(key, struct address_key);
  __type(value, __u8);
} local_addresses SEC(".maps");

// A frame for which there is no socket is dropped: it must not leak into the host's own stack.
static __always_inline int to_socket(struct xdp_md* ctx) {
  return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
}

SEC("xdp.frags")
int bridge_port(struct xdp_md* ctx) { return to_socket(ctx); }

// Linux keeps a frame's VLAN tag beside the frame (skb metadata), where AF_XDP does not look. This variant writes it
// back into the frame. It needs a device that tells the tag, and a program bound to that device (Linux 6.8,
// Documentation/networking/xdp-rx-metadata.rst); without them a guest must send its tags in the frame.
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md* ctx, __be16* protocol, __u16* tci) __ksym __weak;

struct tagged {
  __u8 addresses[12];
  __be16 protocol;
  __be16 tci;
};

SEC("xdp.frags")
int bridge_port_tags(struct xdp_md* ctx) {
  __be16 protocol = 0;
  __u16 tci = 0;
  if (bpf_xdp_metadata_rx_vlan_tag(ctx, &protocol, &tci)) return to_socket(ctx);
  if (bpf_xdp_adjust_head(ctx, -4)) return XDP_DROP;
  struct tagged* frame = (void*)(long)ctx->data;
  if ((void*)(frame + 1) > (void*)(long)ctx->data_end) return XDP_DROP;
  __builtin_memmove(frame->addresses, (__u8*)frame + 4, sizeof frame->addresses);
  frame->protocol = protocol;
  frame->tci = bpf_htons(tci);
  return to_socket(ctx);
}

static __always_inline int is_tunnel(struct udphdr* udp, void* end, struct address_key* to) {
  if ((void*)(udp + 1) > end) return 0;
  __be16 port = udp->dest;
  return bpf_map_lookup_elem(&tunnel_ports, &port) && bpf_map_lookup_elem(&local_addresses, to);
}

// Fragments, IP options and extension headers go to the host, whose UDP socket hands the datagram to the datapath
// whole.
SEC("xdp.frags")
int underlay(struct xdp_md* ctx) {
  void* data = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  struct ethhdr* eth = data;
  struct address_key to = {};
  int ours = 0;

  if ((void*)(eth + 1) > end) return XDP_PASS;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = (void*)(eth + 1);
    if ((void*)(ip + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP) return XDP_PASS;
    if (ip->frag_off & bpf_htons(0x3fff)) return XDP_PASS;
    __builtin_memcpy(to.bytes, &ip->daddr, 4);
    ours = is_tunnel((void*)(ip + 1), end, &to);
  } else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip = (void*)(eth + 1);
    if ((void*)(ip + 1) > end || ip->nexthdr != IPPROTO_UDP) return XDP_PASS;
    __builtin_memcpy(to.bytes, &ip->daddr, 16);
    to.v6 = 1;
    ours = is_tunnel((void*)(ip + 1), end, &to);
  }
  return ours ? bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS) : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
