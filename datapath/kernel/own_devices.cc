// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/own_devices.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/fd.h"
#include "base/log.h"

namespace heddle::dp {
namespace {

// hdvx and a UDP port, or hd or hp and eight hexadecimal digits.
bool has_name_of_ours(const std::string& name) {
  constexpr std::size_t kHash = 8;
  const auto only = [](std::string_view text, std::string_view allowed) {
    return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
  };
  const std::string_view rest = std::string_view(name).substr(std::min<std::size_t>(2, name.size()));
  if (!name.starts_with("hd") && !name.starts_with("hp")) return false;
  if (name.starts_with("hdvx")) return only(rest.substr(2), "0123456789");
  return rest.size() == kHash && only(rest, "0123456789abcdef");
}

bool is_unfinished(const netlink::Link& link) {
  return link.alias.empty() && !link.admin_up && link.master == 0 && (link.kind == "veth" || link.kind == "vxlan");
}

}  // namespace

bool OwnDevices::may_adopt(const netlink::Link& link) const { return is_ours(link) || is_unfinished(link); }

void OwnDevices::disable_ipv6(const std::string& device) {
  const std::string file = "/proc/sys/net/ipv6/conf/" + device + "/disable_ipv6";
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && ::write(fd.get(), "1", 1) != 1) spdlog::debug("{}: not written", file);
}

void OwnDevices::set_link_down(int ifindex) const {
  const auto link = kernel_.link(ifindex);
  if (link && is_ours(*link) && link->admin_up) (void)kernel_.set_up(ifindex, false);
}

void OwnDevices::remove(const std::string& name, const char* kind) const {
  if (name.empty()) return;
  const auto link = kernel_.link(name);
  if (link && is_ours(*link) && link->kind == kind) (void)kernel_.remove_link(link->index);
}

void OwnDevices::remove_others(const std::set<int>& indices, const std::set<std::string>& names) const {
  const auto links = kernel_.links();
  if (!links) return;
  for (const auto& link : *links) {
    const bool made = is_ours(link) && (link.kind == "vxlan" || link.kind == "veth");
    if (made && !indices.contains(link.index) && !names.contains(link.name)) (void)kernel_.remove_link(link.index);
  }
}

void OwnDevices::remove_unfinished() const {
  const auto links = kernel_.links();
  if (!links) return;
  for (const auto& link : *links)
    if (has_name_of_ours(link.name) && is_unfinished(link)) (void)kernel_.remove_link(link.index);
}

}  // namespace heddle::dp
