// SPDX-License-Identifier: Apache-2.0
// What one source tells of the VTEPs of our networks: who is a member, and which VTEP holds a MAC. The FDB's origins
// decide between sources (ofproto-lite/origin.h); a source takes away its own alone. What a source loses stays for a
// hold time: a stale entry misleads one frame, an absent one floods.
//
// Owner: the source. Threads: control. Bounded by limits::kOverlayMembers for each network and limits::kOverlayMacs in
// all; what is more is refused and counted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/clock.h"

namespace heddle::overlay {

using Vni = std::uint32_t;  // 0 to limits::kVniMax

using StationKey = std::pair<Vni, MacAddr>;

class VtepSet {
 public:
  // Who uses the knowledge.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void members_changed(Vni vni) = 0;
    // The station is behind this VTEP; nothing: the source does not know it any more.
    virtual void mac_changed(Vni vni, const MacAddr& mac, const std::optional<IpAddr>& vtep) = 0;
  };

  VtepSet(Sink& sink, Duration hold) : sink_(sink), hold_(hold) {}

  // --- for the source ---
  // All is told anew from now on. What is not told before in_step(), or is told to be gone, is not there any more; but
  // what is not told stays for the hold time.
  void begin();
  void in_step(TimePoint now);
  void lost(TimePoint now);
  // `vtep` is the member's name. False: there are too many.
  bool put_member(Vni vni, const std::string& vtep, const IpAddr& address);
  void remove_member(Vni vni, const std::string& vtep);
  bool put_mac(Vni vni, const MacAddr& mac, const IpAddr& vtep);
  void remove_mac(Vni vni, const MacAddr& mac);
  // What the source does not know any more, but stays for the hold time.
  void hold_member(Vni vni, const std::string& vtep, TimePoint now);
  void hold_mac(Vni vni, const MacAddr& mac, TimePoint now);
  // The network is not ours any more.
  void remove_network(Vni vni);

  // Ends hold times that are over. The time of the next one, if any.
  std::optional<TimePoint> tick(TimePoint now);
  void set_hold(Duration hold) { hold_ = hold; }

  // --- what is known ---
  // Each address once, in ascending order.
  [[nodiscard]] std::vector<IpAddr> members(Vni vni) const;
  struct Member {
    std::string vtep;
    IpAddr address;
    bool stale = false;  // not confirmed since the source was lost
  };
  [[nodiscard]] std::vector<Member> member_list(Vni vni) const;
  struct Mac {
    MacAddr mac;
    IpAddr vtep;
    bool stale = false;
  };
  [[nodiscard]] std::vector<Mac> macs(Vni vni) const;
  // Nothing: the source has told of none.
  [[nodiscard]] std::optional<Mac> mac(Vni vni, const MacAddr& address) const;
  [[nodiscard]] std::size_t mac_count() const { return macs_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Known {
    IpAddr address;
    std::optional<TimePoint> until;  // set: not confirmed, and to go then
    [[nodiscard]] bool stale() const { return until.has_value(); }
  };
  struct Network {
    std::map<std::string, Known> members;
    std::map<MacAddr, Known> macs;
  };
  void for_all(const std::function<void(Known&)>& change);
  template <typename Key>
  void hold(std::map<Key, Known>& of, const Key& key, TimePoint now);
  void sweep_by(TimePoint time);
  void sweep(TimePoint now);

  Sink& sink_;
  Duration hold_;
  std::map<Vni, Network> networks_;
  std::size_t macs_ = 0;
  std::uint64_t refused_ = 0;
  std::optional<TimePoint> sweep_at_;
};

}  // namespace heddle::overlay
