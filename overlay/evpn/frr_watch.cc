// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/frr_watch.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "ovsdb/json.h"

namespace heddle::overlay::evpn {
namespace {

using ovsdb::Json;

constexpr unsigned kOldest = 804;  // 8.4: what the facts about zebra's entries were tried with

// 804 of "8.4.4".
unsigned number_of(const std::string& version) {
  unsigned major = 0;
  unsigned minor = 0;
  const auto* end = version.data() + version.size();
  const auto [at, error] = std::from_chars(version.data(), end, major);
  if (error == std::errc() && at != end) std::from_chars(at + 1, end, minor);
  return major * 100 + minor;
}

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

}  // namespace

Neighbors read_neighbors(const std::string& answer) {
  Neighbors out;
  const Json json = Json::parse(answer, nullptr, false);
  const Json* peers = member(json, "peers");
  if (peers == nullptr || !peers->is_object()) return out;
  for (const auto& [name, peer] : peers->items()) {
    const Json* state = member(peer, "state");
    const std::string text = state != nullptr && state->is_string() ? state->get<std::string>() : "unknown";
    if (text == "Established")
      ++out.established;
    else
      out.others.push_back(fmt::format("{} is in state {}", name, text));
  }
  return out;
}

std::optional<std::vector<MacAddr>> read_remote_macs(const std::string& answer) {
  const Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  std::vector<MacAddr> out;
  const Json* macs = member(json, "macs");
  if (macs == nullptr || !macs->is_object()) return out;
  for (const auto& [text, entry] : macs->items()) {
    const auto mac = MacAddr::parse(text);
    const Json* type = member(entry, "type");
    if (mac && type != nullptr && *type == "remote") out.push_back(*mac);
  }
  return out;
}

std::string read_version(const std::string& answer) {
  constexpr std::string_view kName = "FRRouting ";
  const auto at = answer.find(kName);
  if (at == std::string::npos) return {};
  const auto begin = at + kName.size();
  return answer.substr(begin, answer.find_first_not_of("0123456789.", begin) - begin);
}

FrrWatch::FrrWatch(boost::asio::io_context& io, std::string sockets, Listener& listener)
    : io_(io), sockets_(std::move(sockets)), listener_(listener) {}

void FrrWatch::look() {
  if (zebra_ && bgpd_) return;
  for (const auto& [name, vty] : {std::pair("zebra", &zebra_), std::pair("bgpd", &bgpd_)}) {
    auto opened = Vty::open(io_, sockets_ + "/" + name + ".vty", [this](const std::string& why) { lost(why); });
    if (!opened) {
      zebra_.reset();
      bgpd_.reset();
      problem_ = std::string(name) + " does not run: " + opened.error().text;
      return;
    }
    *vty = std::move(*opened);
  }
  zebra_->ask("show version", [this](const std::string& answer) { take_version(answer); });
}

void FrrWatch::take_version(const std::string& answer) {
  version_ = read_version(answer);
  if (number_of(version_) < kOldest) {
    problem_ = "FRR has version " + (version_.empty() ? "unknown" : version_) + ": it takes 8.4 or later";
    return;
  }
  problem_.clear();
  up_ = true;
  listener_.frr_up();
}

// The callbacks of a Vty end with it: it goes when this function has returned.
void FrrWatch::lost(const std::string& why) {
  const auto zebra = std::exchange(zebra_, nullptr);
  const auto bgpd = std::exchange(bgpd_, nullptr);
  problem_ = "FRR: " + why;
  if (std::exchange(up_, false)) listener_.frr_down();
}

void FrrWatch::ask_neighbors(std::function<void(const Neighbors&)> answer) {
  if (!up_) return;
  bgpd_->ask("show bgp l2vpn evpn summary json",
             [then = std::move(answer)](const std::string& text) { then(read_neighbors(text)); });
}

void FrrWatch::ask_remote_macs(Vni vni, std::function<void(const std::vector<MacAddr>&)> answer) {
  if (!up_ || zebra_->waiting() > 0) return;
  zebra_->ask("show evpn mac vni " + std::to_string(vni) + " json",
              [then = std::move(answer)](const std::string& text) {
                if (const auto macs = read_remote_macs(text)) then(*macs);
              });
}

}  // namespace heddle::overlay::evpn
