/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a frame is on the wire: a GSO packet is the frames that it will be cut into, with the headers of each. A part of
 * tc_switch.bpf.c. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_ON_WIRE_H
#define HEDDLE_DATAPATH_KERNEL_BPF_ON_WIRE_H

static __always_inline int is_tag(__u16 type) {
  return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* Where the network header is and, in `type`, what it is: behind a second tag, if the frame has one. */
static __always_inline __u32 network_header(struct __sk_buff* skb, __u16* type) {
  *type = skb->protocol;
  if (!is_tag(*type)) return ETH_HLEN;
  bpf_skb_load_bytes(skb, ETH_HLEN + 2, type, sizeof *type);
  return ETH_HLEN + TAG_SIZE;
}

/* Length of a frame of a GSO packet, from its Ethernet header on. */
static __always_inline __u32 segment_length(struct __sk_buff* skb) {
  __u8 byte = 0;
  __u8 protocol = 0;
  __u16 type = 0;
  __u32 l3 = network_header(skb, &type);
  __u32 l4 = l3;
  if (type == bpf_htons(ETH_P_IP)) {
    bpf_skb_load_bytes(skb, l3, &byte, 1);
    bpf_skb_load_bytes(skb, l3 + 9, &protocol, 1);
    l4 += (byte & 15) * 4;
  } else {
    bpf_skb_load_bytes(skb, l3 + 6, &protocol, 1);
    l4 += 40;
  }
  if (protocol == IPPROTO_UDP) return l4 + 8 + skb->gso_size;
  bpf_skb_load_bytes(skb, l4 + 12, &byte, 1);
  return l4 + (byte >> 4) * 4 + skb->gso_size;
}

/* Frames and bytes in one number: a BPF function returns one. The kernel's own number of segments is 0 for packets
 * whose sender did not count them, as a tap's. */
static __noinline __u64 on_wire(struct __sk_buff* skb) {
  __u64 bytes = skb->len;
  __u32 size = skb->gso_size;
  if (!size) return 1ULL << 32 | bytes;
  __u64 frames = 1;
  __u32 head = segment_length(skb) - size;
  if (head < bytes) {
    frames = (bytes - head + size - 1) / size;
    bytes += (frames - 1) * head;
  }
  return frames << 32 | bytes;
}

static __always_inline __u32 frames_of(__u64 wire) { return wire >> 32; }
static __always_inline __u32 bytes_of(__u64 wire) { return (__u32)wire; }

#endif
