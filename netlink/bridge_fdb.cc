// SPDX-License-Identifier: Apache-2.0
#include "netlink/bridge_fdb.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/limits.h"

namespace heddle::netlink {
namespace {

Result<Fd> open_socket(int flags) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd) return fail_errno(errno, "opening a netlink socket");
  return fd;
}

void put(nlmsghdr* h, const BridgeFdb::Change& change, std::uint32_t seq) {
  const FdbEntry& e = change.entry;
  h->nlmsg_type = change.gone ? RTM_DELNEIGH : RTM_NEWNEIGH;
  h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (change.gone ? 0 : NLM_F_CREATE | NLM_F_REPLACE);
  h->nlmsg_seq = seq;
  auto* nd = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ndmsg)));
  nd->ndm_family = AF_BRIDGE;
  nd->ndm_ifindex = e.ifindex;
  nd->ndm_state = NUD_NOARP;
  nd->ndm_flags = static_cast<std::uint8_t>(e.of == FdbEntry::Of::bridge ? NTF_MASTER : NTF_SELF);
  if (e.sticky && !change.gone) nd->ndm_flags |= NTF_STICKY;
  mnl_attr_put(h, NDA_LLADDR, e.mac.bytes.size(), e.mac.bytes.data());
  if (e.vlan != 0) mnl_attr_put_u16(h, NDA_VLAN, e.vlan);
  if (e.dst) mnl_attr_put(h, NDA_DST, e.dst->size(), e.dst->data());
}

}  // namespace

std::optional<FdbEntry> fdb_entry(const nlmsghdr* message) {
  if ((message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH) ||
      mnl_nlmsg_get_payload_len(message) < sizeof(ndmsg))
    return std::nullopt;
  const auto* nd = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
  if (nd->ndm_family != AF_BRIDGE) return std::nullopt;
  FdbEntry out;
  out.of = (nd->ndm_flags & NTF_SELF) != 0 ? FdbEntry::Of::device : FdbEntry::Of::bridge;
  out.ifindex = nd->ndm_ifindex;
  out.sticky = (nd->ndm_flags & NTF_STICKY) != 0;
  out.permanent = (nd->ndm_state & NUD_PERMANENT) != 0;
  bool has_mac = false;
  int left = static_cast<int>(mnl_nlmsg_get_payload_len(message) - MNL_ALIGN(sizeof(ndmsg)));
  const auto* at = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(message, sizeof(ndmsg)));
  for (; mnl_attr_ok(at, left); left -= MNL_ALIGN(mnl_attr_get_len(at)), at = mnl_attr_next(at)) {
    const std::size_t size = mnl_attr_get_payload_len(at);
    const void* value = mnl_attr_get_payload(at);
    switch (mnl_attr_get_type(at)) {
      case NDA_LLADDR:
        if (size != out.mac.bytes.size()) return std::nullopt;
        std::memcpy(out.mac.bytes.data(), value, size);
        has_mac = true;
        break;
      case NDA_VLAN:
        if (size != sizeof out.vlan) return std::nullopt;
        std::memcpy(&out.vlan, value, size);
        break;
      case NDA_DST:
        if (size != 4 && size != 16) return std::nullopt;
        out.dst = size == 4 ? IpAddr::v4_bytes(value) : IpAddr::v6_bytes(value);
        break;
      default:
        break;
    }
  }
  if (!has_mac) return std::nullopt;
  return out;
}

Result<std::unique_ptr<BridgeFdb>> BridgeFdb::open() {
  auto requests = open_socket(0);
  if (!requests) return std::unexpected(requests.error());
  const timeval limit{1, 0};
  const int on = 1;  // replies without a copy of the request
  ::setsockopt(requests->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(requests->get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  auto news = open_socket(SOCK_NONBLOCK);
  if (!news) return std::unexpected(news.error());
  const int room = limits::kNetlinkBuffer;
  if (::setsockopt(news->get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    ::setsockopt(news->get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (::bind(news->get(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0)
    return fail_errno(errno, "binding a netlink socket");
  const int group = RTNLGRP_NEIGH;
  if (::setsockopt(news->get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail_errno(errno, "joining the netlink group of neighbours");
  return std::unique_ptr<BridgeFdb>(new BridgeFdb(std::move(*requests), std::move(*news)));
}

// The size of one datagram of the kernel in buffer_; 0: none waits in a socket that does not block.
Result<std::size_t> BridgeFdb::receive(const Fd& from) {
  for (;;) {
    sockaddr_nl who{};
    socklen_t size_of_who = sizeof who;
    const auto size = ::recvfrom(from.get(), buffer_.data(), buffer_.size(), MSG_TRUNC,
                                 reinterpret_cast<sockaddr*>(&who), &size_of_who);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN && from.get() == news_.get()) return 0;
    if (size < 0) return fail_errno(errno, "reading a forwarding database");
    if (who.nl_pid != 0) continue;
    if (static_cast<std::size_t>(size) > buffer_.size()) return fail(Errc::system, "a netlink message is too long");
    return static_cast<std::size_t>(size);
  }
}

Result<std::size_t> BridgeFdb::write(std::span<const Change> changes) {
  alignas(nlmsghdr) std::array<char, 128 * kBatch> requests{};
  changes = changes.first(std::min(changes.size(), kBatch));
  if (changes.empty()) return 0;
  const std::uint32_t first = seq_ + 1;
  std::size_t size = 0;
  for (const Change& change : changes) {
    nlmsghdr* h = mnl_nlmsg_put_header(requests.data() + size);
    put(h, change, ++seq_);
    size += MNL_ALIGN(h->nlmsg_len);
  }
  if (::send(requests_.get(), requests.data(), size, 0) < 0) return fail_errno(errno, "writing a forwarding database");
  return answers(changes, first);
}

Result<std::size_t> BridgeFdb::answers(std::span<const Change> changes, std::uint32_t first) {
  std::size_t refused = 0;
  for (std::size_t got = 0; got < changes.size();) {
    const auto size = receive(requests_);
    if (!size) return std::unexpected(size.error());
    int left = static_cast<int>(*size);
    for (const auto* h = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(h, left);
         h = mnl_nlmsg_next(h, &left)) {
      // Unsigned: late answers to earlier requests are far beyond.
      const std::uint32_t index = h->nlmsg_seq - first;
      if (h->nlmsg_type != NLMSG_ERROR || index >= changes.size()) continue;
      ++got;
      const int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(h))->error;
      if (error != 0 && !(changes[index].gone && error == ENOENT)) ++refused;
    }
  }
  return refused;
}

Result<std::vector<FdbEntry>> BridgeFdb::dump() {
  constexpr int kTries = 5;
  for (int i = 0; i < kTries; ++i) {
    alignas(nlmsghdr) std::array<char, 64> request{};
    nlmsghdr* h = mnl_nlmsg_put_header(request.data());
    h->nlmsg_type = RTM_GETNEIGH;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    h->nlmsg_seq = ++seq_;
    auto* nd = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ndmsg)));
    nd->ndm_family = AF_BRIDGE;
    if (::send(requests_.get(), request.data(), h->nlmsg_len, 0) < 0)
      return fail_errno(errno, "reading forwarding databases");
    std::vector<FdbEntry> out;
    bool done = false;
    bool interrupted = false;
    while (!done) {
      const auto size = receive(requests_);
      if (!size) return std::unexpected(size.error());
      int left = static_cast<int>(*size);
      for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left);
           m = mnl_nlmsg_next(m, &left)) {
        if (m->nlmsg_seq != seq_) continue;
        interrupted = interrupted || (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        done = done || m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR;
        if (auto entry = fdb_entry(m)) out.push_back(*entry);
      }
    }
    if (!interrupted) return out;
  }
  return fail(Errc::system, "the forwarding databases change faster than they can be read");
}

bool BridgeFdb::drain(const std::function<void(const Change&)>& receive_change) {
  for (std::size_t i = 0; i < limits::kNetlinkDrain; ++i) {
    const auto size = receive(news_);
    if (!size) return false;
    if (*size == 0) return true;
    int left = static_cast<int>(*size);
    for (const auto* h = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(h, left);
         h = mnl_nlmsg_next(h, &left))
      if (auto entry = fdb_entry(h)) receive_change({*entry, h->nlmsg_type == RTM_DELNEIGH});
  }
  return true;
}

}  // namespace heddle::netlink
