// SPDX-License-Identifier: Apache-2.0
// links: overlay ovsdb base
// A reflector that says anything: rows are passed over or are such as a VTEP could have written, and what is told is
// told to be gone again, so that nothing is left when the reflector has nothing left.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "overlay/reflector_rows.h"
#include "overlay/station_claims.h"
#include "overlay/vtep_set.h"
#include "ovsdb/json.h"

namespace {

using namespace heddle;
using namespace heddle::overlay;

void require(bool true_) {
  if (!true_) std::abort();
}

// Keeps what it is told.
struct Table final : VtepSet::Sink {
  std::map<std::pair<Vni, MacAddr>, IpAddr> macs;
  void members_changed(Vni vni) override { require(vni <= limits::kVniMax); }
  void mac_changed(Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) override {
    require(!mac.is_multicast() && !mac.is_zero());
    if (!vtep) return require(macs.erase({vni, mac}) == 1);
    require(!vtep->is_any() && !vtep->is_multicast());
    macs[{vni, mac}] = *vtep;
  }
};

void check(const Json& row, VtepSet& known, StationClaims& claims, std::vector<Vni>& networks) {
  if (const auto member = member_row(row)) {
    require(member_row(to_json(*member)) == member);
    known.put_member(member->vni, member->vtep, member->ip);
    networks.push_back(member->vni);
  }
  if (const auto mac = mac_row(row)) {
    require(mac_row(to_json(*mac)) == mac);
    known.put_mac(mac->vni, mac->mac, mac->ip);
    claims.row_is({mac->vni, mac->mac}, mac->vtep == "me");
    networks.push_back(mac->vni);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  const auto rows = ovsdb::parse_json({reinterpret_cast<const char*>(input), size});
  if (!rows) return 0;
  Table table;
  VtepSet known(table, std::chrono::seconds(60));
  StationClaims claims;
  std::vector<Vni> networks;
  if (rows->is_array()) {
    for (const Json& row : *rows)
      if (row.is_object()) check(row, known, claims, networks);
  } else if (rows->is_object()) {
    check(*rows, known, claims, networks);
  }
  require(known.mac_count() == table.macs.size());
  claims.settle(true);
  for (auto batch = claims.next(limits::kClaims); !batch.empty(); batch = claims.next(limits::kClaims))
    claims.done(batch, false);
  known.lost({});
  known.tick(TimePoint{} + std::chrono::seconds(60));
  require(known.mac_count() == 0 && table.macs.empty());
  for (const Vni vni : networks) require(known.members(vni).empty());
  return 0;
}
