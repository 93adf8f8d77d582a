// SPDX-License-Identifier: Apache-2.0
// The ways out of one worker: frames for each device and underlay wait here until the batch is full or flush() sends
// them. A slot whose send queue another worker serves is reached through that worker's mailbox. On a port with QoS
// frames pass the port's shaper, and wait there for their rate; the worker of the port's first queue has the shaper, so
// that the port's rate is one.
//
// Owned by the worker's Forwarder and used on its thread, under the RCU guard of the round. Owns the frames that wait,
// in queues and in shapers. Nothing fails: a frame that cannot leave is counted at its device and freed.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "datapath/user/frames.h"
#include "datapath/user/mailbox.h"
#include "datapath/user/round.h"
#include "datapath/user/shaper.h"

namespace heddle::dp {

class OutputQueues {
 public:
  OutputQueues(const Round& round, FrameCache& cache, Mailboxes& mail) : round_(round), cache_(cache), mail_(mail) {}

  // Before anything else in a round. Takes up the configuration when it is another than in the last round.
  void begin() {
    if (version_ != round_.config->version) adopt();
  }
  void put(std::uint32_t slot, FrameRef f) {
    Queue& q = queues_[slot];
    if (q.n == 0) filled_.push_back(slot);
    q.frames[q.n++] = f;
    if (q.n == q.frames.size()) send(slot);
  }
  // A frame that another worker handed over, since this one serves the send queue.
  void resume(const Handover& item);
  // Sends all frames but those that wait for their rate.
  void flush();
  // When the next frame that waits for its rate is due; flush() sends it. Nothing when none waits.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> next_release() const;
  // Asks the kernel once more to take the frames that it has not taken; true while some are left.
  bool nudge();

 private:
  struct Queue {
    std::uint32_t n = 0;
    std::array<FrameRef, 64> frames;
  };
  struct Exit {
    int send_queue = -1;       // that this worker sends by; -1 when it hands over to `owner`
    unsigned owner = 0;        // worker of the first queue
    Shaper* shaper = nullptr;  // of a port with QoS, when this worker has it
    int served = -1;           // queue that this worker serves, whether it sends there now or not
    bool pending = false;
  };
  struct ShaperOfSlot {
    std::uint64_t generation = 0;  // of the slot
    std::unique_ptr<Shaper> shaper;
  };

  void adopt();
  void adopt_shapers();
  void move_waiting(ShaperOfSlot& from, std::uint32_t slot);
  void send(std::uint32_t slot);
  void hand_over(std::uint32_t slot, std::span<const FrameRef> frames);
  void transmit(std::uint32_t slot, std::span<const FrameRef> frames);
  void shape(std::uint32_t slot, std::span<const FrameRef> frames);
  void release();
  // Null when the slot is empty.
  [[nodiscard]] const IoConf* io(std::uint32_t slot) const {
    return slot < round_.config->ios.size() ? round_.config->ios[slot].get() : nullptr;
  }

  const Round& round_;
  FrameCache& cache_;
  Mailboxes& mail_;
  std::uint64_t version_ = 0;                      // of the configuration taken up last
  std::vector<Queue> queues_;                      // by slot
  std::vector<Exit> exits_;                        // by slot
  std::map<std::uint32_t, ShaperOfSlot> shapers_;  // by slot
  std::vector<std::uint32_t> filled_;              // slots with frames in queues_
  std::vector<std::uint32_t> pending_;             // slots whose frames the kernel has not all taken
};

}  // namespace heddle::dp
