// SPDX-License-Identifier: Apache-2.0
// links: overlay netlink ovsdb base
// The kernel's news of zebra's entries, with lying lengths, and FRR's answers: what is told of stations and members is
// told to be gone again, and by the rule for valid entries.
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "netlink/bridge_fdb.h"
#include "overlay/evpn/frr_watch.h"
#include "overlay/evpn/shadow_fdb.h"

namespace {

using namespace heddle;
using namespace heddle::overlay;

void require(bool true_) {
  if (!true_) std::abort();
}

struct Table final : evpn::ShadowFdb::Listener {
  std::map<std::pair<Vni, MacAddr>, IpAddr> macs;
  std::set<std::pair<Vni, IpAddr>> members;
  void remote_mac(Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) override {
    if (!vtep) return require(macs.erase({vni, mac}) == 1);
    require(macs[{vni, mac}] != *vtep || vtep->is_any());
    macs[{vni, mac}] = *vtep;
  }
  void remote_member(Vni vni, const IpAddr& vtep, bool here) override {
    require(here ? members.insert({vni, vtep}).second : members.erase({vni, vtep}) == 1);
  }
};

void take(evpn::ShadowFdb& fdb, const netlink::FdbEntry& entry, bool gone) {
  const Vni vni = static_cast<Vni>(entry.ifindex) & 3;
  if (entry.of == netlink::FdbEntry::Of::bridge) {
    if (gone)
      fdb.not_to_tunnel(vni, entry.mac);
    else
      fdb.to_tunnel(vni, entry.mac, entry.sticky);
  } else if (entry.dst && entry.mac.is_zero()) {
    if (gone)
      fdb.no_member(vni, *entry.dst);
    else
      fdb.member(vni, *entry.dst);
  } else if (entry.dst) {
    if (gone)
      fdb.not_at_vtep(vni, entry.mac, *entry.dst);
    else
      fdb.at_vtep(vni, entry.mac, *entry.dst);
  }
  require(!fdb.is_fixed(vni, entry.mac) || fdb.vtep_of(vni, entry.mac));
}

}  // namespace

// Input: messages, each with a byte for its length, of which a part is told in the header; the rest is text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Table table;
  evpn::ShadowFdb fdb(table);
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)evpn::read_neighbors(text);
  (void)evpn::read_version(text);
  if (const auto macs = evpn::read_remote_macs(text)) require(macs->size() <= size);
  while (size > 1) {
    const std::size_t length = std::min<std::size_t>(data[0], size - 1);
    alignas(nlmsghdr) std::array<char, sizeof(nlmsghdr) + 256> message{};
    auto* h = reinterpret_cast<nlmsghdr*>(message.data());
    h->nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + length);
    h->nlmsg_type = (data[1] & 1) != 0 ? RTM_NEWNEIGH : RTM_DELNEIGH;
    std::memcpy(message.data() + sizeof(nlmsghdr), data + 1, length);
    if (length >= sizeof(ndmsg)) reinterpret_cast<ndmsg*>(message.data() + sizeof(nlmsghdr))->ndm_family = AF_BRIDGE;
    if (const auto entry = netlink::fdb_entry(h)) take(fdb, *entry, h->nlmsg_type == RTM_DELNEIGH);
    data += 1 + length;
    size -= 1 + length;
  }
  Table nobody;
  fdb.become(evpn::ShadowFdb(nobody));
  require(table.macs.empty() && table.members.empty());
  return 0;
}
