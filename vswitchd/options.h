// SPDX-License-Identifier: Apache-2.0
// The command line of vswitchd. Pure but for reading argv; fails with a text that names the option.
#pragma once

#include <cstddef>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "vswitchd/remotes.h"

namespace heddle::vswitchd {

struct Options {
  std::string rundir = "/run/vswitch";
  std::string db = "/var/lib/vswitch/conf.db";
  std::string pidfile;   // empty on the command line: <rundir>/vswitchd.pid
  std::string log_file;  // empty: stderr; with --detach <rundir>/vswitchd.log
  std::string log_level = "info";
  std::string schema;  // empty: the one that is built in
  std::string bpffs = "/sys/fs/bpf";
  std::string evpn_dir;  // empty on the command line: <rundir>-evpn
  std::string datapath;  // "kernel", "user"; empty: kernel where possible
  RemoteConfig remotes;
  unsigned workers = 1;
  std::size_t frames = limits::kFrames;
  bool detach = false;
  bool cleanup = false;
  bool help = false;
  bool version = false;
};

// Fills in what depends on other options.
Result<Options> parse_options(int argc, const char* const argv[]);

std::string help_text();

}  // namespace heddle::vswitchd
