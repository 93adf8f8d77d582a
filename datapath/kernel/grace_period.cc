// SPDX-License-Identifier: Apache-2.0
#include "datapath/kernel/grace_period.h"

#include <bpf/bpf.h>

#include <cerrno>

namespace heddle::dp {

GracePeriod::GracePeriod(Fd inner, Fd outer) : inner_(std::move(inner)), outer_(std::move(outer)) {}

Result<std::unique_ptr<GracePeriod>> GracePeriod::make() {
  Fd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "grace_inner", sizeof(__u32), sizeof(__u32), 1, nullptr));
  if (!inner) return fail_errno(errno, "making a BPF map");
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.inner_map_fd = static_cast<__u32>(inner.get());
  Fd outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "grace", sizeof(__u32), sizeof(__u32), 1, &options));
  if (!outer) return fail_errno(errno, "making a BPF map of maps");
  return std::unique_ptr<GracePeriod>(new GracePeriod(std::move(inner), std::move(outer)));
}

// The kernel waits for a grace period in each change of a map of maps: maybe_wait_bpf_programs() in
// kernel/bpf/syscall.c.
void GracePeriod::wait() const {
  const __u32 key = 0;
  const auto value = static_cast<__u32>(inner_.get());
  bpf_map_update_elem(outer_.get(), &key, &value, BPF_ANY);
  waits_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace heddle::dp
