// vsctl: looks at and changes the configuration of a running vswitchd.
#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/run.h"

int main(int argc, char** argv) {
  try {
    const char* rundir = std::getenv("VSWITCH_RUNDIR");
    const int code = heddle::cli::run({argv + 1, argv + argc}, rundir == nullptr ? "" : rundir, std::cout, std::cerr);
    std::cout.flush();
    if (std::cout) return code;
    std::cerr << "vsctl: cannot write the output\n";
  } catch (const std::exception& e) {
    std::cerr << "vsctl: internal error: " << e.what() << "\n";
  }
  return heddle::cli::kExitFailure;
}
