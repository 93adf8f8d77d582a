// SPDX-License-Identifier: Apache-2.0
// Patch ports: two that name each other are the ends of a veth pair, each end a device like any other port's.
//
// An end is called by a hash of (port, peer), the other by that of (peer, port), so whichever port comes first makes
// the pair, and only the port that names the first can take the other end up. An end that no port has is down: then
// the other has no carrier, and nothing can reach the host's own stack.
#include <fmt/format.h>

#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {
namespace {

constexpr unsigned kLargestMtu = 65535;

}  // namespace

std::string patch_name(const std::string& port, const std::string& peer) {
  std::uint32_t hash = 2166136261U;  // FNV-1a; the zero that ends `port` tells ("ab", "c") from ("a", "bc")
  for (const std::string& word : {port + std::string(1, 0), peer})
    for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return fmt::format("hp{:08x}", hash);
}

Result<> KernelDatapath::check_patch(const PortSpec& spec) {
  if (spec.peer.empty()) return fail(Errc::invalid, "patch port " + spec.name + " names no peer: set options:peer");
  if (spec.peer == spec.name) return fail(Errc::invalid, "patch port " + spec.name + " names itself as its peer");
  return {};
}

// Makes the pair, or takes up the one that is there. Half a pair (the other end is in another namespace) goes first.
Result<> KernelDatapath::make_patch(const std::string& near, const std::string& far, const std::string& port) {
  for (const std::string& name : {near, far}) {
    const auto end = kernel_->link(name);
    if (!end) continue;
    if (end->kind != "veth" || (end->alias != options_.owner && !may_adopt(*end)))
      return fail(
          Errc::exists,
          fmt::format("network device {}, which patch port {} needs, was made by another: remove it (ip link del {})",
                      name, port, name));
    const auto other = kernel_->link(name == near ? far : near);
    if (other && !end->link_netns && end->link == other->index) {
      for (const int index : {end->index, other->index})
        if (auto ok = kernel_->set_alias(index, options_.owner); !ok) return ok;
      return {};
    }
    if (auto ok = kernel_->remove_link(end->index); !ok) return ok;
  }
  auto made = kernel_->add_veth({near, far, std::nullopt, kLargestMtu, options_.owner});
  if (!made) return std::unexpected(made.error());
  for (const std::string& name : {near, far}) silence(name);
  return {};
}

// The program is there before the end is up.
Result<> KernelDatapath::open_patch(PortEntry& p) {
  const std::string near = patch_name(p.spec.name, p.spec.peer);
  if (auto ok = make_patch(near, patch_name(p.spec.peer, p.spec.name), p.spec.name); !ok) return ok;
  const auto link = kernel_->link(near);
  if (!link) return std::unexpected(link.error());
  for (const auto& [no, other] : ports_)
    if (no != p.no && other.hook.ifindex() == link->index)
      return fail(Errc::exists, "patch port " + p.spec.name + ": its device's name " + near + " is that of port " +
                                    other.spec.name + ": give it another name");
  if (auto ok = attach(p, *link, false); !ok) return ok;
  p.link = *link;
  return kernel_->set_up(link->index, true);
}

// Whether the port at the other end has it in use.
bool KernelDatapath::peer_is_here(const PortEntry& p) const {
  const auto it = by_name_.find(p.spec.peer);
  const PortEntry* other = it == by_name_.end() ? nullptr : find(it->second);
  return other != nullptr && other->patch() && other->spec.peer == p.spec.name && other->hook.ifindex() != 0;
}

// The port is gone, its device down. The pair stays for the other port, if that has its end.
void KernelDatapath::remove_patch(const PortEntry& p) {
  if (peer_is_here(p)) return;
  const auto near = kernel_->link(patch_name(p.spec.name, p.spec.peer));
  if (near && near->alias == options_.owner && near->kind == "veth") (void)kernel_->remove_link(near->index);
}

// A device of ours that is to lose its program: from then on its frames would be the host's.
void KernelDatapath::shut(int ifindex) const {
  const auto link = kernel_->link(ifindex);
  if (link && link->alias == options_.owner && link->admin_up) (void)kernel_->set_up(ifindex, false);
}

PortState KernelDatapath::patch_state(const PortEntry& p) const {
  PortState s;
  s.present = p.hook.ifindex() != 0;
  s.error = p.error;
  s.mac = p.link.mac;
  s.admin_up = true;
  s.link_up = (p.conf.flags & HD_UP) != 0;
  s.details = {{"peer", p.spec.peer}};
  if (s.present) s.details.emplace_back("device", p.link.name);
  return s;
}

}  // namespace heddle::dp
