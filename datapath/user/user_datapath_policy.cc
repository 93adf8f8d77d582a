// Bridge policies and QoS.
#include "datapath/user/user_datapath_impl.h"

namespace heddle::dp {

Result<> UserDatapath::set_bridge(BridgeId /*bridge*/, const BridgePolicy& policy) {
  if (policy == BridgePolicy{}) return {};
  return fail(Errc::unsupported, "not yet");
}
MirrorCounters UserDatapath::mirror_counters(BridgeId /*bridge*/, unsigned /*slot*/) const { return {}; }
Result<> UserDatapath::set_qos(PortNo /*no*/, const std::optional<QosSpec>& qos) {
  if (!qos) return {};
  return fail(Errc::unsupported, "not yet");
}
std::map<std::uint32_t, QueueCounters> UserDatapath::queue_counters(PortNo /*no*/) const { return {}; }

}  // namespace heddle::dp
