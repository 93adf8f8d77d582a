// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/sender_guard.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace heddle::dp {
namespace {

hd_sender to_sender(std::uint32_t port, const std::array<std::uint8_t, 16>& addr) {
  hd_sender s{};
  s.port = port;
  std::memcpy(s.addr, addr.data(), addr.size());
  return s;
}

// The first and the last address of an IPv4 network, to which the host may listen for broadcasts.
std::vector<IpAddr> broadcasts(const netlink::Address& a) {
  if (a.addr.is_v6() || a.prefix >= 31) return {};
  std::array<std::uint8_t, 4> low{};
  std::array<std::uint8_t, 4> high{};
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned bits = std::clamp(static_cast<int>(a.prefix) - static_cast<int>(8 * i), 0, 8);
    const auto mask = static_cast<std::uint8_t>(0xff00U >> bits);
    low[i] = a.addr.data()[i] & mask;
    high[i] = static_cast<std::uint8_t>(low[i] | static_cast<std::uint8_t>(~mask));
  }
  return {IpAddr::v4_bytes(low.data()), IpAddr::v4_bytes(high.data())};
}

}  // namespace

// Which internal ports lead where, for one update.
struct SenderGuard::Leads {
  const DeviceStack& stack;
  std::map<int, PortNo> inward;               // internal ports by the ifindex of the host's end
  std::map<int, std::set<PortNo>> by_device;  // found before
  std::set<PortNo> some;                      // lead to some remote
  std::vector<IpAddr> any_way;                // remotes that may send by all of `some`

  const std::set<PortNo>& ports(int device) {
    const auto [it, fresh] = by_device.try_emplace(device);
    if (fresh && !inward.empty())
      for (const int lower : stack.below(device))
        if (const auto port = inward.find(lower); port != inward.end()) it->second.insert(port->second);
    return it->second;
  }
  std::set<PortNo> ports(const Route& route) {
    std::set<PortNo> found;
    for (const int device : route.devices) found.insert(ports(device).begin(), ports(device).end());
    some.insert(found.begin(), found.end());
    return found;
  }
};

SenderGuard::Key SenderGuard::of_address(std::uint32_t port, const IpAddr& addr) {
  Key key{port, {}};
  std::copy_n(addr.data(), addr.size(), key.addr.begin());
  return key;
}

// See TunnelSpec::strict_ingress. Without a route the remote's packets are taken as a looser tunnel's.
void SenderGuard::add_tunnel(const PortEntry& p, Leads& leads, Content& content) const {
  const TunnelSpec& tunnel = p.spec().tunnel;
  const auto udp_port = tunnel.vxlan().dst_port;
  Key udp{HD_UDP, {}};
  content[udp] |= HD_SERVES;
  udp.addr[0] = static_cast<std::uint8_t>(udp_port >> 8);
  udp.addr[1] = static_cast<std::uint8_t>(udp_port);
  content[udp] |= tunnel.remote ? HD_SERVES : HD_SERVES | HD_ANY_SENDER;
  for (const std::uint32_t n : p.tunnel.flood) (void)leads.ports(remotes_.route(n));
  if (p.tunnel.remote == 0) return;
  const Route route = remotes_.route(p.tunnel.remote);
  const auto ports = leads.ports(route);
  if (!tunnel.strict_ingress || route.devices.empty()) {
    leads.any_way.push_back(*tunnel.remote);
    return;
  }
  for (const PortNo no : ports) content[of_address(static_cast<std::uint32_t>(no), *tunnel.remote)] = 1;
}

void SenderGuard::add_host(Content& content) {
  if (!std::exchange(asked_, true)) {
    auto addresses = kernel_.addresses();
    if (addresses) addresses_ = std::move(*addresses);
  }
  for (const auto& a : addresses_) {
    content[of_address(HD_HOST, a.addr)] = 1;
    for (const IpAddr& all : broadcasts(a)) content[of_address(HD_HOST, all)] = 1;
  }
}

SenderGuard::Content SenderGuard::wanted() {
  if (!std::exchange(read_, true)) stack_.read(kernel_);
  Content content;
  Leads leads{stack_, {}, {}, {}, {}};
  for (const auto& [no, p] : ports_)
    if (p.is_pair() && p.device.attached() && !p.device.moved) leads.inward[p.device.link.index] = no;
  for (const auto& [no, p] : ports_)
    if (p.is_tunnel()) add_tunnel(p, leads, content);
  if (content.empty()) return content;
  for (const PortNo no : leads.some) {
    content[{static_cast<std::uint32_t>(no), {}}] = 1;
    for (const IpAddr& remote : leads.any_way) content[of_address(static_cast<std::uint32_t>(no), remote)] = 1;
  }
  add_host(content);
  return content;
}

// During a take-over the former life's elements stay: its tunnels are not all configured again.
void SenderGuard::write(const Content& next) {
  for (const auto& [key, bits] : next) {
    const auto it = written_.find(key);
    if (it != written_.end() && it->second == bits) continue;
    if (auto ok = map_.put(to_sender(key.port, key.addr), bits); !ok) {
      spdlog::error("{}: packets of tunnels that come by a bridge's port may be lost", ok.error().text);
      break;  // and so it would be with all others
    }
    written_[key] = bits;
  }
  if (!settled_) return;
  std::erase_if(written_, [&](const auto& element) {
    const Key& key = element.first;
    return !next.contains(key) && (map_.erase(to_sender(key.port, key.addr)), true);
  });
}

void SenderGuard::settle() {
  settled_ = true;
  map_.for_each([this](const hd_sender& s, __u32 bits) {
    Key key{s.port, {}};
    std::memcpy(key.addr.data(), s.addr, key.addr.size());
    written_[key] = bits;
  });
  update();
}

}  // namespace heddle::dp
