/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
// Closed-loop packet generator and its sink. `generate` runs as a live-frames test run (Documentation/bpf/bpf_prog_run
// in the kernel tree): XDP_TX sends the frame out of the device, XDP_DROP discards it. The generator sends only while
// fewer than `window` frames are in flight, so no frame is lost to overload and the rate is the switch's. `sink` runs
// on the far guest's device.
//
// bpf_helpers.h needs the types of linux/bpf.h, so the order of the includes is fixed.
// clang-format off
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "bench/rate/shared.h"

const volatile __u32 window = 512;
const volatile __u32 flows = 1;
const volatile __u32 macs = 1;
const volatile __u32 one_sink = 0;   // only source MACs vary
const volatile __u32 tx_offset = 0;  // of the inner frame at the generator
const volatile __u32 rx_offset = 0;  // of the inner frame at the sink
const volatile __u32 ip_sum = 0;     // one's-complement sums of the template without the varying fields
const volatile __u32 udp_sum = 0;
const volatile __u64 patience = 20000000;  // ns without an arrival after which frames count as lost

struct rate_tx tx __attribute__((aligned(64)));
struct rate_rx rx __attribute__((aligned(64)));
struct rate_published published __attribute__((aligned(64)));

struct frame {
  struct ethhdr eth;
  struct iphdr ip;
  struct udphdr udp;
  struct rate_mark mark;
} __attribute__((packed));

static __always_inline __u16 fold(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

static __always_inline __u32 halves(__u32 word) { return (word & 0xffff) + (word >> 16); }

static __always_inline int wait_or_forgive(void) {
  if ((++tx.full & 1023) != 0) return XDP_DROP;
  __u64 now = bpf_ktime_get_ns();
  if (tx.seen != tx.stall_seen || tx.stall_since == 0) {
    tx.stall_seen = tx.seen;
    tx.stall_since = now;
  } else if (now - tx.stall_since > patience) {
    tx.forgiven = tx.sent - tx.seen;
    tx.stalls++;
    tx.stall_since = 0;
  }
  return XDP_DROP;
}

static __always_inline void set_mac(__u8* mac, __u32 number) {
  mac[3] = number >> 16;
  mac[4] = number >> 8;
  mac[5] = number;
}

SEC("xdp")
int generate(struct xdp_md* ctx) {
  if ((__s64)(tx.sent - tx.forgiven - tx.seen) >= (__s64)window) {
    tx.seen = *(volatile __u64*)&published.received;
    if ((__s64)(tx.sent - tx.forgiven - tx.seen) >= (__s64)window) return wait_or_forgive();
  }
  void* start = (void*)(long)ctx->data + tx_offset;
  struct frame* f = start;
  if ((void*)(f + 1) > (void*)(long)ctx->data_end) return XDP_ABORTED;

  __u32 flow = tx.flow;
  tx.flow = flow + 1 >= flows ? 0 : flow + 1;
  __u32 source = bpf_htonl(0x0a000001 + flow);
  __u16 port = bpf_htons(1024 + flow % 60000);
  __u32 sequence = (__u32)tx.sent;
  f->ip.saddr = source;
  f->ip.check = fold(ip_sum + halves(source));
  f->udp.source = port;
  f->mark.sequence = sequence;
  __u16 check = fold(udp_sum + halves(source) + port + halves(sequence));
  f->udp.check = check ? check : 0xffff;
  if (macs > 1) {
    __u32 number = tx.mac;
    tx.mac = number + 1 >= macs ? 0 : number + 1;
    set_mac(f->eth.h_source, number);
    if (!one_sink) set_mac(f->eth.h_dest, number);
  }
  if (tx_offset) {  // RFC 7348 section 5: the outer source port differs for inner flows
    struct udphdr* outer = (void*)(long)ctx->data + sizeof(struct ethhdr) + sizeof(struct iphdr);
    if ((void*)(outer + 1) > (void*)(long)ctx->data_end) return XDP_ABORTED;
    outer->source = bpf_htons(49152 + flow % 16384);
  }
  tx.sent++;
  return XDP_TX;
}

// Counts a generated frame; false for any other.
static __always_inline int count(void* data, void* end) {
  struct frame* f = data + rx_offset;
  if ((void*)(f + 1) > end || f->mark.magic != RATE_MAGIC) return 0;
  if (f->mark.kind == RATE_KIND_PROBE) {
    rx.probes++;
    return 1;
  }
  __u64 received = ++rx.received;
  if ((__s32)(f->mark.sequence - rx.last_sequence) < 0) rx.reordered++;
  rx.last_sequence = f->mark.sequence;
  if (received % RATE_PUBLISH_EVERY == 0) *(volatile __u64*)&published.received = received;
  return 1;
}

SEC("xdp")
int sink(struct xdp_md* ctx) { return count((void*)(long)ctx->data, (void*)(long)ctx->data_end) ? XDP_DROP : XDP_PASS; }

// The same for a guest without XDP, whose frames are skbs.
SEC("tc")
int sink_tc(struct __sk_buff* ctx) {
  return count((void*)(long)ctx->data, (void*)(long)ctx->data_end) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
