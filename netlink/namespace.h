// SPDX-License-Identifier: Apache-2.0
// Work in another network namespace. A socket belongs to the namespace of the thread that made it, for good: so a
// thread that lives as long as the call enters the namespace, and the caller's never leaves its own.
//
// Thread: any. Needs CAP_SYS_ADMIN. Errc::system: the namespace cannot be entered.
#pragma once

#include <functional>

#include "base/fd.h"
#include "base/result.h"

namespace heddle::netlink {

// `netns`: a descriptor of the namespace, see namespaces(7).
Result<> in_namespace(int netns, const std::function<Result<>()>& work);

// The calling thread's.
Result<Fd> own_namespace();
// That of another process; needs the right to look at it (ptrace(2), PTRACE_MODE_READ_FSCREDS).
Result<Fd> namespace_of(int pid);

}  // namespace heddle::netlink
