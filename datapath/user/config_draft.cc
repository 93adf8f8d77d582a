// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/config_draft.h"

#include <algorithm>
#include <array>

namespace heddle::dp {

ConfigDraft::ConfigDraft(RcuPtr<Config>& live, std::vector<std::unique_ptr<Worker>>& workers)
    : live_(live), workers_(workers), load_(workers.size()) {
  draft_.ports.resize(limits::kPorts);
  draft_.bridges.resize(limits::kBridges);
  draft_.rx.resize(workers.size());
  publish();
}

Result<std::uint32_t> ConfigDraft::add_io(std::shared_ptr<PortIo> io, PortNo port, PortShared* shared) {
  auto free = std::find(draft_.ios.begin(), draft_.ios.end(), nullptr);
  if (free == draft_.ios.end()) {
    if (draft_.ios.size() == 2 * limits::kPorts) return fail(Errc::limit, "too many devices in the switch");
    free = draft_.ios.insert(free, nullptr);
  }
  const auto slot = static_cast<std::uint32_t>(free - draft_.ios.begin());
  auto conf = std::make_shared<IoConf>();
  conf->io = std::move(io);
  conf->generation = ++generation_;
  conf->port = port;
  conf->device = conf->io->device();
  conf->shared = shared;
  for (unsigned q = 0; q < conf->io->queues(); ++q) {
    const auto worker = static_cast<std::uint8_t>(std::min_element(load_.begin(), load_.end()) - load_.begin());
    if (!conf->io->cheap_to_poll()) {
      if (auto ok = workers_[worker]->watch(conf->io->fd(q), slot); !ok) return std::unexpected(ok.error());
    }
    conf->queue_worker.push_back(worker);
    draft_.rx[worker].push_back(
        {slot, static_cast<std::uint8_t>(q), conf->io->cheap_to_poll(), conf->io->fd(q), conf->generation});
    ++load_[worker];
  }
  *free = std::move(conf);
  return slot;
}

void ConfigDraft::remove_io(std::uint32_t slot) {
  for (const std::uint8_t worker : draft_.ios[slot]->queue_worker) --load_[worker];
  for (auto& queues : draft_.rx) std::erase_if(queues, [&](const Config::RxQueue& q) { return q.io == slot; });
  draft_.ios[slot] = nullptr;
  publish();
}

void ConfigDraft::set_qos(std::uint32_t slot, std::shared_ptr<const QosConf> qos) {
  auto conf = std::make_shared<IoConf>(*draft_.ios[slot]);
  conf->qos = std::move(qos);
  draft_.ios[slot] = std::move(conf);
}

void ConfigDraft::set_port(std::shared_ptr<const PortConf> port) {
  remove_port(port->no);
  const auto bridge = static_cast<std::size_t>(port->policy.bridge);
  if (port->bridge != nullptr) draft_.bridges[bridge].push_back(port);
  if (port->tunnel()) {
    const IpAddr any = port->tunnel_spec.v6 ? IpAddr::v6_bytes(std::array<std::uint8_t, 16>{}.data()) : IpAddr{};
    draft_
        .tunnels[{port->tunnel_spec.vxlan().vni, port->tunnel_spec.vxlan().dst_port,
                  port->tunnel_spec.remote.value_or(any)}]
        .push_back(port.get());
  }
  draft_.ports[static_cast<std::size_t>(port->no)] = std::move(port);
}

void ConfigDraft::set_slot(PortNo no, std::uint32_t slot) {
  const auto& port = draft_.ports[static_cast<std::size_t>(no)];
  if (!port) return;
  auto conf = std::make_shared<PortConf>(*port);
  conf->io = slot;
  set_port(std::move(conf));
}

void ConfigDraft::remove_port(PortNo no) {
  auto& place = draft_.ports[static_cast<std::size_t>(no)];
  if (!place) return;
  for (auto& members : draft_.bridges) std::erase(members, place);
  for (auto it = draft_.tunnels.begin(); it != draft_.tunnels.end();) {
    std::erase(it->second, place.get());
    it = it->second.empty() ? draft_.tunnels.erase(it) : std::next(it);
  }
  place = nullptr;
}

void ConfigDraft::publish_addition(bool defer) {
  deferred_ = true;
  if (!defer) publish();
}

void ConfigDraft::publish_deferred() {
  if (deferred_) publish();
}

void ConfigDraft::publish() {
  deferred_ = false;
  ++draft_.version;
  live_.publish(std::make_unique<Config>(draft_));
  for (auto& w : workers_) w->take_up(draft_.version);
}

}  // namespace heddle::dp
