// SPDX-License-Identifier: Apache-2.0
#include "netlink/impl.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace heddle::netlink {
namespace {

constexpr int kDumpTries = 5;  // attempts at a dump that changes interrupt

// The text of an extended acknowledgement (linux/netlink.h, NLMSGERR_ATTR_MSG), if the message has one.
std::string reason(nlmsghdr* message) {
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::array<nlattr*, NLMSGERR_ATTR_MAX + 1> tb{};
  auto* data = static_cast<char*>(nlmsg_data(message));
  std::size_t at = sizeof(nlmsgerr);
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) {
    const auto* e = reinterpret_cast<const nlmsgerr*>(data);
    if (e->msg.nlmsg_len < sizeof(nlmsghdr)) return {};
    at += NLMSG_ALIGN(e->msg.nlmsg_len - sizeof(nlmsghdr));
  }
  const auto size = static_cast<std::size_t>(nlmsg_datalen(message));
  if (at >= size) return {};
  if (nla_parse(tb.data(), NLMSGERR_ATTR_MAX, reinterpret_cast<nlattr*>(data + at), static_cast<int>(size - at),
                nullptr) < 0)
    return {};
  const nlattr* text = tb[NLMSGERR_ATTR_MSG];
  if (text == nullptr) return {};
  return {static_cast<const char*>(nla_data(text)),
          strnlen(static_cast<const char*>(nla_data(text)), static_cast<std::size_t>(nla_len(text)))};
}

}  // namespace

std::string device(int index) { return "network device with index " + std::to_string(index); }
std::string device(const std::string& name) { return "network device \"" + name + "\""; }

std::unexpected<Error> refuse(const Verdict& v, const std::string& what, const std::string& object) {
  const std::string why = std::strerror(v.err) + (v.reason.empty() ? "" : " (" + v.reason + ")");
  switch (v.err) {
    case ENODEV:
    case ENXIO:
      return fail(Errc::not_found, object + " does not exist");
    case EINVAL:
    case ERANGE:
    case EADDRNOTAVAIL:
      return fail(Errc::invalid, what + " for " + object + ": " + why);
    case EOPNOTSUPP:
      return fail(Errc::unsupported, what + " for " + object + ": " + why);
    case EEXIST:
      return fail(Errc::exists, what + " for " + object + ": " + why);
    case EPERM:
    case EACCES:
      return fail(Errc::system, what + " for " + object + ": " + why + "; it takes CAP_NET_ADMIN");
    default:
      return fail(Errc::system, what + " for " + object + ": " + why);
  }
}

Result<Verdict> Netlink::Impl::transact(const wire::Msg& m, const Receive& receive, Ends ends) {
  if (!m) return fail_errno(ENOMEM, "netlink request");
  nlmsghdr* h = nlmsg_hdr(m.get());
  if (ends == Ends::acknowledged && (h->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) h->nlmsg_flags |= NLM_F_ACK;
  h->nlmsg_seq = ++seq_;
  if (::send(fd_.get(), h, h->nlmsg_len, 0) < 0) return fail_errno(errno, "netlink request");
  Verdict v;
  for (;;) {
    auto size = fill();
    if (!size) return std::unexpected(size.error());
    if (digest(*size, receive, ends, v)) return v;
  }
}

Result<> Netlink::Impl::change(const wire::Msg& m, const std::string& what, const std::string& object) {
  auto v = transact(m, [](nlmsghdr*) {});
  if (!v) return std::unexpected(v.error());
  if (v->err != 0) return refuse(*v, what, object);
  return {};
}

Result<Link> Netlink::Impl::one_link(const wire::Msg& m, const std::string& object) {
  std::optional<Link> found;
  auto v = transact(
      m,
      [&](nlmsghdr* h) {
        if (h->nlmsg_type == RTM_NEWLINK) found = wire::link(h);
      },
      Ends::answered);
  if (!v) return std::unexpected(v.error());
  if (v->err != 0) return refuse(*v, "reading it", object);
  if (!found) return fail(Errc::system, object + ": the kernel's answer has no link in it");
  return *found;
}

Result<Link> Netlink::Impl::link(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return fail(Errc::not_found, device(name) + " does not exist");
  auto m = request(RTM_GETLINK, 0, link_header(0));
  if (m) {
    nla_put_string(m.get(), IFLA_IFNAME, name.c_str());
    nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  }
  return one_link(m, device(name));
}

Result<> Netlink::Impl::scan(const Make& make, const std::function<void()>& start, const Receive& receive,
                             const std::string& what) {
  for (int i = 0; i < kDumpTries; ++i) {
    start();
    auto v = transact(make(), receive);
    if (!v) return std::unexpected(v.error());
    if (v->err != 0) return fail_errno(v->err, "reading " + what);
    if (!v->interrupted) return {};
  }
  return fail(Errc::system, "reading " + what + ": they change faster than they can be read");
}

// Receives one datagram into buffer_, which is larger than the kernel's (netlink_dump() in af_netlink.c: 32 KiB).
Result<std::size_t> Netlink::Impl::fill() {
  for (;;) {
    const auto size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return fail(Errc::system, "the kernel did not answer a netlink request in time");
    if (size < 0) return fail_errno(errno, "netlink answer");
    if (static_cast<std::size_t>(size) > buffer_.size())
      return fail(Errc::system, "a netlink answer of " + std::to_string(size) + " bytes, more than is read at once");
    return static_cast<std::size_t>(size);
  }
}

// True when the reply to request seq_ is complete. Late replies to earlier, timed-out requests are skipped.
bool Netlink::Impl::digest(std::size_t size, const Receive& receive, Ends ends, Verdict& v) {
  auto left = static_cast<int>(size);
  for (auto* h = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(h, left) != 0; h = nlmsg_next(h, &left)) {
    if (h->nlmsg_seq != seq_) continue;
    if ((h->nlmsg_flags & NLM_F_DUMP_INTR) != 0) v.interrupted = true;
    if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
      int err = 0;
      if (nlmsg_datalen(h) >= static_cast<int>(sizeof err)) std::memcpy(&err, nlmsg_data(h), sizeof err);
      v.err = -err;
      if (h->nlmsg_type == NLMSG_ERROR && nlmsg_datalen(h) >= static_cast<int>(sizeof(nlmsgerr))) v.reason = reason(h);
      return true;
    }
    receive(h);
    if (ends == Ends::answered) return true;
  }
  return false;
}

}  // namespace heddle::netlink
