// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/frr_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "base/fd.h"

namespace heddle::overlay::evpn {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

// Next hops are VTEPs, which zebra's namespace does not reach: the BGP session and the datapath are judges of that.
std::string zebra_conf() { return "ip nht resolve-via-default\n"; }

// Keepalives of 3 s and a hold time of 9 s: a VTEP that hangs is gone after 9 s, not after three minutes. A neighbor of
// another AS need not be on the link: zebra in its namespace knows no link.
std::string bgpd_conf(const BgpSettings& settings, const IpAddr& router_id) {
  std::string out = fmt::format(
      "frr defaults datacenter\n"
      "router bgp {}\n"
      " bgp router-id {}\n"
      " no bgp default ipv4-unicast\n"
      " no bgp ebgp-requires-policy\n",
      settings.asn, router_id.to_string());
  std::string activate;
  for (const IpAddr& neighbor : settings.neighbors) {
    const std::string name = neighbor.to_string();
    out += fmt::format(" neighbor {0} remote-as {1}\n neighbor {0} timers 3 9\n neighbor {0} timers connect 3\n", name,
                       settings.remote_asn);
    if (settings.remote_asn != settings.asn) out += fmt::format(" neighbor {} ebgp-multihop 255\n", name);
    activate += fmt::format("  neighbor {} activate\n", name);
  }
  return out + " !\n address-family l2vpn evpn\n" + activate + "  advertise-all-vni\n exit-address-family\n";
}

// True when the file is another than before.
bool FrrFiles::put(const std::string& name, const std::string& text, Result<>& done) const {
  const std::string path = folder_ + "/" + name;
  if (std::filesystem::exists(path) && read_file(path) == text) return false;
  const std::string fresh = path + ".new";
  std::ofstream(fresh) << text;
  std::error_code error;
  std::filesystem::rename(fresh, path, error);
  if (error || read_file(path) != text) done = fail(Errc::system, path + " cannot be written");
  return true;
}

Result<> FrrFiles::want(const BgpSettings& settings, const IpAddr& vtep) const {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  Result<> done;
  bool changed = put("zebra.conf", zebra_conf(), done);
  changed = put("bgpd.conf", bgpd_conf(settings, vtep), done) || changed;
  changed = put("vtep", vtep.to_string() + "\n", done) || changed;
  changed = put("wanted", "", done) || changed;
  if (changed) poke();
  return done;
}

bool FrrFiles::stop() const {
  std::error_code error;
  if (!std::filesystem::remove(folder_ + "/wanted", error)) return false;
  poke();
  return true;
}

std::optional<int> FrrFiles::holder() const {
  std::ifstream in(folder_ + "/holder");
  int pid = 0;
  if (in >> pid && pid > 0) return pid;
  return std::nullopt;
}

std::string FrrFiles::problem() const {
  std::string text = read_file(folder_ + "/problem");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void FrrFiles::poke() const {
  const Fd control(::open((folder_ + "/control").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  constexpr std::string_view kLine = "again\n";
  if (control) (void)!::write(control.get(), kLine.data(), kLine.size());
}

}  // namespace heddle::overlay::evpn
