// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/cleanup.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/shell_word.h"
#include "datapath/kernel/kernel_datapath.h"
#include "datapath/kernel/pins.h"
#include "netlink/netlink.h"
#include "overlay/evpn/frr_files.h"
#include "vswitchd/daemon.h"
#include "vswitchd/datapaths.h"

namespace heddle::vswitchd {
namespace {

using netlink::Netlink;

Result<std::map<int, std::string>> devices_of(Netlink& netlink, const std::string& owner) {
  const auto links = netlink.links();
  if (!links) return std::unexpected(links.error());
  std::map<int, std::string> found;
  for (const netlink::Link& link : *links)
    if (link.alias == owner) found[link.index] = link.name;
  return found;
}

Result<> remove_devices(Netlink& netlink, const std::string& owner) {
  const auto left = devices_of(netlink, owner);
  if (!left) return std::unexpected(left.error());
  for (const auto& [index, name] : *left) {
    const auto r = netlink.remove_link(index);
    // The other end of a pair goes with the first.
    if (!r && r.error().code != Errc::not_found)
      return fail(r.error().code, fmt::format("removing network device {}: {}", name, r.error().text));
  }
  return {};
}

}  // namespace

Result<std::string> remove_left_overs(const Options& options) {
  std::optional<RunLock> lock;  // without the directory no daemon can run on it
  if (std::filesystem::exists(options.rundir)) {
    auto taken = RunLock::take(options.rundir, std::chrono::seconds(5));
    if (!taken && taken.error().code == Errc::exists)
      return fail(Errc::exists, fmt::format("{}; end it, with all it has: vsctl --rundir={} exit --cleanup",
                                            taken.error().text, shell_word(options.rundir)));
    if (!taken) return std::unexpected(taken.error());
    lock.emplace(std::move(*taken));
  }
  raise_limits();
  const auto netlink = Netlink::open();
  if (!netlink) return std::unexpected(netlink.error());
  const std::string owner = owner_text(options.rundir);
  const auto before = devices_of(**netlink, owner);
  if (!before) return std::unexpected(before.error());

  const bool pinned = dp::Pins::exist(options.bpffs, owner);
  const SteadyTime time;
  auto kernel = dp::make_kernel_datapath({owner, options.bpffs, &time});
  if (kernel) {
    (*kernel)->settle();
    (*kernel)->clean_up();
    kernel->reset();
  }
  if (auto r = remove_devices(**netlink, owner); !r) return std::unexpected(r.error());
  if (!kernel && kernel.error().code != Errc::unsupported)
    return fail(kernel.error().code, "what a kernel datapath left cannot be removed: " + kernel.error().text);

  std::string text;
  for (const auto& [index, name] : *before) text += fmt::format("removed device {}\n", name);
  if (kernel && pinned) text += "removed what the kernel datapath had pinned\n";
  if (!kernel) text += fmt::format("no kernel datapath: {}\n", kernel.error().text);
  if (overlay::evpn::FrrFiles(options.evpn_dir).stop()) text += "FRR for EVPN is not wanted any more\n";
  return text.empty() ? "nothing was left\n" : text;
}

}  // namespace heddle::vswitchd
