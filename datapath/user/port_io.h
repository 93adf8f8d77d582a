// SPDX-License-Identifier: Apache-2.0
// What carries frames in and out of a worker: an AF_XDP device, a tap, a UDP socket. About as much of a port as a
// worker sees; VLANs, bridges and tunnels are the concern of forward.h.
//
// Threads: open, close and info() on control; receive(), send() and pending() on the one worker that owns the queue.
// close (destruction) only after an RCU grace period without the object in the configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "datapath/user/counters.h"
#include "datapath/user/frames.h"

namespace heddle::dp {

class PortIo {
 public:
  virtual ~PortIo() = default;

  // Takes up to a batch of frames; the worker owns them from then on. What cannot be taken for a reason of ours is
  // counted.
  virtual void receive(unsigned queue, FrameCache& cache, Batch& batch, WorkerCounters& counters) = 0;
  // Owns the frames from then on. Sends them in order, counts what was sent, and what had to be dropped and why.
  virtual void send(unsigned queue, FrameCache& cache, std::span<const FrameRef> frames, WorkerCounters& counters) = 0;
  // Frames handed to send() still wait for the kernel: the worker calls nudge() again before it sleeps.
  [[nodiscard]] virtual bool pending(unsigned /*queue*/) const { return false; }
  virtual void nudge(unsigned /*queue*/, FrameCache& /*cache*/) {}

  [[nodiscard]] virtual unsigned queues() const = 0;
  // To wait on for input; one a queue.
  [[nodiscard]] virtual int fd(unsigned queue) const = 0;
  // True when whether there is input can be told without a system call (then receive() is called in every round).
  [[nodiscard]] virtual bool cheap_to_poll() const = 0;
  // Can deliver a frame whose L4 checksum is still to be completed (FrameMeta::csum_start).
  [[nodiscard]] virtual bool takes_partial() const = 0;
  // An underlay's: ifindex of the device; 0: frames come by any device.
  [[nodiscard]] virtual int device() const { return 0; }
  // Any thread: frames the kernel lost before we could see them, since the object was made.
  [[nodiscard]] virtual std::uint64_t rx_lost() const { return 0; }
  // What is sent arrives at the stack of the network namespace that has the device.
  [[nodiscard]] virtual bool host_side() const { return false; }
  // A device that can leave our network namespace and still exchange frames with us. Control thread.
  struct Place {
    std::string name;  // of the device, there
    Fd netns;          // empty: the kernel does not tell
  };
  // Where it is now; nothing: it is gone, or none of that sort.
  [[nodiscard]] virtual std::optional<Place> place() const { return std::nullopt; }
  // The device goes with this object, also one that would stay.
  virtual void end_device() {}
  // What to show an operator, e.g. {"xdp_mode","native"}.
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> info() const = 0;
};

}  // namespace heddle::dp
