// SPDX-License-Identifier: Apache-2.0
// One entry of the FDB authority, with its places in a port's list and in the aging wheel. The Fdb owns all entries; an
// entry leaves both lists when it is destroyed. Handler thread; no errors.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>

#include "datapath/station.h"
#include "ofproto-lite/origin.h"

namespace heddle::ofproto {

struct FdbEntry {
  using Hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

  dp::FdbKey key;
  dp::FdbTarget target;
  Origin origin = Origin::learned;
  std::int64_t due = 0;                // second of the wheel at which it may have expired
  std::int64_t moved = INT64_MIN / 2;  // second of the last move
  unsigned flaps = 0;                  // moves in quick succession
  Hook of_port, of_wheel;
};

template <FdbEntry::Hook FdbEntry::*hook>
using FdbList = boost::intrusive::list<FdbEntry, boost::intrusive::member_hook<FdbEntry, FdbEntry::Hook, hook>,
                                       boost::intrusive::constant_time_size<false>>;

}  // namespace heddle::ofproto
