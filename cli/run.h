// SPDX-License-Identifier: Apache-2.0
// One run of vsctl, from its arguments to its exit code. Streams and environment are parameters; errors go to `err`.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitAbsent = 2;
// For main() only: end by SIGALRM.
inline constexpr int kExitAlarm = 128 + 14;

// The name by which the program was called. Called "ovs-vsctl" it behaves like ovs-vsctl: that name in messages and in
// --version, exit code 0 when an interface could not be set up, an end by SIGALRM when --timeout is over.
struct Caller {
  std::string name = "vsctl";
  bool as_ovs = false;

  // By the last part of argv[0].
  static Caller of(std::string_view program);
};

// `args`: without the program's name; `rundir`: the value of VSWITCH_RUNDIR, or empty.
int run(const std::vector<std::string>& args, const std::string& rundir, std::ostream& out, std::ostream& err,
        const Caller& caller = {});

}  // namespace heddle::cli
