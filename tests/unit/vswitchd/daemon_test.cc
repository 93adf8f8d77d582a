// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>

namespace heddle::vswitchd {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "heddle-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(dir_); }
  std::string dir_;
};

TEST_F(DaemonTest, OneDaemonForOneRunDirectory) {
  auto first = std::make_unique<Result<RunLock>>(RunLock::take(dir_, 0s));
  ASSERT_TRUE(*first);
  const auto second = RunLock::take(dir_, 0s);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().text, "already running on " + dir_ + " (pid " + std::to_string(getpid()) + ")");
  first.reset();
  EXPECT_TRUE(RunLock::take(dir_, 0s)) << "the lock goes with its holder";
}

TEST_F(DaemonTest, AHolderThatDoesNotServeIsWaitedFor) {
  auto dying = std::make_unique<Result<RunLock>>(RunLock::take(dir_, 0s));
  ASSERT_TRUE(*dying);
  std::thread end([&] { dying.reset(); });
  EXPECT_TRUE(RunLock::take(dir_, 60s));
  end.join();
}

TEST_F(DaemonTest, DirectoriesAreMadeWithTheirMode) {
  const std::string path = dir_ + "/a/b";
  ASSERT_TRUE(make_directory(path, 0700));
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  EXPECT_TRUE(make_directory(path, 0755)) << "one that is there stays as it is";
  std::ofstream(dir_ + "/file") << "x";
  EXPECT_THAT(make_directory(dir_ + "/file/sub", 0755).error().text, testing::HasSubstr(dir_ + "/file/sub"));
}

TEST_F(DaemonTest, PidFileComesAndGoes) {
  const std::string path = dir_ + "/pid";
  {
    const auto file = PidFile::write(path);
    ASSERT_TRUE(file);
    long pid = 0;
    std::ifstream(path) >> pid;
    EXPECT_EQ(pid, getpid());
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_THAT(PidFile::write(dir_ + "/none/pid").error().text, testing::HasSubstr("none/pid"));
}

TEST_F(DaemonTest, OnlyControlSocketsAreStale) {
  for (const char* name : {"vswitchd.1.ctl", "vswitchd.log", "db.sock"}) std::ofstream(dir_ + "/" + name) << "x";
  remove_stale_sockets(RunLock::take(dir_, 0s).value(), dir_);
  EXPECT_FALSE(fs::exists(dir_ + "/vswitchd.1.ctl"));
  EXPECT_TRUE(fs::exists(dir_ + "/vswitchd.log"));
  EXPECT_TRUE(fs::exists(dir_ + "/db.sock"));
}

// What the starting process sees. The child must not go on with the tests.
int status_of(const std::function<int(Starter&)>& child) {
  const pid_t self = getpid();
  const auto status = detach(child);
  if (getpid() != self) _exit(0);
  return status.value_or(-1);
}

TEST_F(DaemonTest, DetachWaitsUntilItServes) {
  EXPECT_EQ(status_of([](Starter& starter) {
              starter.serving();
              return 0;
            }),
            0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(status_of([](Starter& starter) {
              starter.failed("no room in the inn");
              return 1;
            }),
            1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "vswitchd: no room in the inn\n");
  testing::internal::CaptureStderr();
  EXPECT_EQ(status_of([](Starter&) {
              _exit(3);
              return 0;
            }),
            1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("ended before it served"));
}

TEST_F(DaemonTest, ServiceManagerIsTold) {
  const std::string path = dir_ + "/notify";
  const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  Starter().serving();
  unsetenv("NOTIFY_SOCKET");
  std::array<char, 64> buffer{};
  const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(buffer.data(), static_cast<std::size_t>(n)), "READY=1");
}

}  // namespace
}  // namespace heddle::vswitchd
