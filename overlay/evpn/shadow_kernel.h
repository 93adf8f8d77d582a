// SPDX-License-Identifier: Apache-2.0
// The kernel's side of EVPN while zebra runs: the shadow devices of our networks, the entries that we write there and
// those that zebra writes. News of zebra's go to a ShadowFdb.
//
// Owner: EvpnSource, for as long as one zebra lives. Threads: control; open() works in zebra's namespace by a thread of
// its own. Devices and entries stay when it ends. Errors: as of Netlink, with the network's number.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "netlink/bridge_fdb.h"
#include "overlay/evpn/announcements.h"
#include "overlay/evpn/shadow_devices.h"
#include "overlay/evpn/shadow_fdb.h"

namespace heddle::overlay::evpn {

class ShadowKernel {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // An entry leads to our port: written now, or by an earlier daemon.
    virtual void station_here(Vni vni, const MacAddr& mac, bool sticky) = 0;
    // It does not any more: zebra has led it to another VTEP, or the entry was removed.
    virtual void station_not_here(Vni vni, const MacAddr& mac) = 0;
  };
  // `netns`: a descriptor of zebra's namespace. All must outlive the object.
  static Result<std::unique_ptr<ShadowKernel>> open(boost::asio::io_context& io, int netns, std::uint16_t udp_port,
                                                    ShadowFdb& remotes, Listener& listener);
  ~ShadowKernel();
  ShadowKernel(const ShadowKernel&) = delete;
  ShadowKernel& operator=(const ShadowKernel&) = delete;

  ShadowDevices& devices() { return *devices_; }
  // Reads all entries, and from then on what changes.
  Result<> begin();
  // How many the kernel refused; those of networks without devices are passed over.
  Result<std::size_t> write(const std::vector<Announcements::Write>& writes);
  // Entries of zebra that zebra itself does not know.
  Result<> remove_remote(Vni vni, const std::vector<MacAddr>& macs);

 private:
  ShadowKernel(boost::asio::io_context& io, std::unique_ptr<ShadowDevices> devices,
               std::unique_ptr<netlink::BridgeFdb> fdb, ShadowFdb& remotes, Listener& listener);
  Result<> read_all();
  void wait();
  void take(const netlink::BridgeFdb::Change& change);
  Result<std::size_t> write_all(std::span<const netlink::BridgeFdb::Change> changes);

  std::unique_ptr<ShadowDevices> devices_;
  std::unique_ptr<netlink::BridgeFdb> fdb_;
  ShadowFdb& remotes_;
  Listener& listener_;
  boost::asio::posix::stream_descriptor news_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace heddle::overlay::evpn
