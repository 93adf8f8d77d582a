// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/forwarder.h"

namespace heddle::dp {

Forwarder::Forwarder(unsigned worker, FramePool& pool, const TunnelPaths& paths, Mailboxes& mail, Signal& learned)
    : round_{.worker = worker},
      cache_(pool),
      checksums_(cache_),
      reports_(round_, learned),
      queues_(round_, cache_, mail),
      patches_(round_, cache_),
      tunnel_input_(round_, cache_, checksums_, paths),
      tunnel_output_(round_, cache_, checksums_, queues_, paths),
      normal_(round_, paths),
      mirrors_(round_),
      emitter_(round_, cache_, checksums_, reports_, queues_, tunnel_output_, patches_) {}

void Forwarder::begin(const Config& config, std::chrono::nanoseconds now) {
  round_.config = &config;
  round_.nanoseconds = static_cast<std::uint64_t>(now.count());
  round_.seconds = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  queues_.begin();
}

void Forwarder::input(std::uint32_t slot, const Batch& batch) {
  const IoConf& io = *round_.config->ios[slot];
  const PortConf* port = round_.config->port(io.port);
  std::uint64_t bytes = 0;
  // The frames lie in the cache of the core that received them. An underlay's inner headers are in the second line.
  constexpr std::size_t kLine = 64;
  constexpr unsigned kLinkHeaders = sizeof(packet::EthHeader) + 2 * sizeof(packet::VlanTag);
  const unsigned mtu = port == nullptr ? 0 : port->shared->mtu.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < batch.n; ++i) {
    __builtin_prefetch(cache_.data(batch.frames[i]));
    if (port == nullptr) __builtin_prefetch(cache_.data(batch.frames[i]) + kLine);
    bytes += cache_.meta(batch.frames[i]).total;
  }
  WorkerCounters& c = round_.counters(*io.shared);
  c.rx_packets.add(batch.n);
  c.rx_bytes.add(bytes);
  for (std::uint32_t i = 0; i < batch.n; ++i) {
    const FrameRef f = batch.frames[i];
    if (port != nullptr) {
      cache_.meta(f).to_be_cut = mtu != 0 && cache_.meta(f).total > mtu + kLinkHeaders;
      bridge(f, *port, nullptr);
    } else if (const auto inner = tunnel_input_.decapsulate(f, io)) {
      bridge(f, *inner->port, inner->port->multipoint() ? &inner->source : nullptr);
    }
  }
  patches_.drain([this](FrameRef f, const PortConf& at) { bridge(f, at, nullptr); });
}

void Forwarder::bridge(FrameRef f, const PortConf& port, const IpAddr* outer_source) {
  if (!port.derived.plain) {
    if (const auto why = refused(f, port)) return emitter_.drop(f, port, *why);
  }
  Ingress in{&port, outer_source, {}};
  if (const auto bad = packet::parse_l2(cache_.data(f), cache_.meta(f).len, in.l2)) return emitter_.drop(f, port, *bad);
  Decision d = normal_.decide(in);
  if (port.rules) mirrors_.add_copies(in, d);
  emitter_.emit(f, in, d);
}

// A port that is a mirror's output brings nothing; another may bring as much as its policing lets it.
std::optional<Drop> Forwarder::refused(FrameRef f, const PortConf& port) {
  if (port.derived.mirror_output) return Drop::mirror_port;
  const Policer& p = port.derived.policer;
  if (p.limits() && !p.pass(port.shared->policed, ticks_of_ns(round_.nanoseconds), cache_.meta(f).total))
    return Drop::policed;
  return std::nullopt;
}

void Forwarder::flush() {
  queues_.flush();
  reports_.flush();
}

}  // namespace heddle::dp
