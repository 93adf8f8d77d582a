// SPDX-License-Identifier: Apache-2.0
// Syncs of the log: their time and their thread. SQLite and the engine call the fdatasync() of this file, which counts
// the calls and can fail.
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>

#include "ovsdb/log_sync.h"
#include "tests/unit/ovsdb/fixture.h"

namespace {

std::atomic<int> all_syncs{0};         // calls for log files by all threads
thread_local int own_syncs = 0;        // calls by this thread
thread_local bool fails = false;       // calls of this thread fail
std::atomic<bool> others_stop{false};  // calls of other threads wait while this is true

thread_local bool is_test_thread = false;

bool is_log(int fd) {
  std::array<char, 4096> target{};
  const auto n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
  return n > 0 && std::string_view(target.data(), static_cast<std::size_t>(n)).ends_with("-wal");
}

}  // namespace

extern "C" int fdatasync(int fd) {
  while (!is_test_thread && others_stop) std::this_thread::yield();
  if (fails) {
    errno = EIO;
    return -1;
  }
  const auto result = static_cast<int>(::syscall(SYS_fdatasync, fd));
  if (is_log(fd)) {
    ++own_syncs;
    ++all_syncs;
    all_syncs.notify_all();
  }
  return result;
}

namespace heddle::ovsdb {
namespace {

constexpr const char* kInsert = "{'op':'insert','table':'Root','row':{'name':'x'}}";
constexpr const char* kDurable = "{'op':'commit','durable':true}";

struct Synced : Stored {
  std::unique_ptr<Database> db;
  void SetUp() override {
    Stored::SetUp();
    is_test_thread = true;
    db = open_test(path);
    all_syncs = own_syncs = 0;
  }
  void TearDown() override {
    others_stop = fails = false;
    db.reset();
    Stored::TearDown();
  }
  std::string transact(const std::string& operations) { return error_of(run(*db, "[" + operations + "]")); }
};

TEST_F(Synced, ANonDurableTransactionIsSyncedSoonInTheBackground) {
  ASSERT_EQ(transact(kInsert), "");
  EXPECT_EQ(own_syncs, 0);
  all_syncs.wait(0);  // bounded by ctest's time limit
  EXPECT_EQ(own_syncs, 0);
}

TEST_F(Synced, ADurableTransactionIsOnDiskAtItsReply) {
  ASSERT_EQ(transact(kInsert + std::string(",") + kDurable), "");
  EXPECT_EQ(own_syncs, 1);
}

TEST_F(Synced, DurableIncludesAllEarlierTransactions) {
  others_stop = true;
  ASSERT_EQ(transact(kInsert), "");
  ASSERT_EQ(transact(kDurable), "") << "changes nothing itself";
  EXPECT_EQ(own_syncs, 1);
  ASSERT_EQ(transact("{'op':'update','table':'Root','where':[],'row':{'eph':5}}," + std::string(kDurable)), "");
  EXPECT_EQ(own_syncs, 1) << "only ephemeral columns changed, and all else is on disk";
}

TEST_F(Synced, ADurableTransactionOverwritesTheExtendedLog) {
  const auto size = [&] { return std::filesystem::file_size(path + "-wal"); };
  ASSERT_EQ(transact(kInsert + std::string(",") + kDurable), "");
  EXPECT_GE(size(), LogSync::kAhead);
  int grown = 0;
  for (int n = 1; n < 100; ++n) {
    const auto before = size();
    const std::string change = "{'op':'update','table':'Root','where':[],'row':{'n':" + std::to_string(n) + "}},";
    ASSERT_EQ(transact(change + kDurable), "");
    grown += size() != before ? 1 : 0;
  }
  EXPECT_LT(grown, 30) << "most commits fitted the extended log";
  // After a kill: zeros are not taken for commits.
  std::filesystem::copy(path, path + "2");
  std::filesystem::copy(path + "-wal", path + "2-wal");
  EXPECT_EQ(column(*open_test(path + "2"), "x", "n"), 99);
}

TEST_F(Synced, AFailedSyncFailsADurableTransaction) {
  fails = true;
  EXPECT_EQ(transact(kInsert + std::string(",") + kDurable), "I/O error");
  EXPECT_TRUE(db->rows("Root").empty());
  fails = false;
  EXPECT_EQ(transact(kInsert + std::string(",") + kDurable), "");
  EXPECT_EQ(db->rows("Root").size(), 1U);
}

TEST_F(Synced, TheDestructorSyncsTheRest) {
  ASSERT_EQ(transact(kInsert), "");
  db.reset();
  EXPECT_GE(all_syncs, 1);
  EXPECT_EQ(open_test(path)->rows("Root").size(), 1U);
}

TEST_F(Synced, EphemeralColumnsAreNotSynced) {
  ASSERT_EQ(transact(kInsert + std::string(",{'op':'commit','durable':false}")), "");
  EXPECT_EQ(own_syncs, 0);
}

}  // namespace
}  // namespace heddle::ovsdb
