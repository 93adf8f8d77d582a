// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/overlay_writer.h"

#include <utility>

#include "base/log.h"

namespace heddle::vswitchd {

using ofproto::Origin;

OverlayWriter::OverlayWriter(boost::asio::io_context& io, std::map<std::string, ofproto::Handler*> handlers,
                             LookAgain look_again)
    : handlers_(std::move(handlers)), look_again_(std::move(look_again)), soon_(io, [this] { write(); }) {}

void OverlayWriter::touch(const std::string& port) {
  touched_.insert(port);
  soon_();
}

void OverlayWriter::put(const std::string& datapath, Origin origin, const dp::FdbKey& key,
                        const dp::FdbTarget& target) {
  pending_[datapath].push_back({origin, key, target});
  soon_();
}

void OverlayWriter::withdraw(const std::string& datapath, Origin origin, const dp::FdbKey& key) {
  News news{origin, key, std::nullopt};
  if (const auto it = stations_.find({datapath, key}); it != stations_.end()) news.here = it->second;
  pending_[datapath].push_back(news);
  soon_();
}

void OverlayWriter::here(const std::string& datapath, const dp::FdbKey& key, dp::PortNo port) {
  const std::pair place{datapath, key};
  if (stations_.size() < limits::kOverlayMacs || stations_.contains(place)) stations_[place] = port;
}

void OverlayWriter::not_here(const std::string& datapath, const dp::FdbKey& key) { stations_.erase({datapath, key}); }

void OverlayWriter::write() {
  for (const auto& [type, all] : std::exchange(pending_, {})) {
    const std::string failed = handlers_.at(type)->call([&news = all](ofproto::Fdb& fdb) {
      std::string error;
      for (const News& n : news) {
        const Result<> done = n.target ? fdb.put(n.origin, n.key, *n.target) : fdb.withdraw(n.origin, n.key);
        if (!done && n.target) error = done.error().text;
        if (n.here != dp::PortNo::none && !fdb.find(n.key)) fdb.learn({n.key, {n.here, std::nullopt}});
      }
      return error;
    });
    unsigned held_back = 0;
    if (!failed.empty() && complaints_.allow(held_back))
      spdlog::warn("overlay: {} ({} complaints before this one not logged)", failed, held_back);
  }
  if (const auto ports = std::exchange(touched_, {}); !ports.empty()) look_again_(ports);
}

}  // namespace heddle::vswitchd
