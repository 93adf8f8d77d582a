// SPDX-License-Identifier: Apache-2.0
// Writes the announcements of this host's stations for zebra, at zebra's pace: limits::kEvpnWrites every 20 ms.
//
// Owner: EvpnSource. Threads: control. Nothing fails: what the kernel refuses is logged.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "overlay/evpn/announcements.h"
#include "overlay/evpn/shadow_kernel.h"

namespace heddle::overlay::evpn {

class StationWriter {
 public:
  explicit StationWriter(boost::asio::io_context& io) : timer_(io) {}
  StationWriter(const StationWriter&) = delete;
  StationWriter& operator=(const StationWriter&) = delete;

  // zebra is there, and has been told nothing; null: it is not. The kernel must outlive its use.
  void use(ShadowKernel* kernel);

  void add(const Announcements::Key& key, bool fixed);
  void remove(const Announcements::Key& key);
  // The network's devices were made anew; or it is not ours any more, and what has been told is taken back.
  void restart(Vni vni);
  void forget_network(Vni vni);
  void settle();
  // --- the kernel's news ---
  void found(const Announcements::Key& key, bool fixed) { announcements_.found(key, fixed); }
  void taken(const Announcements::Key& key) { announcements_.taken(key); }

  [[nodiscard]] bool is_here(const Announcements::Key& key) const { return announcements_.is_here(key); }

 private:
  void write_soon(Duration pause);
  void write();

  Announcements announcements_;
  ShadowKernel* kernel_ = nullptr;
  boost::asio::steady_timer timer_;
  bool waiting_ = false;
  LogLimit complaints_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace heddle::overlay::evpn
