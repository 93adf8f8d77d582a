/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a bridge's port may not bring to the host: packets for the host's own tunnels from a sender that the host does
 * not reach by that port. The kernel's vxlan device does not see by which device a packet came, so a guest could send
 * in the name of a remote VTEP. A part of tc_switch.bpf.c.
 *
 * Later fragments pass: without the first one, which has the UDP header, they come to nothing. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_TO_HOST_H
#define HEDDLE_DATAPATH_KERNEL_BPF_TO_HOST_H

#define FAMILY_IPV4 2 /* AF_INET and AF_INET6 of sys/socket.h, which is not for BPF */
#define FAMILY_IPV6 10
#define EXTENSION_HEADERS 8 /* more than an honest packet has */
#define FRAGMENT_OFFSET 0x1fff
/* Where no UDP header can be. */
#define NOT_UDP 0
#define HIDDEN 1 /* behind more headers than are looked at: taken for a tunnel's */

static __always_inline __u32 sender_bits(const struct hd_sender* key) {
  const __u32* bits = bpf_map_lookup_elem(&senders, key);
  return bits ? *bits : 0;
}

/* Where the UDP header is; `to` gets the addresses. */
static __always_inline __u32 udp_header_v4(struct __sk_buff* skb, __u32 at, struct bpf_fib_lookup* to) {
  __u8 head[12];
  if (bpf_skb_load_bytes(skb, at, head, sizeof head) || head[9] != IPPROTO_UDP) return NOT_UDP;
  if ((head[6] << 8 | head[7]) & FRAGMENT_OFFSET) return NOT_UDP;
  if (bpf_skb_load_bytes(skb, at + 12, &to->ipv4_src, 4)) return NOT_UDP;
  if (bpf_skb_load_bytes(skb, at + 16, &to->ipv4_dst, 4)) return NOT_UDP;
  to->family = FAMILY_IPV4;
  return at + (head[0] & 15) * 4;
}

/* RFC 8200 section 4. */
static __always_inline __u32 udp_header_v6(struct __sk_buff* skb, __u32 at, struct bpf_fib_lookup* to) {
  __u8 next = 0;
  __u8 head[4];
  if (bpf_skb_load_bytes(skb, at + 6, &next, 1)) return NOT_UDP;
  if (bpf_skb_load_bytes(skb, at + 8, to->ipv6_src, 16)) return NOT_UDP;
  if (bpf_skb_load_bytes(skb, at + 24, to->ipv6_dst, 16)) return NOT_UDP;
  to->family = FAMILY_IPV6;
  at += 40;
  for (int i = 0; i < EXTENSION_HEADERS; i++) {
    if (next == IPPROTO_UDP) return at;
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT &&
        next != IPPROTO_AH)
      return NOT_UDP;
    if (bpf_skb_load_bytes(skb, at, head, sizeof head)) return NOT_UDP;
    if (next == IPPROTO_FRAGMENT && (head[2] << 8 | head[3]) & ~7) return NOT_UDP;
    at += next == IPPROTO_FRAGMENT ? 8 : next == IPPROTO_AH ? (head[1] + 2) * 4 : (head[1] + 1) * 8;
    next = head[0];
  }
  return HIDDEN;
}

/* Whether the host takes a packet with this destination for its own. Multicast: it may be a member of the group. The
 * kernel is asked; it answers only where it routes (fib_lookup is for routers), else the daemon's list does. */
static __always_inline int is_hosts(struct __sk_buff* skb, struct bpf_fib_lookup* to, struct hd_sender* key) {
  int v6 = to->family == FAMILY_IPV6;
  key->port = HD_HOST;
  __builtin_memcpy(key->addr, to->ipv6_dst, sizeof key->addr);
  if (!v6) __builtin_memset(key->addr + 4, 0, 12);
  if (v6 ? key->addr[0] == 0xff : key->addr[0] >= 224) return 1;
  long answer = bpf_fib_lookup(skb, to, sizeof *to, 0);
  if (answer == BPF_FIB_LKUP_RET_NOT_FWDED) return 1;
  return answer == BPF_FIB_LKUP_RET_FWD_DISABLED && sender_bits(key);
}

static __noinline int injects(struct __sk_buff* skb, __u32 no, __u32 device) {
  struct bpf_fib_lookup to = {.ifindex = device};
  struct hd_sender key = {.port = HD_UDP};
  __u16 type = 0;
  __u32 at = network_header(skb, &type);
  if (type == bpf_htons(ETH_P_IP))
    at = udp_header_v4(skb, at, &to);
  else if (type == bpf_htons(ETH_P_IPV6))
    at = udp_header_v6(skb, at, &to);
  else
    return 0;
  if (at == NOT_UDP || (at != HIDDEN && bpf_skb_load_bytes(skb, at + 2, key.addr, 2))) return 0;
  __u32 bits = sender_bits(&key);
  if (!bits) return 0;
  key.port = no;
  __builtin_memcpy(key.addr, to.ipv6_src, sizeof key.addr);
  if (to.family == FAMILY_IPV4) __builtin_memset(key.addr + 4, 0, 12);
  if (sender_bits(&key)) return 0;
  __builtin_memset(key.addr, 0, sizeof key.addr);
  if ((bits & HD_ANY_SENDER) && sender_bits(&key)) return 0;
  return is_hosts(skb, &to, &key);
}

#endif
