// SPDX-License-Identifier: Apache-2.0
// Inside netlink/ only: the socket of a Netlink, which serves one request at a time, and helpers for building requests
// and error texts. Ownership, threads and errors as in netlink.h; the protocol is netlink(7) and rtnetlink(7).
#pragma once

#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "netlink/netlink.h"
#include "netlink/wire.h"

namespace heddle::netlink {

// The kernel's reply to a request: an errno (0 = done) and, if the kernel sent a text, the reason.
struct Verdict {
  int err = 0;
  std::string reason;
  bool interrupted = false;  // NLM_F_DUMP_INTR: the table changed during the dump
};

// The name of a device in error texts.
std::string device(int index);
std::string device(const std::string& name);

// The Error for a Verdict with err != 0. `what`: the refused operation; `object`: its object.
std::unexpected<Error> refuse(const Verdict& v, const std::string& what, const std::string& object);

// A request with its fixed header. An empty Msg when memory is exhausted; transact() reports an empty Msg as ENOMEM.
template <typename Header>
wire::Msg request(int type, int flags, const Header& header) {
  wire::Msg m(nlmsg_alloc_simple(type, NLM_F_REQUEST | flags));
  if (m && nlmsg_append(m.get(), const_cast<Header*>(&header), sizeof header, NLMSG_ALIGNTO) != 0) m.reset();
  return m;
}

inline ifinfomsg link_header(int index) {
  ifinfomsg h{};
  h.ifi_index = index;
  return h;
}

class Netlink::Impl {
 public:
  explicit Impl(Fd fd) : fd_(std::move(fd)), buffer_(65536) {}

  using Receive = std::function<void(nlmsghdr*)>;
  using Make = std::function<wire::Msg()>;

  // The end of the kernel's reply: an acknowledgement, or the first answer, which is enough for a query of one object.
  enum class Ends : bool { acknowledged, answered };
  // Sends `m` and passes every message of the reply to `receive`.
  Result<Verdict> transact(const wire::Msg& m, const Receive& receive, Ends ends = Ends::acknowledged);

  // Changes one object; an error's text has `what`.
  Result<> change(const wire::Msg& m, const std::string& what, const std::string& object);
  Result<> change(const wire::Msg& m, const std::string& what, int index) { return change(m, what, device(index)); }

  Result<Link> one_link(const wire::Msg& m, const std::string& object);
  Result<Link> link(const std::string& name);

  // Sends request `m`, which creates the devices `names`, and gives each the alias. Returns the first device.
  Result<Link> add(const wire::Msg& m, const std::vector<std::string>& names, const std::string& alias);

  // Dumps a table to `receive`. A dump that a change interrupted may lack entries, so it is repeated; `start` is called
  // before each attempt.
  Result<> scan(const Make& make, const std::function<void()>& start, const Receive& receive, const std::string& what);

  // Dumps a whole table as values.
  template <typename T>
  Result<std::vector<T>> dump(const Make& make, std::optional<T> (*parse)(nlmsghdr*), const std::string& what) {
    std::vector<T> all;
    const auto take = [&](nlmsghdr* h) {
      if (auto one = parse(h)) all.push_back(std::move(*one));
    };
    const auto done = scan(
        make, [&] { all.clear(); }, take, "all " + what);
    if (!done) return std::unexpected(done.error());
    return all;
  }

 private:
  Result<std::size_t> fill();
  bool digest(std::size_t size, const Receive& receive, Ends ends, Verdict& v);

  Fd fd_;
  std::uint32_t seq_ = 0;
  std::vector<char> buffer_;
};

}  // namespace heddle::netlink
