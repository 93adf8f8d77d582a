// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/worker_group.h"

namespace heddle::dp {

Result<> WorkerGroup::check(const Options& options) {
  if (options.workers < 1 || options.workers > limits::kWorkers)
    return fail(Errc::invalid, "number of workers must be 1 to " + std::to_string(limits::kWorkers));
  return FramePool::check(options.frames);
}

WorkerGroup::WorkerGroup(const Options& options, const TunnelPaths& paths, Signal& learned, TimePoint epoch)
    : options_(options), paths_(paths), learned_(learned), epoch_(epoch) {}

Result<> WorkerGroup::start() {
  if (running()) return {};
  auto pool = FramePool::create(options_.frames);
  if (!pool) return std::unexpected(pool.error());
  sockets_.reset();
  pool_ = std::move(*pool);
  sockets_ = std::make_unique<XskFactory>(*pool_);
  shares_ = std::make_unique<PacketShares>(pool_->count());
  mail_ = std::make_unique<Mailboxes>(options_.workers);
  for (unsigned i = 0; i < options_.workers; ++i)
    workers_.push_back(std::make_unique<Worker>(i, *pool_, config_, paths_, *mail_, learned_, epoch_));
  draft_ = std::make_unique<ConfigDraft>(config_, workers_);
  for (auto& w : workers_) {
    if (auto ok = w->start(); !ok) {
      stop();
      return ok;
    }
  }
  return {};
}

void WorkerGroup::stop() {
  if (!running()) return;
  workers_.clear();  // threads end before the objects that they use
  draft_.reset();
  config_.publish(nullptr);
}

}  // namespace heddle::dp
