// One run of vsctl, from its arguments to its exit code. Everything it touches is given to it.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace heddle::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitAbsent = 2;

// `args` without the program's name; `rundir` is the environment's VSWITCH_RUNDIR, or empty.
int run(const std::vector<std::string>& args, const std::string& rundir, std::ostream& out, std::ostream& err);

}  // namespace heddle::cli
