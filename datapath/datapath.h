// SPDX-License-Identifier: Apache-2.0
// The seam between switching policy and forwarding mechanism. A Datapath holds ports, VLAN table, forwarding database
// (FDB), flood lists and tunnels, and forwards frames by them; it decides nothing. Everything above it (ofproto-lite)
// works through these facets alone and does not know the provider behind them.
//
// Threads. Each facet has one thread, which its holder is: the control thread has Ports and Bridges, the handler thread
// has Stations and nothing else. The two threads may call at the same time. No call blocks on traffic; a call may wait
// for an RCU grace period (well under 10 ms).
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/bridge.h"
#include "datapath/port.h"
#include "datapath/station.h"

namespace heddle::dp {

// Control thread.
class Ports {
 public:
  // A bracket around many changes in a row, of some milliseconds altogether. While one is open, an addition may be
  // deferred: a port that comes into a bridge or gets its device may wait for its first frames until the last bracket
  // closes. A removal never is. Brackets nest.
  class Batch {
   public:
    explicit Batch(Ports& ports) : ports_(ports) { ++ports_.open_; }
    ~Batch() {
      if (--ports_.open_ == 0) ports_.batch_closed();
    }
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

   private:
    Ports& ports_;
  };

  virtual ~Ports() = default;
  // The kinds of port that this provider offers.
  [[nodiscard]] virtual const KindSet& kinds() const = 0;
  // Makes the port of that name, or changes it to this configuration. A provider that outlived its daemon knows a port
  // again by its name and goes on forwarding for it as before until this call. Succeeds for a device or tunnel that
  // cannot be had yet, and for a QosSpec that cannot be had: PortState::error and qos_error tell. The provider tries
  // again when there is news of the device, and with every call for the port, also one that changes nothing: a cause
  // may end without news.
  // Fails for a request that can never work, and leaves everything as it was. Errc::exists: the port lives with a spec
  // that may not become this one (may_become()): remove it first. Errc::limit, Errc::invalid, Errc::unsupported.
  virtual Result<PortNo> apply(const PortConfig& config) = 0;
  // Removes the port and every FDB entry that leads to it. Errc::not_found.
  virtual Result<> remove(PortNo port) = 0;
  [[nodiscard]] virtual PortState state(PortNo port) const = 0;
  [[nodiscard]] virtual PortCounters counters(PortNo port) const = 0;
  // By queue number; empty without a QosSpec.
  [[nodiscard]] virtual std::map<std::uint32_t, QueueCounters> queue_counters(PortNo port) const = 0;
  [[nodiscard]] virtual std::vector<UnderlayCounters> underlay_counters() const { return {}; }

 protected:
  [[nodiscard]] bool batching() const { return open_ > 0; }

 private:
  // The last bracket has closed: whatever was deferred is due.
  virtual void batch_closed() {}
  unsigned open_ = 0;
};

// Control thread.
class Bridges {
 public:
  virtual ~Bridges() = default;
  // A number for a bridge, which begins with BridgePolicy{}. A provider that outlived its daemon gives a name the
  // number that it had. Errc::exists, Errc::limit.
  virtual Result<BridgeId> add(const std::string& name) = 0;
  // Its ports must have left it. Entries that it still has go with it.
  virtual void remove(BridgeId bridge) = 0;
  // Ports that a mirror names and that do not exist, or are of another bridge, are passed over. The counters of a
  // mirror's slot go on until its MirrorSpec is another. Errc::invalid, Errc::limit.
  virtual Result<> set(BridgeId bridge, const BridgePolicy& policy) = 0;
  [[nodiscard]] virtual MirrorCounters mirror_counters(BridgeId bridge, unsigned slot) const = 0;
};

// Handler thread.
class Stations {
 public:
  virtual ~Stations() = default;
  // Room for `entries` MACs in a bridge's FDB, from then on; existing entries stay. A bridge starts with
  // limits::kFdbDefault. Errc::limit.
  virtual Result<> set_capacity(BridgeId bridge, std::size_t entries) = 0;
  // Adds or replaces. Errc::limit when the table is full, Errc::not_found when the port does not exist (any more),
  // Errc::invalid when the target has a remote and its port is no multipoint tunnel, or the reverse.
  virtual Result<> put(const FdbKey& key, const FdbTarget& target) = 0;
  virtual void remove(const FdbKey& key) = 0;
  // Fills `idle_seconds` of each row; rows that the datapath does not hold get UINT32_MAX.
  virtual void usage(std::span<FdbUse> rows) const = 0;
  // Takes up to events.size() learn events, fairly over the ports; returns their number. Never blocks. Events of a
  // former life (see Datapath::settle()) are withdrawn unless put() takes them up before the next call.
  virtual std::size_t poll(std::span<LearnEvent> events) = 0;
  // Readable when poll() may have something. Only poll() reads it.
  [[nodiscard]] virtual int event_fd() const = 0;
};

class Datapath {
 public:
  virtual ~Datapath() = default;
  virtual Ports& ports() = 0;
  virtual Bridges& bridges() = 0;
  virtual Stations& stations() = 0;

  // --- lifecycle: control thread ---
  // A descriptor that is readable when run_control() has work (devices, routes or neighbours changed). run_control()
  // calls `changed` for every port whose PortState is another than before.
  [[nodiscard]] virtual int control_fd() const = 0;
  virtual void run_control(const std::function<void(PortNo)>& changed) = 0;
  // Ends a take-over, once, when the first configuration is in: ports and bridges of a former life that nobody asked
  // for again go, and Stations::poll() reports the entries that were learned on the ports that stay.
  virtual void settle() {}
  // Removes everything that would outlive this object. After it, only the destructor may be called.
  virtual void clean_up() {}
};

}  // namespace heddle::dp
