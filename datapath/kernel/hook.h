// SPDX-License-Identifier: Apache-2.0
// A TC program at the ingress of a device: by tcx (Linux 6.6) where it can be had, else as a filter of a clsact qdisc.
//
// Order on a device. tcx programs run in the order in which they were attached, before every filter; ours goes last
// among them. A device that has ingress filters gets ours as a filter too, behind them (preference 65000), so that they
// see the frames first. XDP programs run before TC and are not touched.
//
// The kernel waits for a grace period of RCU for each tcx program that comes or goes (about 12 ms), holding the lock of
// all network devices; for filters it does not. So a device that is one of many gets a filter.
//
// Filters bear the owner's mark as handle, so that two daemons do not take each other's for their own.
//
// The program that an earlier daemon left on a device is replaced in one step (an update of the link, or of the
// filter): each frame meets the old program or the new one. A program that works on other maps than the new one (an
// earlier daemon with another map layout left it) knows ports that the new maps may not have yet. Where the caller asks
// for it, such a program stays at work until take_over().
//
// Owner: the kernel datapath, one Hook for each device. Control thread. A Hook that is destroyed without detach()
// leaves its program at work when the hook survives the process: a pinned link, or a filter.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "datapath/kernel/pins.h"
#include "netlink/netlink.h"

namespace heddle::dp {

class Hook {
 public:
  struct Target {
    int ifindex = 0;
    std::string name;
    bool made_clsact = false;  // by an earlier daemon of ours
    bool ours = false;         // a device that we made: no frame may ever pass its ingress without the program
    bool one_of_many = false;  // a filter, unless it has tcx already: see above
    bool leave_other = false;  // a program on other maps stays at work until take_over()
  };
  // Attaches `program`, or puts it in the place of the one that an earlier daemon left on the device.
  // `program` must stay open until take_over(). Errc::exists: another owner has its program on the device.
  static Result<Hook> attach(const Pins& pins, netlink::Netlink& kernel, const Target& target, int program);
  Hook() = default;
  // Puts the program of attach() in the place of one that was left at work. Does nothing when there was none.
  Result<> take_over(const Pins& pins);

  // `ifindex` 0: nothing is attached.
  [[nodiscard]] int ifindex() const { return ifindex_; }
  // "tcx" or "clsact"
  [[nodiscard]] const char* kind() const { return link_ ? "tcx" : "clsact"; }
  [[nodiscard]] bool made_clsact() const { return made_clsact_; }
  void detach(const Pins& pins, netlink::Netlink& kernel);

  // Whether the owner has a filter on the device.
  static bool has_filter(const Pins& pins, int ifindex);
  // Takes off what an earlier daemon left on a device, of either kind.
  static void remove_left_over(const Pins& pins, netlink::Netlink& kernel, int ifindex, bool made_clsact);

 private:
  void find_link(const Pins& pins);
  Result<> attach_tcx(const Pins& pins, int program);
  Result<> attach_filter(const Pins& pins, int program);

  int ifindex_ = 0;
  Fd link_;
  bool pinned_ = false;  // the link, in this layout's directory
  int waiting_ = -1;     // the program that take_over() puts in place; -1: none
  bool made_clsact_ = false;
};

}  // namespace heddle::dp
