// Questions to the kernel about devices, addresses, routes and neighbours, and the few changes that the switch makes.
//
// A Netlink owns one NETLINK_ROUTE socket, in the network namespace of the thread that called open(); it serves that
// namespace for good. Every call is one request and its answer: it blocks for the kernel's work (microseconds for one
// object; a dump takes as long as the table is) and gives up after a second. One thread at a time may use an object;
// threads that ask at the same time open one each.
//
// Failures: Errc::not_found for a device that does not exist, Errc::invalid for an argument the kernel cannot mean,
// Errc::system for all else (no permission, time-out). After a failure the object is as good as new.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "netlink/types.h"

namespace heddle::netlink {

class Netlink {
 public:
  static Result<std::unique_ptr<Netlink>> open();
  ~Netlink();
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  Result<Link> link(const std::string& name);
  Result<Link> link(int index);
  Result<std::vector<Link>> links();
  Result<std::vector<Address>> addresses();

  // RTM_GETROUTE with one destination, like `ip route get`: policy rules, metrics and learned path MTUs all apply. No
  // route is an answer (Route::unreachable), not an error. An IPv4 `src` must be an address of this
  // host, else Errc::invalid; the kernel does not hold an IPv6 one against its addresses.
  Result<Route> route(const IpAddr& dst, std::optional<IpAddr> src, int oif = 0);

  // Nothing when the table has no entry for the address.
  Result<std::optional<Neighbour>> neighbour(int ifindex, const IpAddr& addr);
  // RTM_NEWNEIGH with NTF_USE: as if a packet had been sent there. The kernel makes an entry and resolves it, or probes
  // a stale one; the outcome comes as a Monitor event.
  Result<> use_neighbour(int ifindex, const IpAddr& addr);

  Result<> set_up(int index, bool up);
  Result<> set_mtu(int index, unsigned mtu);
  Result<> set_mac(int index, MacAddr mac);
  Result<> remove_link(int index);

 private:
  bool is_ours(const IpAddr& addr);

  class Impl;
  explicit Netlink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::netlink
