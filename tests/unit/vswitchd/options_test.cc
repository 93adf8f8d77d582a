// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace heddle::vswitchd {
namespace {

Result<Options> parse(std::vector<const char*> args) {
  args.insert(args.begin(), "vswitchd");
  return parse_options(static_cast<int>(args.size()), args.data());
}

TEST(Options, Defaults) {
  const Options o = parse({}).value();
  EXPECT_EQ(o.rundir, "/run/vswitch");
  EXPECT_EQ(o.pidfile, "/run/vswitch/vswitchd.pid");
  EXPECT_EQ(o.log_file, "");
  EXPECT_EQ(o.bpffs, "/sys/fs/bpf");
  EXPECT_EQ(o.datapath, "") << "the kernel's where it is possible";
  EXPECT_FALSE(o.detach);
  EXPECT_FALSE(o.cleanup);
}

TEST(Options, FilesFollowTheRunDirectory) {
  const Options o = parse({"--rundir=/tmp/x/", "--detach", "--pidfile"}).value();
  EXPECT_EQ(o.rundir, "/tmp/x");
  EXPECT_EQ(o.pidfile, "/tmp/x/vswitchd.pid");
  EXPECT_EQ(o.log_file, "/tmp/x/vswitchd.log");
  EXPECT_EQ(parse({"--pidfile=/tmp/p"})->pidfile, "/tmp/p");
}

TEST(Options, MistakesAreNamed) {
  const auto error = [](std::vector<const char*> args) {
    const auto r = parse(std::move(args));
    return r ? "no error" : r.error().text;
  };
  EXPECT_THAT(error({"--workers=0"}), testing::HasSubstr("--workers: from 1 to"));
  EXPECT_THAT(error({"--frames=1"}), testing::HasSubstr("--frames"));
  EXPECT_THAT(error({"--datapath=netdev"}), testing::HasSubstr("--datapath: kernel or user, not \"netdev\""));
  EXPECT_THAT(error({"--bpffs="}), testing::HasSubstr("bpffs"));
  EXPECT_THAT(error({"--cleanup", "--detach"}), testing::HasSubstr("--detach"));
  EXPECT_THAT(error({"--wrkers=1"}), testing::HasSubstr("wrkers"));
  EXPECT_THAT(error({"--work=1"}), testing::HasSubstr("work"));
  EXPECT_THAT(error({"surplus"}), testing::HasSubstr("see --help"));
  EXPECT_THAT(error({"--rundir="}), testing::HasSubstr("rundir"));
}

TEST(Options, HelpNamesEveryFile) {
  for (const char* word : {"--rundir", "--detach", "db.sock", "vswitchd.PID.ctl", "SIGTERM", "Exit status",
                           "vsctl add-br", "--cleanup", "--bpffs"})
    EXPECT_THAT(help_text(), testing::HasSubstr(word));
}

}  // namespace
}  // namespace heddle::vswitchd
