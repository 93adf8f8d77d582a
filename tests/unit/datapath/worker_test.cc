// SPDX-License-Identifier: Apache-2.0
// Worker threads with ports made of queues and eventfds: every frame arrives although the workers sleep in between, is
// handed to the worker that owns the way out, and ports come and go meanwhile. Waits are on conditions, with a bound
// that only a lost wake-up reaches.
#include "datapath/user/worker.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "datapath/user/config_draft.h"
#include "tests/unit/datapath/world.h"

namespace heddle::dp {
namespace {

using namespace test;

constexpr auto kPatience = std::chrono::seconds(20);

// A device: what the test delivers, the worker receives; what the worker sends, the test awaits.
class QueueIo final : public PortIo {
 public:
  explicit QueueIo(bool cheap) : cheap_(cheap), fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

  // --- test ---
  void deliver(const Bytes& bytes) {
    const std::lock_guard lock(mutex_);
    in_.push_back(bytes);
    eventfd_write(fd_.get(), 1);
  }
  bool await_sent(std::size_t n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return sent_ >= n; });
  }
  bool await_empty() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return in_.empty(); });
  }
  Bytes last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  // --- worker ---
  void receive(unsigned /*queue*/, FrameCache& cache, Batch& batch, WorkerCounters& counters) override {
    const std::lock_guard lock(mutex_);
    while (!in_.empty() && batch.n < batch.frames.size()) {
      const FrameRef f = cache.alloc();
      if (f == kNoFrame) {
        counters.drop(Drop::no_frame);
      } else {
        FrameMeta& m = cache.meta(f);
        std::copy(in_.front().begin(), in_.front().end(), cache.data(f));
        m.total = m.len = static_cast<std::uint16_t>(in_.front().size());
        batch.frames[batch.n++] = f;
      }
      in_.pop_front();
    }
    eventfd_t n = 0;
    if (in_.empty()) eventfd_read(fd_.get(), &n);
    changed_.notify_all();
  }
  void send(unsigned /*queue*/, FrameCache& cache, std::span<const FrameRef> frames,
            WorkerCounters& counters) override {
    const std::lock_guard lock(mutex_);
    for (const FrameRef f : frames) {
      last_ = content(cache, f);
      cache.free_chain(f);
      ++sent_;
    }
    counters.tx_packets.add(frames.size());
    changed_.notify_all();
  }
  [[nodiscard]] unsigned queues() const override { return 1; }
  [[nodiscard]] int fd(unsigned /*queue*/) const override { return fd_.get(); }
  [[nodiscard]] bool cheap_to_poll() const override { return cheap_; }
  [[nodiscard]] bool takes_partial() const override { return false; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> info() const override { return {{"io", "queue"}}; }

 private:
  const bool cheap_;
  Fd fd_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Bytes> in_;
  std::size_t sent_ = 0;
  Bytes last_;
};

class Workers : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr unsigned kWorkers = 3;
  struct Port {
    PortNo no;
    std::shared_ptr<QueueIo> io;
    std::shared_ptr<PortShared> shared;
    std::uint32_t slot;
  };

  void SetUp() override {
    auto made = FramePool::create(2 * limits::kRing);
    ASSERT_TRUE(made);
    pool_ = std::move(*made);
    bridge_.fdb = &fdb_;
    for (unsigned i = 0; i < kWorkers; ++i)
      workers_.push_back(std::make_unique<Worker>(i, *pool_, config_, paths_, mail_, learned_, Clock::now()));
    draft_ = std::make_unique<ConfigDraft>(config_, workers_);
    for (auto& w : workers_) ASSERT_TRUE(w->start());
  }
  void TearDown() override { workers_.clear(); }

  // The first port is worker 0's, the second worker 1's, and so on.
  // Its counters must live as long as the configuration has it: until the end, or with `passing` until remove().
  Port add(unsigned no, bool passing = false) {
    Port p = put(no);
    draft_->publish();
    if (!passing) lasting_.push_back(p.shared);
    return p;
  }
  Port add_quietly(unsigned no) {
    Port p = put(no);
    draft_->publish_addition(defer_);
    lasting_.push_back(p.shared);
    return p;
  }
  Port put(unsigned no) {
    Port p{static_cast<PortNo>(no), std::make_shared<QueueIo>(GetParam()), std::make_shared<PortShared>(kWorkers), 0};
    p.shared->up = true;
    p.slot = draft_->add_io(p.io, p.no, p.shared.get()).value();
    auto conf = std::make_shared<PortConf>();
    conf->no = p.no;
    conf->io = p.slot;
    conf->policy = access();
    conf->derive();
    conf->shared = p.shared.get();
    conf->bridge = &bridge_;
    draft_->set_port(std::move(conf));
    return p;
  }
  void remove(const Port& p) {
    draft_->remove_port(p.no);
    draft_->remove_io(p.slot);
  }
  static std::uint64_t ends(const Port& p) {
    PortCounters sum;
    for (const auto& w : p.shared->worker) w.counters.add_to(sum);
    std::uint64_t n = sum.tx_packets;
    for (const auto d : sum.drops) n += d;
    return n;
  }

  std::vector<std::shared_ptr<PortShared>> lasting_;
  std::unique_ptr<FramePool> pool_;
  TunnelPaths paths_;
  Mailboxes mail_{kWorkers};
  Signal learned_;
  FdbTable fdb_{100};
  BridgeShared bridge_;
  RcuPtr<Config> config_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<ConfigDraft> draft_;
  bool defer_ = false;  // additions
};

// Additions wait for the end; what takes away waits for nothing, and takes what waits along.
TEST_P(Workers, ChangesAreMadeKnownTogether) {
  const auto known = [this](unsigned no) { return config_.current()->port(static_cast<PortNo>(no)) != nullptr; };
  const Port first = add(1, true);
  defer_ = true;
  add_quietly(2);
  EXPECT_FALSE(known(2));
  const std::uint64_t version = config_.current()->version;
  add_quietly(3);
  EXPECT_EQ(config_.current()->version, version);
  remove(first);
  EXPECT_FALSE(known(1));
  EXPECT_TRUE(known(2) && known(3));
  Port fourth = add_quietly(4);
  EXPECT_FALSE(known(4));
  draft_->publish_deferred();
  EXPECT_TRUE(known(4));
  const std::uint64_t after = config_.current()->version;
  draft_->publish_deferred();
  defer_ = false;
  EXPECT_EQ(config_.current()->version, after) << "nothing was changed";
  add_quietly(5);
  EXPECT_TRUE(known(5)) << "not between the two";
  fourth.io->deliver(frame(mac(99), mac(1)));
  EXPECT_TRUE(fourth.io->await_empty());
}

// One at a time, so that each finds everybody asleep or about to be.
TEST_P(Workers, NoWakeUpIsLost) {
  Port a = add(1);
  Port b = add(2);
  Port c = add(3);
  ASSERT_TRUE(fdb_.put(fdb_key(0, mac(2)), fdb_value(b.no, 0), 0));
  ASSERT_TRUE(fdb_.put(fdb_key(0, mac(1)), fdb_value(a.no, 0), 0));
  for (std::size_t i = 1; i <= 2000; ++i) {
    Bytes there = frame(mac(2), mac(1));
    there.back() = static_cast<std::uint8_t>(i);
    a.io->deliver(there);
    ASSERT_TRUE(b.io->await_sent(i)) << "frame " << i << " to the second port";
    ASSERT_EQ(b.io->last(), there);
    b.io->deliver(frame(mac(1), mac(2)));
    ASSERT_TRUE(a.io->await_sent(i)) << "frame " << i << " back";
  }
  c.io->deliver(frame(*MacAddr::parse("ff:ff:ff:ff:ff:ff"), mac(3)));
  EXPECT_TRUE(a.io->await_sent(2001));
  EXPECT_TRUE(b.io->await_sent(2001));
}

TEST_P(Workers, FloodsUnderLoadLoseNothingUncounted) {
  Port a = add(1);
  Port b = add(2);
  Port c = add(3);
  constexpr std::size_t kFrames = 5000;
  for (std::size_t i = 0; i < kFrames; ++i) {
    a.io->deliver(frame(mac(99), mac(1)));
    ASSERT_TRUE(i % 64 != 0 || a.io->await_empty());
  }
  ASSERT_TRUE(a.io->await_empty());
  // What is under way between workers ends as sent or as counted; what found no packet memory is counted where it came.
  const auto missing = [&](const Port& p) { return kFrames - ends(a) - ends(p); };
  const auto deadline = Clock::now() + kPatience;
  while ((missing(b) != 0 || missing(c) != 0) && Clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(missing(b), 0U);
  EXPECT_EQ(missing(c), 0U);
}

// remove() returns when no worker uses the device any more: it and its counters are destroyed at once.
TEST_P(Workers, PortsComeAndGoUnderTraffic) {
  Port a = add(1);
  Port b = add(2);
  std::atomic<bool> stop{false};
  std::thread traffic([&] {
    while (!stop) {
      a.io->deliver(frame(mac(99), mac(1)));
      if (!a.io->await_empty()) break;
    }
  });
  for (unsigned i = 0; i < 100; ++i) {
    Port c = add(3, true);
    c.io->deliver(frame(mac(99), mac(3)));
    EXPECT_TRUE(c.io->await_sent(1)) << "round " << i;
    remove(c);
    EXPECT_EQ(c.io.use_count(), 1) << "somebody still holds the device";
  }
  stop = true;
  traffic.join();
  const std::uint64_t before = ends(b);
  a.io->deliver(frame(mac(99), mac(1)));
  EXPECT_TRUE(b.io->await_sent(1));
  EXPECT_GE(ends(b), before);
}

// Workers wait in another way for many queues than for few: over the border in both directions.
TEST_P(Workers, ManyPortsComeAndGo) {
  std::vector<Port> ports;
  unsigned number = 0;
  const auto grow = [&](std::size_t to) {
    while (ports.size() < to) ports.push_back(add(++number));
  };
  std::map<PortNo, std::size_t> sent;
  const auto pass = [&](const Port& from, const Port& to) {
    ASSERT_TRUE(fdb_.put(fdb_key(0, mac(2)), fdb_value(to.no, 0), 0));
    from.io->deliver(frame(mac(2), mac(1)));
    ASSERT_TRUE(to.io->await_sent(++sent[to.no])) << "from port " << static_cast<int>(from.no);
  };
  for (int round = 0; round < 3 && !HasFailure(); ++round) {
    grow(kWorkers * 80);
    for (std::size_t i = 0; i < ports.size(); ++i) pass(ports[i], ports[ports.size() - 1 - i]);
    // From the middle, so that old and new ones stay.
    while (ports.size() > 6) {
      remove(ports[3]);
      ports.erase(ports.begin() + 3);
      if (ports.size() % 50 == 0) pass(ports.front(), ports.back());
    }
    for (std::size_t i = 0; i < ports.size(); ++i) pass(ports[i], ports[ports.size() - 1 - i]);
  }
}

// Frames that wait for their rate leave although nothing else wakes the worker that has them; it is not the one that
// received them.
TEST_P(Workers, ShapedFramesLeaveWhileEverybodySleeps) {
  Port a = add(1);
  Port b = add(2);
  const std::size_t length = frame(mac(99), mac(1)).size();
  constexpr std::size_t kFrames = 200;
  const QosSpec spec{kFrames * length * 8 * 10, {{0, {}}}};  // all of them in 100 ms
  const auto qos = QosConf::make(spec, nullptr);
  draft_->set_qos(b.slot, qos);
  draft_->publish();
  for (std::size_t i = 0; i < kFrames; ++i) a.io->deliver(frame(mac(99), mac(1)));
  EXPECT_TRUE(b.io->await_sent(kFrames));
  EXPECT_EQ(qos->queues.at(0)->packets.get(), kFrames);
  // With rates that change under traffic, none is lost and none counted twice.
  for (std::size_t i = 1; i <= 50; ++i) {
    draft_->set_qos(b.slot, QosConf::make({spec.max_rate * i, {{0, {}}}}, qos.get()));
    draft_->publish();
    for (std::size_t n = 0; n < 10; ++n) a.io->deliver(frame(mac(99), mac(1)));
  }
  draft_->set_qos(b.slot, nullptr);
  draft_->publish();
  EXPECT_TRUE(b.io->await_sent(kFrames + 500));
}

TEST_P(Workers, StopWhileFramesAreUnderWay) {
  Port a = add(1);
  Port b = add(2);
  for (int i = 0; i < 500; ++i) a.io->deliver(frame(mac(99), mac(1)));
  workers_.clear();  // must return, whatever they were at
  EXPECT_LE(ends(b), 500U);
}

INSTANTIATE_TEST_SUITE_P(Polling, Workers, ::testing::Bool(),
                         [](const auto& i) { return i.param ? "EveryRound" : "WhenReady"; });

}  // namespace
}  // namespace heddle::dp
