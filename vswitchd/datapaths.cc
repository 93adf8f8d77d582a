// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/datapaths.h"

#include <filesystem>

#include "base/log.h"
#include "datapath/kernel/kernel_datapath.h"
#include "datapath/user/user_datapath.h"

namespace heddle::vswitchd {

std::string owner_text(const std::string& rundir) {
  std::error_code error;
  const auto path = std::filesystem::weakly_canonical(rundir, error);
  return "heddle:" + (error ? rundir : path.string());
}

Result<std::unique_ptr<Datapaths>> Datapaths::make(const Options& options, const TimeSource& time,
                                                   const dp::GroupMemberships::Keep& keep_socket) {
  auto all = std::make_unique<Datapaths>();
  const std::string owner = owner_text(options.rundir);
  auto user = dp::make_user_datapath({options.workers, options.frames, &time, owner, keep_socket});
  if (!user) return std::unexpected(user.error());
  all->providers_["user"] = std::make_unique<Provider>(std::move(*user), time);
  auto kernel = dp::make_kernel_datapath({owner, options.bpffs, &time, keep_socket});
  if (kernel) {
    all->providers_["kernel"] = std::make_unique<Provider>(std::move(*kernel), time);
  } else {
    all->why_not_["kernel"] = kernel.error().text;
    spdlog::warn("no kernel datapath: {}; going on with the user-space datapath alone", kernel.error().text);
  }
  all->standard_ = options.datapath;
  // Bridges that an earlier daemon has in the kernel must not move, with their devices, because of a passing failure:
  // they say what is wrong, and forward as they did.
  if (!kernel && kernel.error().code != Errc::unsupported && all->standard_.empty()) all->standard_ = "kernel";
  return all;
}

Result<> Datapaths::start() {
  for (const auto& [type, provider] : providers_)
    if (auto r = provider->handler.start(); !r) return r;
  return {};
}

std::map<std::string, ofproto::Switch*> Datapaths::switches() const {
  std::map<std::string, ofproto::Switch*> out;
  for (const auto& [type, provider] : providers_) out[type] = &provider->sw;
  return out;
}

std::map<std::string, dp::Datapath*> Datapaths::datapaths() const {
  std::map<std::string, dp::Datapath*> out;
  for (const auto& [type, provider] : providers_) out[type] = provider->datapath.get();
  return out;
}

std::map<std::string, OverlayService::Datapath> Datapaths::for_overlay() const {
  std::map<std::string, OverlayService::Datapath> out;
  for (const auto& [type, provider] : providers_) out[type] = {&provider->sw, &provider->handler, &provider->news};
  return out;
}

DatapathOffer Datapaths::offer() const {
  DatapathOffer offer{{}, standard_, why_not_};
  for (const auto& [type, provider] : providers_) offer.types[type] = provider->datapath->ports().kinds();
  return offer;
}

void Datapaths::settle() {
  for (const auto& [type, provider] : providers_) provider->datapath->settle();
}

void Datapaths::clean_up() {
  for (const auto& [type, provider] : providers_) {
    for (const std::string& bridge : provider->sw.bridges()) provider->sw.remove_bridge(bridge);
    provider->handler.stop();
    provider->datapath->clean_up();
  }
}

}  // namespace heddle::vswitchd
