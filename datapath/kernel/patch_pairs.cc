// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/patch_pairs.h"

#include <fmt/format.h>

namespace heddle::dp {
namespace {

constexpr unsigned kLargestMtu = 65535;

}  // namespace

std::string PatchPairs::end_name(const std::string& port, const std::string& peer) {
  std::uint32_t hash = 2166136261U;  // FNV-1a; the zero that ends `port` tells ("ab", "c") from ("a", "bc")
  for (const std::string& word : {port + std::string(1, 0), peer})
    for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return fmt::format("hp{:08x}", hash);
}

Result<> PatchPairs::check(const PortSpec& spec) {
  if (spec.peer.empty()) return fail(Errc::invalid, "patch port " + spec.name + " names no peer: set options:peer");
  if (spec.peer == spec.name) return fail(Errc::invalid, "patch port " + spec.name + " names itself as its peer");
  return {};
}

Result<> PatchPairs::make_links(const std::string& near, const std::string& far, const std::string& port,
                                const InUse& in_use) const {
  netlink::Netlink& kernel = own_.kernel();
  for (const std::string& name : {near, far}) {
    const auto end = kernel.link(name);
    if (!end) continue;
    if (end->kind != "veth" || !own_.may_adopt(*end))
      return fail(
          Errc::exists,
          fmt::format("network device {}, which patch port {} needs, was made by another: remove it (ip link del {})",
                      name, port, name));
    const auto other = kernel.link(name == near ? far : near);
    if (other && !end->link_netns && end->link == other->index) {
      for (const netlink::Link& link : {*end, *other})
        if (auto ok = own_.mark(link); !ok) return ok;
      return {};
    }
    if (in_use(end->index) || (!end->link_netns && in_use(end->link)))
      return fail(Errc::exists, fmt::format("network device {}, which patch port {} needs, is another port's: give the "
                                            "port or its peer another name",
                                            name, port));
    if (auto ok = kernel.remove_link(end->index); !ok) return ok;
  }
  const auto made = kernel.add_veth({near, far, std::nullopt, kLargestMtu, own_.owner()});
  if (!made) return std::unexpected(made.error());
  for (const std::string& name : {near, far}) OwnDevices::disable_ipv6(name);
  return {};
}

Result<netlink::Link> PatchPairs::make(const PortSpec& spec, const InUse& in_use) const {
  const std::string near = end_name(spec.name, spec.peer);
  if (auto ok = make_links(near, end_name(spec.peer, spec.name), spec.name, in_use); !ok)
    return std::unexpected(ok.error());
  return own_.kernel().link(near);
}

void PatchPairs::remove(const PortSpec& spec, const InUse& in_use) const {
  const std::string near = end_name(spec.name, spec.peer);
  const auto end = own_.kernel().link(near);
  if (!end || in_use(end->index) || (!end->link_netns && in_use(end->link))) return;
  own_.remove(near, "veth");
}

}  // namespace heddle::dp
