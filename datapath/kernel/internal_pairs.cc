// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/internal_pairs.h"

#include <fmt/format.h>

#include "base/shell_word.h"

namespace heddle::dp {
namespace {

constexpr unsigned kLargestMtu = 65535;

}  // namespace

std::string InternalPairs::far_name(const std::string& port) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : port) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return fmt::format("hd{:08x}", hash);
}

Result<> InternalPairs::make_links(const PortSpec& spec) const {
  netlink::Netlink& kernel = own_.kernel();
  const std::string& name = spec.name;
  const std::string back = far_name(name);
  auto near = kernel.link(name);
  const auto far = kernel.link(back);
  if (near && own_.is_ours(*near) && near->kind == "tun") {  // the user-space datapath's
    if (auto ok = kernel.remove_link(near->index); !ok) return ok;
    near = fail(Errc::not_found, "");
  }
  if (far && far->kind == "veth" && own_.may_adopt(*far)) {
    if (far->link_netns || !near || near->index != far->link) return {};  // the host's end is elsewhere
    for (const netlink::Link& end : {*far, *near})
      if (auto ok = own_.mark(end); !ok) return ok;
    return {};
  }
  if (far) return fail(Errc::exists, "network device " + back + ", which port " + name + " needs, was made by another");
  if (near)
    return fail(Errc::exists, "network device " + name +
                                  " exists and was not made by the switch: remove it (ip link del " + shell_word(name) +
                                  ") or give the port another name");
  const auto made = kernel.add_veth({name, back, spec.mac, spec.mtu, own_.owner()});
  if (!made) return std::unexpected(made.error());
  return {};
}

Result<InternalPairs::Pair> InternalPairs::make(const PortSpec& spec) const {
  if (auto ok = make_links(spec); !ok) return std::unexpected(ok.error());
  netlink::Netlink& kernel = own_.kernel();
  const std::string back = far_name(spec.name);
  const auto far = kernel.link(back);
  if (!far) return std::unexpected(far.error());
  OwnDevices::disable_ipv6(back);
  if (far->mtu != kLargestMtu)  // the host's end alone limits the packets that the host sends
    if (auto ok = kernel.set_mtu(far->index, kLargestMtu); !ok) return std::unexpected(ok.error());
  return look(far->index, spec.name);
}

Result<InternalPairs::Pair> InternalPairs::look(int far_index, const std::string& port) const {
  Pair pair;
  const auto far = own_.kernel().link(far_index);
  if (!far) return std::unexpected(far.error());
  pair.far = *far;
  const auto near = own_.kernel().link(port);
  pair.moved = far->link_netns.has_value() || !near || near->index != far->link;
  pair.near = pair.moved ? *far : *near;
  return pair;
}

Result<> InternalPairs::bring_up(const Pair& pair, const PortSpec& spec) const {
  netlink::Netlink& kernel = own_.kernel();
  if (auto ok = kernel.set_up(pair.far.index, true); !ok) return ok;
  if (pair.moved) return {};
  if (spec.mac && pair.near.mac != *spec.mac)
    if (auto ok = kernel.set_mac(pair.near.index, *spec.mac); !ok) return ok;
  if (spec.mtu && pair.near.mtu != *spec.mtu)
    if (auto ok = kernel.set_mtu(pair.near.index, *spec.mtu); !ok) return ok;
  return kernel.set_up(pair.near.index, true);
}

void InternalPairs::remove(const std::string& port) const {
  for (const std::string& device : {far_name(port), port}) own_.remove(device, "veth");
}

}  // namespace heddle::dp
