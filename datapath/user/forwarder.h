// A frame's way through the switch, on one worker: VLAN admission, source look-up, destination look-up, one output or
// the flood set, tunnel headers. Holds no configuration of its own and takes no lock; everything it needs comes with
// begin().
//
// Use, on the worker's thread, under one RCU guard: begin(), any number of input() and resume(), flush().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "datapath/user/config.h"
#include "datapath/user/frames.h"
#include "datapath/user/mailbox.h"
#include "datapath/user/signal.h"
#include "packet/parse.h"

namespace heddle::dp {

class Forwarder {
 public:
  Forwarder(unsigned worker, FramePool& pool, const TunnelPaths& paths, Mailboxes& mail, Signal& learned);

  // `now`: seconds on a clock that all users of the FDB share.
  void begin(const Config& config, std::uint32_t now);
  // Frames received on the device in slot `io`.
  void input(std::uint32_t io, const Batch& batch);
  // Frames that another worker handed over because this one owns their way out.
  void resume(const Handover& item);
  // Sends everything that is queued.
  void flush();
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
  };
  struct TxQueue {
    std::uint32_t n = 0;
    std::array<FrameRef, 64> frames;
  };
  struct WayOut {
    int queue = -1;      // ours, or
    unsigned owner = 0;  // the worker to hand over to
    bool pending = false;
  };

  void adopt(const Config& config);
  WorkerCounters& counters(const PortConf& p) { return p.shared->worker[worker_].counters; }
  void drop(FrameRef f, const PortConf& at, Drop why);

  void decapsulate(FrameRef f, const IoConf& underlay);
  void finish_inner_checksum(FrameRef f, const packet::VxlanOuter& outer);
  const PortConf* tunnel_for(const packet::VxlanOuter& outer) const;
  void bridge(FrameRef f, const PortConf& in, const IpAddr* outer_source);
  bool admit(Transit& t);
  void look_at_source(const Transit& t);
  void forward(Transit& t);
  Drop blocked(const Transit& t, const Target& to) const;
  void flood(Transit& t);
  void deliver(const Transit& t, FrameRef f, const Target& to);
  void to_device(FrameRef f, const packet::L2& l2, const PortConf& out);
  void to_tunnel(const Transit& t, FrameRef f, const packet::L2& l2, const Target& to);
  void answer_too_big(const Transit& t, FrameRef f, const packet::L2& l2, unsigned mtu);
  void settle_checksum(FrameRef f, const packet::L2& l2, bool receiver_can);
  void queue(std::uint32_t io, FrameRef f);
  void send(std::uint32_t io);
  std::size_t segments(FrameRef f);

  unsigned worker_;
  FrameCache cache_;
  const TunnelPaths& paths_;
  Mailboxes& mail_;
  Signal& learned_;
  const Config* config_ = nullptr;
  std::uint64_t version_ = 0;
  std::uint32_t now_ = 0;
  bool tell_handler_ = false;
  std::uint16_t ip_id_ = 0;
  std::vector<TxQueue> tx_;             // by slot
  std::vector<WayOut> out_;             // by slot
  std::vector<std::uint32_t> dirty_;    // slots with queued frames
  std::vector<std::uint32_t> pending_;  // slots the kernel has not emptied
  std::vector<Target> targets_;
  std::vector<packet::Segment> chain_;
  struct IcmpBudget {
    std::uint32_t second = 0;
    unsigned sent = 0;
  };
  std::vector<IcmpBudget> icmp_;  // by port
};

}  // namespace heddle::dp
