// SPDX-License-Identifier: Apache-2.0
// Carries out the decision about a frame: notes its source, makes the copies for mirrors and for all outputs but the
// last, gives each the tag that its output wants, and passes it to its device, tunnel or patch peer.
//
// Owned by the worker's Forwarder and used on its thread. Owns each frame from emit() or drop() on, and passes it on or
// frees it before they return. Nothing fails: a frame or copy that cannot leave is counted at the port where it ends.
#pragma once

#include "datapath/user/decision.h"
#include "datapath/user/frame_checksums.h"
#include "datapath/user/output_queues.h"
#include "datapath/user/patch_queue.h"
#include "datapath/user/round.h"
#include "datapath/user/source_reports.h"
#include "datapath/user/tunnel_output.h"

namespace heddle::dp {

class Emitter {
 public:
  Emitter(const Round& round, FrameCache& cache, FrameChecksums& checksums, SourceReports& reports,
          OutputQueues& queues, TunnelOutput& tunnels, PatchQueue& patches);

  void emit(FrameRef f, const Ingress& in, const Decision& d);
  void drop(FrameRef f, const PortConf& at, Drop why) {
    round_.counters(*at.shared).drop(why);
    cache_.free_chain(f);
  }

 private:
  enum class Role : bool { frame, mirror_copy };  // nobody is told what becomes of a mirror's copy

  void emit_copies(FrameRef f, const Ingress& in, const Decision& d);
  void deliver(FrameRef f, const Ingress& in, const Output& to, Role role = Role::frame);
  void to_device(FrameRef f, const packet::L2& l2, const PortConf& out);
  void to_tunnel(FrameRef f, const packet::L2& l2, const Ingress& in, const Output& to, Role role);

  const Round& round_;
  FrameCache& cache_;
  FrameChecksums& checksums_;
  SourceReports& reports_;
  OutputQueues& queues_;
  TunnelOutput& tunnels_;
  PatchQueue& patches_;
};

}  // namespace heddle::dp
