// SPDX-License-Identifier: Apache-2.0
// vsctl: looks at and changes the configuration of a running vswitchd.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/run.h"

namespace {

// Ends like ovs-vsctl, so that a shell reports "Alarm clock".
int end_by_alarm() {
  std::signal(SIGALRM, SIG_DFL);
  std::raise(SIGALRM);
  return heddle::cli::kExitFailure;  // SIGALRM is blocked
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto caller = heddle::cli::Caller::of(argc > 0 ? argv[0] : "");
    const char* rundir = std::getenv("VSWITCH_RUNDIR");
    if (rundir == nullptr && caller.as_ovs) rundir = std::getenv("OVS_RUNDIR");
    const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
    const int code = heddle::cli::run(args, rundir == nullptr ? "" : rundir, std::cout, std::cerr, caller);
    std::cout.flush();
    if (code == heddle::cli::kExitAlarm) return end_by_alarm();
    if (std::cout) return code;
    std::cerr << "vsctl: cannot write the output\n";
  } catch (const std::exception& e) {
    std::cerr << "vsctl: internal error: " << e.what() << "\n";
  }
  return heddle::cli::kExitFailure;
}
