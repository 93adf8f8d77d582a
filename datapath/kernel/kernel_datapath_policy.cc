// Bridge policies.
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {

Result<> KernelDatapath::set_bridge(BridgeId /*bridge*/, const BridgePolicy& policy) {
  if (policy == BridgePolicy{}) return {};
  return fail(Errc::unsupported, "not yet");
}
MirrorCounters KernelDatapath::mirror_counters(BridgeId /*bridge*/, unsigned /*slot*/) const { return {}; }

}  // namespace heddle::dp
