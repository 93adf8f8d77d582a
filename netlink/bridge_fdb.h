// SPDX-License-Identifier: Apache-2.0
// The forwarding databases of Linux bridges and vxlan devices: writes entries, reads them, and tells of changes
// (rtnetlink(7), family AF_BRIDGE). A request for a bridge's vxlan port may be two entries: one of the bridge, which
// leads to the port, and one of the device itself, which leads to a VTEP.
//
// Owns two sockets in the namespace of the thread that called open(); one thread at a time may use it. write() and
// dump() block for the kernel's answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/addr.h"
#include "base/fd.h"
#include "base/result.h"

struct nlmsghdr;  // linux/netlink.h

namespace heddle::netlink {

struct FdbEntry {
  enum class Of : std::uint8_t { bridge, device };
  Of of = Of::bridge;
  int ifindex = 0;
  MacAddr mac{};
  std::uint16_t vlan = 0;       // of an entry of a bridge that knows VLANs; 0: none
  std::optional<IpAddr> dst{};  // of a device's: the VTEP
  bool sticky = false;          // NTF_STICKY: no other port may take the address
  bool permanent = false;       // NUD_PERMANENT: a device's own address; with address zero: a flood list's entry
  bool operator==(const FdbEntry&) const = default;
};

// Nothing: another kind of message, or attributes that are missing or of a wrong length. Pure.
std::optional<FdbEntry> fdb_entry(const nlmsghdr* message);

class BridgeFdb {
 public:
  struct Change {
    FdbEntry entry;
    bool gone = false;
  };
  static constexpr std::size_t kBatch = 64;  // changes in one write()

  static Result<std::unique_ptr<BridgeFdb>> open();

  // Adds or replaces entries of bridges (NUD_NOARP), or removes entries: of a bridge only when they still lead to the
  // port, of a device by their VTEP. At most kBatch. Returns how many the kernel refused; to remove what is not there
  // is no refusal. Errc::system: the kernel did not answer.
  Result<std::size_t> write(std::span<const Change> changes);

  // All entries in the namespace.
  Result<std::vector<FdbEntry>> dump();

  // Readable when news wait.
  [[nodiscard]] int fd() const { return news_.get(); }
  // Reads at most limits::kNetlinkDrain datagrams. False: news were lost, and all has to be read anew.
  bool drain(const std::function<void(const Change&)>& receive);

 private:
  BridgeFdb(Fd requests, Fd news) : requests_(std::move(requests)), news_(std::move(news)), buffer_(65536) {}
  Result<std::size_t> receive(const Fd& from);
  Result<std::size_t> answers(std::span<const Change> changes, std::uint32_t first);

  Fd requests_;
  Fd news_;
  std::uint32_t seq_ = 0;
  std::vector<char> buffer_;
};

}  // namespace heddle::netlink
