// SPDX-License-Identifier: Apache-2.0
// The remote VTEPs that tunnels lead to, by number: what the programs need to know of each (address, path MTU, whether
// there is a route), kept as routes change. Encapsulation, neighbours and the choice of a source address are the
// kernel's; its routing table is only asked.
//
// Threads: control and handler, serialised by a mutex inside.
#pragma once

#include <mutex>
#include <optional>

#include "base/addr.h"
#include "base/result.h"
#include "datapath/control/counted_numbers.h"
#include "datapath/control/route.h"
#include "datapath/kernel/programs.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class RemoteVteps {
 public:
  struct Key {
    IpAddr addr;                  // or a multicast group
    std::optional<IpAddr> local;  // none: the route decides
    auto operator<=>(const Key&) const = default;
  };

  // Takes over what the programs have: entries that nobody acquires until drop_unused() go then. A number is given to
  // another remote only when no program can use it for the former one.
  RemoteVteps(const Programs& programs, netlink::Netlink& kernel);

  // The number, 1 to limits::kTunnelRemotes - 1; every acquire() wants a release(). Errc::limit.
  Result<std::uint32_t> acquire(const Key& key);
  void release(std::uint32_t number);
  // One more user of a number that an FDB entry of an earlier life has; false when there is none such.
  bool adopt(std::uint32_t number);
  [[nodiscard]] std::optional<IpAddr> address(std::uint32_t number) const;
  [[nodiscard]] Route route(std::uint32_t number) const;

  // --- control ---
  // Asks the kernel again about every remote. True when any changed.
  bool refresh();
  void drop_unused();
  // Whether there is a remote with this address to which larger packets than these were thought to get.
  [[nodiscard]] bool takes_more_than(unsigned mtu, const IpAddr& address) const;

 private:
  struct Entry {
    Key key;
    bool asked = false;  // in this life
    Route route;
  };
  void forget(std::uint32_t number);
  bool resolve(std::uint32_t number, Entry& e);

  BpfMap<__u32, hd_remote> map_;
  const GracePeriod& grace_;
  netlink::Netlink& kernel_;
  mutable std::mutex mutex_;
  bool freed_ = false;  // numbers, since the last grace period
  CountedNumbers<Key, Entry> numbers_;
};

// IPv4 in the first four bytes, zeros behind; all zeros for no address.
void copy_address(__u8 (&to)[16], const std::optional<IpAddr>& from);

}  // namespace heddle::dp
