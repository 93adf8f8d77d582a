// SPDX-License-Identifier: Apache-2.0
// zebra and bgpd as their command sockets show them: whether both run, their version, their BGP neighbors, and what
// zebra knows of a network. One of the two alone is as none: zebra without bgpd has nobody to tell, and a zebra that
// was restarted is not told again by a bgpd that stayed.
//
// Owner: EvpnSource. Threads: the io_context's. Nothing fails: problem() says what is wrong.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "overlay/evpn/vty.h"
#include "overlay/vtep_set.h"

namespace heddle::overlay::evpn {

// What bgpd says of its neighbors ("show bgp l2vpn evpn summary json").
struct Neighbors {
  std::size_t established = 0;
  std::vector<std::string> others;  // "192.0.2.101 is in state Connect"
};
// What is not understood counts as no neighbor. Pure.
Neighbors read_neighbors(const std::string& answer);
// The stations that are behind other VTEPs ("show evpn mac vni N json"); nothing: it is not understood. Pure.
std::optional<std::vector<MacAddr>> read_remote_macs(const std::string& answer);
// Of "show version": "8.4.4"; empty: it is not understood. Pure.
std::string read_version(const std::string& answer);

class FrrWatch {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void frr_up() = 0;
    virtual void frr_down() = 0;
  };
  // `sockets`: the folder with zebra.vty and bgpd.vty.
  FrrWatch(boost::asio::io_context& io, std::string sockets, Listener& listener);
  FrrWatch(const FrrWatch&) = delete;
  FrrWatch& operator=(const FrrWatch&) = delete;

  // To be called every second or so: connects where there is no connection.
  void look();
  void ask_neighbors(std::function<void(const Neighbors&)> answer);
  void ask_remote_macs(Vni vni, std::function<void(const std::vector<MacAddr>&)> answer);

  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] const std::string& version() const { return version_; }
  // Empty: both run.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void lost(const std::string& why);
  void take_version(const std::string& answer);

  boost::asio::io_context& io_;
  std::string sockets_;
  Listener& listener_;
  std::unique_ptr<Vty> zebra_, bgpd_;
  bool up_ = false;
  std::string version_;
  std::string problem_;
};

}  // namespace heddle::overlay::evpn
