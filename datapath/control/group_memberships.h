// SPDX-License-Identifier: Apache-2.0
// Makes the host a member of tunnels' multicast groups, each on the device by which its packets come. The kernel
// reports the memberships (IGMP, MLD), answers queriers and tells the device's filter; it does so for sockets, which
// nobody reads. A socket holds few groups (net.ipv4.igmp_max_memberships, net.core.optmem_max), so there are many
// sockets.
//
// Owner: a Datapath. Control thread. Errors are kept with the port, see problem(), and retry() may end them.
#pragma once

#include <compare>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/fd.h"
#include "base/result.h"
#include "datapath/port.h"

namespace heddle::dp {

class GroupMemberships {
 public:
  struct Member {
    IpAddr group;
    int ifindex = 0;
    auto operator<=>(const Member&) const = default;
  };
  // Is given each socket, which stays open as long as the object; a duplicate keeps the memberships beyond that.
  using Keep = std::function<void(int socket)>;

  explicit GroupMemberships(Keep keep) : keep_(std::move(keep)) {}

  // What the port needs now; nothing: no membership. The same group may have many ports.
  void set(PortNo port, const std::optional<Member>& member);
  // The device is gone, and the kernel's memberships with it.
  void on_link_gone(int ifindex);
  // Another try with those that failed.
  void retry();

  [[nodiscard]] std::optional<Member> of(PortNo port) const;
  [[nodiscard]] bool has(const Member& member) const { return members_.contains(member); }
  // Groups of the device, whether joined or not.
  [[nodiscard]] std::set<IpAddr> groups_on(int ifindex) const;
  // Why the host is no member of the port's group; empty when it is, or the port has none.
  [[nodiscard]] std::string problem(PortNo port) const;
  // Adds the membership to a tunnel port's state: a detail, or an error; nothing for a port without a group.
  void add_state(PortNo port, PortState& state) const;

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  struct Socket {
    Fd fd;
    bool v6 = false;
    unsigned members = 0;
    bool full = false;
  };
  struct State {
    unsigned ports = 0;
    std::size_t socket = kNone;  // in sockets_; kNone: no member
    std::string problem;
  };
  void join(const Member& member, State& state);
  static void leave(const Member& member, Socket& socket);
  void drop(const Member& member);
  Result<> open_socket(bool v6);

  Keep keep_;
  std::vector<Socket> sockets_;
  std::map<PortNo, Member> ports_;
  std::map<Member, State> members_;
};

}  // namespace heddle::dp
