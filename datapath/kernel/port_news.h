// SPDX-License-Identifier: Apache-2.0
// What the kernel's news mean for ports: devices that come, go, move to another namespace or get another name.
//
// Owner: the kernel datapath. Control thread.
#pragma once

#include <set>
#include <vector>

#include "datapath/control/kernel_news.h"
#include "datapath/kernel/kernel_ports.h"

namespace heddle::dp {

class PortNews final : public NewsListener {
 public:
  explicit PortNews(KernelPorts& ports) : ports_(ports) {}

  void on_link(const netlink::Link& link) override;
  void on_link_gone(const netlink::Link& link) override;
  void on_traffic(int ifindex) override;
  // The kernel keeps the path's MTU; it is asked again.
  bool on_too_big(const packet::TooBig& error) override { return ports_.tunnels().concerns(error); }
  [[nodiscard]] std::vector<netlink::Link> held_links() const override;

  // Asks for changes that come without news, of a few ports at a time: a thousand ports at rest must not cost anything
  // that shows.
  void check();
  // Ports whose state is another since the last call.
  [[nodiscard]] std::set<PortNo> take_changed() { return std::exchange(changed_, {}); }
  // All tunnels: the routes to their remotes are others.
  void routes_changed();

 private:
  void on_renamed(const netlink::Link& link);
  void on_link_of(PortEntry& p, const netlink::Link& link);
  void lose(PortEntry& p, const std::string& why);

  KernelPorts& ports_;
  std::set<PortNo> changed_;
  PortNo last_checked_ = PortNo::none;
};

}  // namespace heddle::dp
