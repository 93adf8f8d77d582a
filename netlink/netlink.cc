#include "netlink/netlink.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>

#include "base/fd.h"
#include "netlink/wire.h"

namespace heddle::netlink {
namespace {

constexpr int kDumpTries = 5;  // a dump that a change interrupts is asked for again

// What the kernel said to a request: an errno (0 = done) and, where it has one, the reason in words.
struct Verdict {
  int err = 0;
  std::string reason;
  bool interrupted = false;  // NLM_F_DUMP_INTR: the table changed during the dump
};

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
    case EPERM:
      return fail(Errc::system, what + " for " + object + ": " + why + "; it takes CAP_NET_ADMIN");
    default:
      return fail(Errc::system, what + " for " + object + ": " + why);
  }
}

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

template <typename Header>
wire::Msg request(int type, int flags, const Header& header) {
  wire::Msg m(nlmsg_alloc_simple(type, NLM_F_REQUEST | flags));
  if (m && nlmsg_append(m.get(), const_cast<Header*>(&header), sizeof header, NLMSG_ALIGNTO) != 0) m.reset();
  return m;
}

ifinfomsg link_header(int index) {
  ifinfomsg h{};
  h.ifi_index = index;
  return h;
}

}  // namespace

class Netlink::Impl {
 public:
  explicit Impl(Fd fd) : fd_(std::move(fd)), buffer_(32768) {}

  using Receive = std::function<void(nlmsghdr*)>;

  // Sends `m` and hands every message of the answer to `receive`.
  Result<Verdict> transact(const wire::Msg& m, const Receive& receive) {
    if (!m) return fail_errno(ENOMEM, "netlink request");
    nlmsghdr* h = nlmsg_hdr(m.get());
    if ((h->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) h->nlmsg_flags |= NLM_F_ACK;
    h->nlmsg_seq = ++seq_;
    if (::send(fd_.get(), h, h->nlmsg_len, 0) < 0) return fail_errno(errno, "netlink request");
    Verdict v;
    for (;;) {
      auto size = fill();
      if (!size) return std::unexpected(size.error());
      if (digest(*size, receive, v)) return v;
    }
  }

  // A change of one device: done, or refused with `what` in the text.
  Result<> change(const wire::Msg& m, const std::string& what, int index) {
    auto v = transact(m, [](nlmsghdr*) {});
    if (!v) return std::unexpected(v.error());
    if (v->err != 0) return refuse(*v, what, device(index));
    return {};
  }

  Result<Link> one_link(const wire::Msg& m, const std::string& object) {
    std::optional<Link> found;
    auto v = transact(m, [&](nlmsghdr* h) {
      if (h->nlmsg_type == RTM_NEWLINK) found = wire::link(h);
    });
    if (!v) return std::unexpected(v.error());
    if (v->err != 0) return refuse(*v, "reading it", object);
    if (!found) return fail(Errc::system, object + ": the kernel's answer has no link in it");
    return *found;
  }

  // A whole table. A dump that a change interrupted may miss entries, so it is thrown away.
  template <typename T>
  Result<std::vector<T>> dump(const std::function<wire::Msg()>& make, std::optional<T> (*parse)(nlmsghdr*),
                              const std::string& what) {
    std::vector<T> all;
    for (int i = 0; i < kDumpTries; ++i) {
      all.clear();
      auto v = transact(make(), [&](nlmsghdr* h) {
        if (auto one = parse(h)) all.push_back(std::move(*one));
      });
      if (!v) return std::unexpected(v.error());
      if (v->err != 0) return fail_errno(v->err, "reading all " + what);
      if (!v->interrupted) return all;
    }
    return fail(Errc::system, "reading all " + what + ": they change faster than they can be read");
  }

 private:
  // One datagram into buffer_, which grows to fit.
  Result<std::size_t> fill() {
    for (;;) {
      const auto size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_PEEK | MSG_TRUNC);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return fail(Errc::system, "the kernel did not answer a netlink request in time");
      if (size < 0) return fail_errno(errno, "netlink answer");
      if (static_cast<std::size_t>(size) > buffer_.size()) buffer_.resize(static_cast<std::size_t>(size));
      const auto got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
      if (got < 0) return fail_errno(errno, "netlink answer");
      return static_cast<std::size_t>(got);
    }
  }

  // True when the answer to request seq_ is complete. Late answers to requests that were given up on are passed over.
  bool digest(std::size_t size, const Receive& receive, Verdict& v) {
    auto left = static_cast<int>(size);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(h, left) != 0; h = nlmsg_next(h, &left)) {
      if (h->nlmsg_seq != seq_) continue;
      if ((h->nlmsg_flags & NLM_F_DUMP_INTR) != 0) v.interrupted = true;
      if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
        int err = 0;
        if (nlmsg_datalen(h) >= static_cast<int>(sizeof err)) std::memcpy(&err, nlmsg_data(h), sizeof err);
        v.err = -err;
        if (h->nlmsg_type == NLMSG_ERROR && nlmsg_datalen(h) >= static_cast<int>(sizeof(nlmsgerr)))
          v.reason = reason(h);
        return true;
      }
      receive(h);
    }
    return false;
  }

  Fd fd_;
  std::uint32_t seq_ = 0;
  std::vector<char> buffer_;
};

Netlink::Netlink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Netlink::~Netlink() = default;

Result<std::unique_ptr<Netlink>> Netlink::open() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return fail_errno(errno, "opening a netlink socket");
  const timeval limit{1, 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
    return fail_errno(errno, "netlink socket option SO_RCVTIMEO");
  const int on = 1;  // reasons in words, and no copy of the request in an answer: kernel 4.12, else we do without
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return std::unique_ptr<Netlink>(new Netlink(std::make_unique<Impl>(std::move(fd))));
}

Result<Link> Netlink::link(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return fail(Errc::not_found, device(name) + " does not exist");
  auto m = request(RTM_GETLINK, 0, link_header(0));
  if (m) {
    nla_put_string(m.get(), IFLA_IFNAME, name.c_str());
    nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  }
  return impl_->one_link(m, device(name));
}

Result<Link> Netlink::link(int index) {
  if (index <= 0) return fail(Errc::not_found, device(index) + " does not exist");
  auto m = request(RTM_GETLINK, 0, link_header(index));
  if (m) nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return impl_->one_link(m, device(index));
}

Result<std::vector<Link>> Netlink::links() {
  const auto make = [] {
    auto m = request(RTM_GETLINK, NLM_F_DUMP, link_header(0));
    if (m) nla_put_u32(m.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return m;
  };
  return impl_->dump<Link>(make, wire::link, "network devices");
}

Result<std::vector<Address>> Netlink::addresses() {
  return impl_->dump<Address>([] { return request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}); }, wire::address, "addresses");
}

Result<Route> Netlink::route(const IpAddr& dst, std::optional<IpAddr> src, int oif) {
  if (dst.is_any()) return fail(Errc::invalid, "route to " + dst.to_string() + ": not an address of a host");
  if (src && src->is_v6() != dst.is_v6())
    return fail(Errc::invalid,
                "route to " + dst.to_string() + " from " + src->to_string() + ": the addresses are of two families");
  rtmsg header{};
  header.rtm_family = wire::family(dst);
  header.rtm_dst_len = static_cast<unsigned char>(dst.size() * 8);
  if (src) header.rtm_src_len = static_cast<unsigned char>(src->size() * 8);
  auto m = request(RTM_GETROUTE, 0, header);
  if (m) {
    wire::put(m.get(), RTA_DST, dst);
    if (src) wire::put(m.get(), RTA_SRC, *src);
    if (oif != 0) nla_put_u32(m.get(), RTA_OIF, static_cast<std::uint32_t>(oif));
  }
  std::optional<Route> found;
  auto v = impl_->transact(m, [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWROUTE) found = wire::route(h);
  });
  if (!v) return std::unexpected(v.error());
  if (v->err != 0 && src && !is_ours(*src))
    return fail(Errc::invalid, src->to_string() + " is not an address of this host");
  // fib_props[] in the kernel's fib_semantics.c: how unreachable, prohibit and blackhole routes answer.
  if (v->err == ENETUNREACH || v->err == EHOSTUNREACH || v->err == EACCES || v->err == EINVAL) {
    Route none;
    none.unreachable = true;
    return none;
  }
  if (v->err != 0) return refuse(*v, "route to " + dst.to_string(), device(oif));
  if (!found) return fail(Errc::system, "route to " + dst.to_string() + ": the kernel's answer has no route in it");
  if (src) found->source = *src;
  if (found->mtu == 0 && found->ifindex != 0 && !found->unreachable) {
    auto out = link(found->ifindex);
    if (!out) return std::unexpected(out.error());
    found->mtu = out->mtu;
  }
  return *found;
}

// Kernels differ in how they refuse a foreign IPv4 source (EINVAL, ENETUNREACH), so it is told from a missing route by
// asking where packets to it would go.
bool Netlink::is_ours(const IpAddr& addr) {
  const auto r = route(addr, std::nullopt);
  return r && r->local;
}

Result<std::optional<Neighbour>> Netlink::neighbour(int ifindex, const IpAddr& addr) {
  ndmsg header{};
  header.ndm_family = wire::family(addr);
  header.ndm_ifindex = ifindex;
  auto m = request(RTM_GETNEIGH, 0, header);
  if (m) wire::put(m.get(), NDA_DST, addr);
  std::optional<Neighbour> found;
  auto v = impl_->transact(m, [&](nlmsghdr* h) {
    if (h->nlmsg_type == RTM_NEWNEIGH) found = wire::neighbour(h);
  });
  if (!v) return std::unexpected(v.error());
  if (v->err == ENOENT) return std::optional<Neighbour>{};
  if (v->err != 0) return refuse(*v, "neighbour " + addr.to_string(), device(ifindex));
  return found;
}

Result<> Netlink::use_neighbour(int ifindex, const IpAddr& addr) {
  ndmsg header{};
  header.ndm_family = wire::family(addr);
  header.ndm_ifindex = ifindex;
  header.ndm_flags = NTF_USE;
  auto m = request(RTM_NEWNEIGH, NLM_F_CREATE, header);
  if (m) wire::put(m.get(), NDA_DST, addr);
  return impl_->change(m, "resolving neighbour " + addr.to_string(), ifindex);
}

Result<> Netlink::set_up(int index, bool up) {
  auto header = link_header(index);
  header.ifi_change = IFF_UP;
  header.ifi_flags = up ? IFF_UP : 0;
  return impl_->change(request(RTM_NEWLINK, 0, header), up ? "setting up" : "setting down", index);
}

Result<> Netlink::set_mtu(int index, unsigned mtu) {
  auto m = request(RTM_NEWLINK, 0, link_header(index));
  if (m) nla_put_u32(m.get(), IFLA_MTU, mtu);
  return impl_->change(m, "MTU " + std::to_string(mtu), index);
}

Result<> Netlink::set_mac(int index, MacAddr mac) {
  auto m = request(RTM_NEWLINK, 0, link_header(index));
  if (m) nla_put(m.get(), IFLA_ADDRESS, 6, mac.bytes.data());
  return impl_->change(m, "MAC address " + mac.to_string(), index);
}

Result<> Netlink::remove_link(int index) {
  // Index 0 with no name would be a request for nothing; the kernel calls that EINVAL, we call it what it is.
  if (index <= 0) return fail(Errc::not_found, device(index) + " does not exist");
  return impl_->change(request(RTM_DELLINK, 0, link_header(index)), "removal", index);
}

}  // namespace heddle::netlink
