// SPDX-License-Identifier: Apache-2.0
#include "datapath/control/group_memberships.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace heddle::dp {
namespace {

std::string device_name(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (if_indextoname(static_cast<unsigned>(ifindex), name.data()) != nullptr) return name.data();
  return "device " + std::to_string(ifindex);
}

// ip(7), ipv6(7). 0, or an errno.
int change(int socket, const GroupMemberships::Member& member, bool join) {
  int failed = 0;
  if (member.group.is_v6()) {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, member.group.data(), sizeof request.ipv6mr_multiaddr);
    request.ipv6mr_interface = static_cast<unsigned>(member.ifindex);
    failed = setsockopt(socket, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof request);
  } else {
    ip_mreqn request{};
    std::memcpy(&request.imr_multiaddr, member.group.data(), sizeof request.imr_multiaddr);
    request.imr_ifindex = member.ifindex;
    failed = setsockopt(socket, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request, sizeof request);
  }
  return failed != 0 ? errno : 0;
}

// The socket has as many groups as it may: ENOBUFS for IPv4, ENOMEM for IPv6.
bool is_full(int error) { return error == ENOBUFS || error == ENOMEM; }

}  // namespace

Result<> GroupMemberships::open_socket(bool v6) {
  Fd fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "a socket for multicast groups");
  if (keep_) keep_(fd.get());
  sockets_.push_back({std::move(fd), v6, 0, false});
  return {};
}

void GroupMemberships::join(const Member& member, State& state) {
  int error = 0;
  std::size_t n = 0;
  for (;; ++n) {
    if (n == sockets_.size()) {
      if (auto opened = open_socket(member.group.is_v6()); !opened) {
        state.problem = opened.error().text;
        return;
      }
    }
    Socket& s = sockets_[n];
    if (s.v6 != member.group.is_v6() || s.full) continue;
    error = change(s.fd.get(), member, true);
    s.full = is_full(error) && s.members > 0;
    if (!s.full) break;
  }
  if (error != 0) {
    state.problem = "cannot join group " + member.group.to_string() + " on " + device_name(member.ifindex) + ": " +
                    std::strerror(error);
    return;
  }
  ++sockets_[n].members;
  state.socket = n;
  state.problem.clear();
  spdlog::debug("member of group {} on {}", member.group.to_string(), device_name(member.ifindex));
}

// An error means that the kernel has forgotten the membership before us.
void GroupMemberships::leave(const Member& member, Socket& socket) {
  (void)change(socket.fd.get(), member, false);
  --socket.members;
  socket.full = false;
}

void GroupMemberships::drop(const Member& member) {
  const auto it = members_.find(member);
  if (it == members_.end() || --it->second.ports > 0) return;
  if (it->second.socket != kNone) leave(member, sockets_[it->second.socket]);
  members_.erase(it);
}

void GroupMemberships::set(PortNo port, const std::optional<Member>& member) {
  const auto before = of(port);
  if (before == member) return;
  if (member) {
    ports_[port] = *member;
    State& state = members_[*member];
    if (state.ports++ == 0) join(*member, state);
  } else {
    ports_.erase(port);
  }
  if (before) drop(*before);
}

void GroupMemberships::on_link_gone(int ifindex) {
  for (auto& [member, state] : members_) {
    if (member.ifindex != ifindex || state.socket == kNone) continue;
    leave(member, sockets_[state.socket]);
    state.socket = kNone;
    state.problem = "device " + std::to_string(ifindex) + " of group " + member.group.to_string() + " is gone";
  }
}

void GroupMemberships::retry() {
  for (auto& [member, state] : members_)
    if (state.socket == kNone) join(member, state);
}

std::optional<GroupMemberships::Member> GroupMemberships::of(PortNo port) const {
  const auto it = ports_.find(port);
  if (it == ports_.end()) return std::nullopt;
  return it->second;
}

std::set<IpAddr> GroupMemberships::groups_on(int ifindex) const {
  std::set<IpAddr> groups;
  for (const auto& [member, state] : members_)
    if (member.ifindex == ifindex) groups.insert(member.group);
  return groups;
}

void GroupMemberships::add_state(PortNo port, PortState& state) const {
  const auto member = of(port);
  if (!member) return;
  const std::string why = problem(port);
  if (why.empty())
    state.details.emplace_back("member_of", member->group.to_string() + " on " + device_name(member->ifindex));
  else if (state.error.empty())
    state.error = why;
}

std::string GroupMemberships::problem(PortNo port) const {
  const auto member = of(port);
  return member ? members_.at(*member).problem : std::string{};
}

}  // namespace heddle::dp
