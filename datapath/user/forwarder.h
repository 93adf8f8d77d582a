// SPDX-License-Identifier: Apache-2.0
// A frame's way through the switch, on one worker: VLAN admission, source look-up, destination look-up, one output or
// the flood set, tunnel headers. Holds no configuration of its own and takes no lock; everything it needs comes with
// begin().
//
// Use, on the worker's thread, under one RCU guard: begin(), any number of input() and resume(), flush().
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "datapath/user/config.h"
#include "datapath/user/frames.h"
#include "datapath/user/mailbox.h"
#include "datapath/user/shaper.h"
#include "datapath/user/signal.h"
#include "packet/parse.h"

namespace heddle::dp {

class Forwarder {
 public:
  Forwarder(unsigned worker, FramePool& pool, const TunnelPaths& paths, Mailboxes& mail, Signal& learned);

  // `now`: on a clock that all workers and all users of the FDB (in seconds) share.
  void begin(const Config& config, std::chrono::nanoseconds now);
  // Frames received on the device in slot `io`.
  void input(std::uint32_t io, const Batch& batch);
  // Frames that another worker handed over because this one owns their way out.
  void resume(const Handover& item);
  // Sends everything that is queued.
  void flush();
  // When frames that wait for their rate are due; flush() sends them. Nothing: none waits.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> next_release() const;
  // Asks the kernel once more to take what it has not; true while something is left.
  bool nudge();

  [[nodiscard]] FrameCache& cache() { return cache_; }

 private:
  struct Target {
    const PortConf* port;
    std::uint32_t path;
  };
  // A frame on its way through one bridge.
  struct Transit {
    FrameRef frame;
    const PortConf* in;
    const IpAddr* outer_source;  // of a multipoint tunnel's packet, else null
    packet::L2 l2;
    VlanId vlan;
    bool reserved = false;  // to an address that no bridge forwards: for mirrors only
    bool mirrored = false;  // a mirror's copy: nobody is told what becomes of it
  };
  struct Patched {
    FrameRef frame;
    const PortConf* at;  // where it arrives
  };
  struct TxQueue {
    std::uint32_t n = 0;
    std::array<FrameRef, 64> frames;
  };
  struct WayOut {
    int queue = -1;            // ours, or
    unsigned owner = 0;        // the worker to hand over to
    Shaper* shaper = nullptr;  // of a port with QoS, when it is ours
    int own = -1;              // a queue that we serve, whether we send there now or not
    bool pending = false;
  };
  struct Shaped {
    std::uint64_t generation = 0;  // of the slot
    std::unique_ptr<Shaper> shaper;
  };

  void adopt(const Config& config);
  WorkerCounters& counters(const PortConf& p) { return p.shared->worker[worker_].counters; }
  void drop(FrameRef f, const PortConf& at, Drop why);

  void decapsulate(FrameRef f, const IoConf& underlay);
  void finish_inner_checksum(FrameRef f, const packet::VxlanOuter& outer);
  const PortConf* tunnel_for(const packet::VxlanOuter& outer) const;
  void bridge(FrameRef f, const PortConf& in, const IpAddr* outer_source);
  // Defined in forwarder.cc for it alone; the walk of plain ports pays for no call.
  [[gnu::always_inline]] inline bool admit(Transit& t);
  [[gnu::always_inline]] inline bool destination(const Transit& t, Target& to) const;
  void look_at_source(const Transit& t);
  void forward(const Transit& t);
  static bool is_down(const PortConf& out) { return !out.tunnel() && !out.shared->up.load(std::memory_order_relaxed); }
  // Reasons that are counted where the frame was to go.
  static bool is_egress(Drop why) { return why == Drop::egress_vlan || why == Drop::port_down; }
  Drop blocked(const Transit& t, const Target& to) const;
  void flood_set(const Transit& t);
  void deliver_all(const Transit& t);
  // Patch ports
  void to_peer(FrameRef f, const PortConf& out);
  void arrive_at_peers();
  // A port that is not plain
  void bridge_by_rules(FrameRef f, const PortConf& in, const IpAddr* outer_source);
  void forward_by_rules(const Transit& t);
  void mirror(const Transit& t, std::uint32_t slots);
  bool takes_copies(const Transit& t, const PortConf& out, VlanId vlan) const;
  void mirror_to(const Transit& t, const MirrorRule& m, const PortConf& out);
  void deliver(const Transit& t, FrameRef f, const Target& to);
  void to_device(FrameRef f, const packet::L2& l2, const PortConf& out);
  void to_tunnel(const Transit& t, FrameRef f, const packet::L2& l2, const Target& to);
  void answer_too_big(const Transit& t, FrameRef f, const packet::L2& l2, unsigned mtu);
  void settle_checksum(FrameRef f, const packet::L2& l2, bool receiver_can);
  void queue(std::uint32_t io, FrameRef f);
  void send(std::uint32_t io);
  void transmit(std::uint32_t io, std::span<const FrameRef> frames);
  // Ports with QoS
  void adopt_shapers();
  void shape(std::uint32_t io, std::span<const FrameRef> frames);
  void release();
  std::size_t segments(FrameRef f);

  unsigned worker_;
  FrameCache cache_;
  const TunnelPaths& paths_;
  Mailboxes& mail_;
  Signal& learned_;
  const Config* config_ = nullptr;
  std::uint64_t version_ = 0;
  std::uint32_t now_ = 0;     // seconds
  std::uint64_t now_ns_ = 0;  // the same, finer
  bool tell_handler_ = false;
  std::uint16_t ip_id_ = 0;
  std::vector<TxQueue> tx_;                  // by slot
  std::vector<WayOut> out_;                  // by slot
  std::map<std::uint32_t, Shaped> shapers_;  // by slot
  std::vector<std::uint32_t> dirty_;         // slots with queued frames
  std::vector<std::uint32_t> pending_;       // slots the kernel has not emptied
  std::vector<Target> targets_;
  std::vector<Patched> patched_, arriving_;  // empty but within input()
  unsigned hops_ = 0;                        // patch ports that the frames at hand have passed
  std::vector<packet::Segment> chain_;
  struct IcmpBudget {
    std::uint32_t second = 0;
    unsigned sent = 0;
  };
  std::vector<IcmpBudget> icmp_;  // by port
};

}  // namespace heddle::dp
