// SPDX-License-Identifier: Apache-2.0
// Egress shaping of one port: AF_XDP in copy mode passes by the device's queueing discipline, so what the kernel's HTB
// would do is done here. A port has classes, one a queue of its QosSpec and one for frames of no queue; each holds back
// what its rate, or the port's, does not let go yet. Of those that wait, classes below their min_rate go first, then
// the lower priority; equals take turns. No class goes above its max_rate, and all together not above the port's.
//
// Owned by the worker that owns the port's first queue, on whose thread everything runs; others hand their frames over.
// The frames that wait are the shaper's, limits::kShapedFrames a class; one that finds its class full is refused.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "datapath/datapath.h"
#include "datapath/user/counters.h"
#include "datapath/user/frames.h"
#include "datapath/user/gcra.h"

namespace heddle::dp {

// One writer: the shaper's worker.
struct QueueShared {
  Counter packets;
  Counter bytes;
  Counter dropped;
};

// A QosSpec in the workers' configuration. Immutable but for the counters.
struct QosConf {
  QosSpec spec;
  std::map<std::uint32_t, std::shared_ptr<QueueShared>> queues;

  // A queue that `before` has too goes on counting.
  static std::shared_ptr<const QosConf> make(const QosSpec& spec, const QosConf* before);
};

class Shaper {
 public:
  static constexpr Ticks kNever = UINT64_MAX;
  enum class Verdict { go, wait, full };
  struct Waiting {
    FrameRef frame;
    std::uint32_t length;
  };

  explicit Shaper(std::shared_ptr<const QosConf> conf);
  [[nodiscard]] const QosConf* conf() const { return conf_.get(); }

  // A frame for a queue; one of no such number is the rest's. go: it may leave at once and is counted as gone. full:
  // refused and counted.
  Verdict offer(std::uint32_t queue, const Waiting& frame, Ticks now);
  // The next of those that wait and may leave now, counted as gone; kNoFrame when there is none.
  FrameRef next(Ticks now);
  // When next() will have one; kNever: nothing waits.
  [[nodiscard]] Ticks due() const;
  // Gives up one of those that wait, whatever the time, in the order of its class; kNoFrame: nothing waits.
  FrameRef abandon();

 private:
  struct Class {
    std::uint32_t number = 0;
    std::uint32_t priority = 0;
    Gcra min, max;
    Ticks min_arrival = 0;
    Ticks max_arrival = 0;
    std::uint64_t turn = 0;         // when it was last served
    QueueShared* shared = nullptr;  // null: the rest
    std::vector<Waiting> ring;      // made when the first frame waits
    std::size_t head = 0;
    std::size_t waiting = 0;
  };
  static Waiting pop(Class& c);
  Class& class_of(std::uint32_t queue);
  [[nodiscard]] bool ready(const Class& c, Ticks now) const;
  void charge(Class& c, std::uint32_t length, Ticks now);

  std::shared_ptr<const QosConf> conf_;
  Gcra port_;
  Ticks port_arrival_ = 0;
  std::vector<Class> classes_;  // the last one is the rest's
  std::size_t waiting_ = 0;
  std::uint64_t turn_ = 0;
};

}  // namespace heddle::dp
