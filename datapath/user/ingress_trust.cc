// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/ingress_trust.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

namespace heddle::dp {

void IngressTrust::refresh() {
  if (paths_.idle()) return;  // no tunnel
  if (!std::exchange(read_, true)) stack_.read(kernel_);
  const std::set<int> bring = stack_.above(devices_.host_devices());
  const std::set<int> lead = paths_.leading_devices();
  std::vector<int> untrusted;
  std::ranges::set_difference(bring, lead, std::back_inserter(untrusted));
  if (workers_.draft().set_untrusted(std::move(untrusted))) workers_.draft().publish();
}

}  // namespace heddle::dp
