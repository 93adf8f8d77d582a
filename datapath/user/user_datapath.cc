// SPDX-License-Identifier: Apache-2.0
// Start and end of the user-space datapath, and the forwarding database's writer.
#include "datapath/user/user_datapath.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>

#include "base/log.h"
#include "datapath/user/user_datapath_impl.h"

namespace heddle::dp {

UserDatapath::UserDatapath(const UserDatapathOptions& options) : options_(options), start_(Clock::now()) {
  for (auto& b : bridges_) b.fdb.store(new FdbTable(0), std::memory_order_relaxed);
}

UserDatapath::~UserDatapath() {
  workers_.clear();  // threads end before what they use goes
  draft_.reset();
  ports_.clear();
  underlays_.clear();
  sockets_.clear();
  for (auto& b : bridges_) delete b.fdb.load(std::memory_order_relaxed);
}

Result<> UserDatapath::start() {
  if (options_.workers < 1 || options_.workers > limits::kWorkers)
    return fail(Errc::invalid, "number of workers must be 1 to " + std::to_string(limits::kWorkers));
  if (auto ok = FramePool::check(options_.frames); !ok) return ok;
  auto kernel = netlink::Netlink::open();
  auto routes = netlink::Netlink::open();
  auto monitor = netlink::Monitor::open();
  if (!kernel) return std::unexpected(kernel.error());
  if (!routes) return std::unexpected(routes.error());
  if (!monitor) return std::unexpected(monitor.error());
  kernel_ = std::move(*kernel);
  kernel_routes_ = std::move(*routes);
  monitor_ = std::move(*monitor);
  tunnels_ = std::make_unique<Tunnels>(*kernel_routes_);

  control_.reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (auto ok = retry_.open(); !ok) return ok;
  for (const int fd : {monitor_->fd(), timer_.get(), retry_.fd(), patched_.fd()}) {
    epoll_event e{};
    e.events = EPOLLIN;
    if (epoll_ctl(control_.get(), EPOLL_CTL_ADD, fd, &e) != 0) return fail_errno(errno, "epoll");
  }
  return {};
}

// What packets need. Not before somebody has a bridge here: a host may have all of them in another datapath.
Result<> UserDatapath::begin() {
  if (draft_) return {};
  auto pool = FramePool::create(options_.frames);
  if (!pool) return std::unexpected(pool.error());
  xsks_.reset();
  pool_ = std::move(*pool);
  xsks_ = std::make_unique<XskFactory>(*pool_);
  mail_ = std::make_unique<Mailboxes>(options_.workers);
  for (unsigned i = 0; i < options_.workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(i, *pool_, config_, tunnels_->paths(), *mail_, learned_, start_));
  }
  draft_ = std::make_unique<ConfigDraft>(config_, workers_);
  for (auto& w : workers_) {
    if (auto ok = w->start(); !ok) {
      workers_.clear();
      draft_.reset();
      return ok;
    }
  }
  return {};
}

std::uint32_t UserDatapath::now() const {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_).count());
}

FdbTable* UserDatapath::fdb(BridgeId bridge) const {
  const auto i = static_cast<std::size_t>(bridge);
  return i < bridges_.size() ? bridges_[i].fdb.load(std::memory_order_relaxed) : nullptr;
}

void UserDatapath::replace_fdb(BridgeId bridge, std::unique_ptr<FdbTable> next) {
  const std::unique_ptr<FdbTable> old(
      bridges_[static_cast<std::size_t>(bridge)].fdb.exchange(next.release(), std::memory_order_acq_rel));
  rcu_synchronize();
}

Result<BridgeId> UserDatapath::add(const std::string& name) {
  if (bridge_ids_.contains(name)) return fail(Errc::exists, "bridge " + name + " exists already");
  if (auto ok = begin(); !ok) return std::unexpected(ok.error());
  std::set<BridgeId> used;
  for (const auto& [other, id] : bridge_ids_) used.insert(id);
  for (std::uint16_t n = 0; n < limits::kBridges; ++n) {
    const auto id = static_cast<BridgeId>(n);
    if (used.contains(id)) continue;
    bridge_ids_[name] = id;
    return id;
  }
  return fail(Errc::limit, "a switch has at most " + std::to_string(limits::kBridges) + " bridges");
}

void UserDatapath::remove(BridgeId bridge) {
  if (std::erase_if(bridge_ids_, [&](const auto& item) { return item.second == bridge; }) == 0) return;
  (void)set(bridge, {});
  const std::lock_guard lock(fdb_mutex_);
  fdb(bridge)->for_each([this](std::uint64_t /*key*/, FdbValue value) { release_path(value); });
  replace_fdb(bridge, std::make_unique<FdbTable>(0));
}

Result<> UserDatapath::set_capacity(BridgeId bridge, std::size_t entries) {
  const std::lock_guard lock(fdb_mutex_);
  const FdbTable* table = fdb(bridge);
  if (table == nullptr) return fail(Errc::invalid, "bridge number out of range");
  if (entries > limits::kFdbMax)
    return fail(Errc::limit,
                "MAC table of " + std::to_string(entries) + " entries: at most " + std::to_string(limits::kFdbMax));
  if (table->capacity() != entries) replace_fdb(bridge, table->rebuilt(entries));
  return {};
}

Result<> UserDatapath::put(const FdbKey& key, const FdbTarget& target) {
  const std::lock_guard lock(fdb_mutex_);
  FdbTable* table = fdb(key.bridge);
  if (table == nullptr) return fail(Errc::invalid, "bridge number out of range");
  const auto known = known_ports_.find(target.port);
  if (known == known_ports_.end())
    return fail(Errc::not_found, "no port " + std::to_string(static_cast<int>(target.port)));
  if (table->capacity() == 0) {  // a bridge's first entry
    replace_fdb(key.bridge, table->rebuilt(limits::kFdbDefault));
    table = fdb(key.bridge);
  }
  std::uint32_t path = known->second.path;
  if (known->second.multipoint != target.remote.has_value())
    return fail(Errc::invalid, "an entry needs a remote VTEP exactly when its port is a multipoint tunnel");
  if (target.remote) {
    auto acquired = tunnels_->acquire(target.port, *target.remote);
    if (!acquired) return std::unexpected(acquired.error());
    path = *acquired;
  }
  const auto before = table->put(fdb_key(key.vlan, key.mac), fdb_value(target.port, path), now());
  if (!before) {
    if (target.remote) tunnels_->release(path);
    return std::unexpected(before.error());
  }
  release_path(*before);
  if (table->worn()) replace_fdb(key.bridge, table->rebuilt(table->capacity()));
  return {};
}

// Only a multipoint port's entries hold a reference to their path.
void UserDatapath::release_path(FdbValue value) {
  const auto port = known_ports_.find(fdb_port(value));
  if (port != known_ports_.end() && port->second.multipoint) tunnels_->release(fdb_path(value));
}

void UserDatapath::remove(const FdbKey& key) {
  const std::lock_guard lock(fdb_mutex_);
  if (FdbTable* table = fdb(key.bridge)) release_path(table->remove(fdb_key(key.vlan, key.mac)));
}

void UserDatapath::usage(std::span<FdbUse> rows) const {
  const std::uint32_t seconds = now();
  const std::lock_guard lock(fdb_mutex_);  // control may be removing a bridge with its table
  for (FdbUse& row : rows) {
    std::uint32_t when = 0;
    const FdbTable* table = fdb(row.key.bridge);
    const bool there = table != nullptr && table->used_at(fdb_key(row.key.vlan, row.key.mac), when);
    row.idle_seconds = there ? seconds - std::min(when, seconds) : UINT32_MAX;
  }
}

std::size_t UserDatapath::poll(std::span<LearnEvent> events) {
  constexpr std::size_t kTurn = 16;  // events one port may bring before the next has its turn
  // The handler also looks after each of its commands, one of which comes with every port: not through all ports then.
  if (!learned_.clear()) return 0;
  const std::lock_guard lock(fdb_mutex_);
  std::vector<std::pair<PortNo, PortShared*>> ports(learners_.begin(), learners_.end());
  std::size_t n = 0;
  bool more = !ports.empty();
  while (more && n < events.size()) {
    more = false;
    for (std::size_t i = 0; i < ports.size() && n < events.size(); ++i) {
      const auto& [no, shared] = ports[event_cursor_++ % ports.size()];
      for (auto& worker : shared->worker) {
        LearnRecord r;
        std::size_t turn = 0;
        for (; turn < kTurn && n < events.size() && worker.learned.pop(r); ++turn) {
          LearnEvent& e = events[n++];
          e.key = {r.bridge, static_cast<VlanId>(r.key >> 48 & 0xfff), MacAddr::from_u64(r.key & 0xffffffffffffULL)};
          e.target = {no, r.tunnelled ? std::optional(r.remote) : std::nullopt};
        }
        more = more || turn == kTurn;
      }
    }
  }
  if (n == events.size() && n > 0) learned_.raise();  // there may be more
  return n;
}

Result<std::unique_ptr<Datapath>> make_user_datapath(const UserDatapathOptions& options) {
  auto dp = std::make_unique<UserDatapath>(options);
  if (auto ok = dp->start(); !ok) return std::unexpected(ok.error());
  return dp;
}

}  // namespace heddle::dp
