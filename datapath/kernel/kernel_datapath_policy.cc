// Bridge policies and QoS.
#include "datapath/kernel/kernel_datapath_impl.h"

namespace heddle::dp {

Result<> KernelDatapath::set_bridge(BridgeId /*bridge*/, const BridgePolicy& policy) {
  if (policy == BridgePolicy{}) return {};
  return fail(Errc::unsupported, "not yet");
}
MirrorCounters KernelDatapath::mirror_counters(BridgeId /*bridge*/, unsigned /*slot*/) const { return {}; }
Result<> KernelDatapath::set_qos(PortNo /*no*/, const std::optional<QosSpec>& qos) {
  if (!qos) return {};
  return fail(Errc::unsupported, "not yet");
}
std::map<std::uint32_t, QueueCounters> KernelDatapath::queue_counters(PortNo /*no*/) const { return {}; }

}  // namespace heddle::dp
