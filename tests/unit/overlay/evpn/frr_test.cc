// SPDX-License-Identifier: Apache-2.0
// What FRR says, as it was seen to say it, and what it might say.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/fd.h"
#include "overlay/evpn/frr_files.h"
#include "overlay/evpn/frr_watch.h"
#include "overlay/evpn/vty.h"

namespace heddle::overlay::evpn {
namespace {

namespace asio = boost::asio;

TEST(Frr, NeighborsOfASummary) {
  const auto n = read_neighbors(R"({"peers":{"192.0.2.101":{"state":"Established","pfxRcd":4},
      "192.0.2.102":{"state":"Connect"},"192.0.2.103":{}},"totalPeers":3})");
  EXPECT_EQ(n.established, 1U);
  EXPECT_EQ(n.others, (std::vector<std::string>{"192.0.2.102 is in state Connect", "192.0.2.103 is in state unknown"}));
  for (const char* bad : {"", "{", "[]", "3", R"({"peers":3})", R"({"peers":[1]})", R"({"peers":{"a":3}})",
                          "% BGP instance not found", R"({"peers":{"a":{"state":[]}}})"})
    EXPECT_EQ(read_neighbors(bad).established, 0U) << bad;
}

TEST(Frr, RemoteStationsOfANetwork) {
  const auto macs = read_remote_macs(R"({"numMacs":3,"macs":{
      "02:00:00:00:00:01":{"type":"remote","remoteVtep":"192.0.2.2"},
      "02:00:00:00:00:02":{"type":"local","intf":"hdp10"},"rubbish":{"type":"remote"},"02:00:00:00:00:03":4}})");
  ASSERT_TRUE(macs);
  EXPECT_EQ(*macs, std::vector{*MacAddr::parse("02:00:00:00:00:01")});
  EXPECT_TRUE(read_remote_macs("{}")->empty());
  EXPECT_FALSE(read_remote_macs("% VNI 10 does not exist"));
  EXPECT_FALSE(read_remote_macs("[1]"));
}

TEST(Frr, Version) {
  EXPECT_EQ(read_version("FRRouting 8.4.4 (vm) on Linux(6.18).\nCopyright"), "8.4.4");
  EXPECT_EQ(read_version("FRRouting 10.0"), "10.0");
  EXPECT_EQ(read_version("Quagga 1.2"), "");
}

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/heddle-frr-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string read(const std::string& name) {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::filesystem::path folder_;
};
using FrrFilesTest = Folder;
using VtyTest = Folder;

TEST_F(FrrFilesTest, SayWhatIsWanted) {
  const FrrFiles files(folder_ / "evpn");
  const BgpSettings bgp{65000, 65001, {*IpAddr::parse("192.0.2.101"), *IpAddr::parse("2001:db8::1")}};
  ASSERT_TRUE(files.want(bgp, *IpAddr::parse("192.0.2.1")));
  EXPECT_EQ(read("evpn/vtep"), "192.0.2.1\n");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "evpn/wanted"));
  const std::string conf = read("evpn/bgpd.conf");
  EXPECT_NE(conf.find("router bgp 65000\n bgp router-id 192.0.2.1\n"), std::string::npos) << conf;
  EXPECT_NE(conf.find(" neighbor 2001:db8::1 remote-as 65001\n"), std::string::npos) << conf;
  EXPECT_NE(conf.find("  neighbor 192.0.2.101 activate\n"), std::string::npos) << conf;
  EXPECT_NE(conf.find("ebgp-multihop"), std::string::npos) << "the neighbor is of another AS";
  EXPECT_EQ(bgpd_conf({65000, 65000, bgp.neighbors}, *IpAddr::parse("192.0.2.1")).find("ebgp-multihop"),
            std::string::npos);
  EXPECT_EQ(files.holder(), std::nullopt);
  std::ofstream(folder_ / "evpn/holder") << "4711\n";
  EXPECT_EQ(files.holder(), 4711);
  std::ofstream(folder_ / "evpn/holder") << "-1\n";
  EXPECT_EQ(files.holder(), std::nullopt);
  std::ofstream(folder_ / "evpn/problem") << "FRR is not installed\n";
  EXPECT_EQ(files.problem(), "FRR is not installed");
  EXPECT_TRUE(files.stop());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "evpn/wanted"));
}

// The present FRR is ended for other settings, and not for the same.
TEST_F(FrrFilesTest, EndTheOldFrrWhenSomethingIsNew) {
  const FrrFiles files(folder_);
  const std::string control = folder_ / "control";
  ASSERT_EQ(mkfifo(control.c_str(), 0600), 0);
  const Fd reader(::open(control.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));  // both ends: does not wait for a writer
  const auto line = [&reader] {
    std::array<char, 64> text{};
    const auto size = ::read(reader.get(), text.data(), text.size());
    return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string("nothing");
  };
  const BgpSettings bgp{65000, 65000, {*IpAddr::parse("192.0.2.101")}};
  ASSERT_TRUE(files.want(bgp, *IpAddr::parse("192.0.2.1")));
  EXPECT_EQ(line(), "again\n");
  ASSERT_TRUE(files.want(bgp, *IpAddr::parse("192.0.2.1")));
  EXPECT_EQ(line(), "nothing") << "the same settings";
  ASSERT_TRUE(files.want(bgp, *IpAddr::parse("192.0.2.2")));
  EXPECT_EQ(line(), "again\n");
  EXPECT_TRUE(files.stop());
  EXPECT_EQ(line(), "again\n");
}

TEST_F(FrrFilesTest, AFolderThatCannotBeWritten) {
  std::ofstream(folder_ / "file") << "x";
  const auto done = FrrFiles(folder_ / "file").want({1, 1, {*IpAddr::parse("192.0.2.1")}}, *IpAddr::parse("192.0.2.1"));
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().text.find("cannot be written"), std::string::npos);
}

// A daemon that answers what it is told to.
struct FakeDaemon {
  FakeDaemon(asio::io_context& io, const std::string& path) : acceptor(io, path), socket(io) {
    acceptor.async_accept(socket, [this](const auto& error) {
      if (!error) read();
    });
  }
  void read() {
    socket.async_read_some(asio::buffer(part), [this](const auto& error, std::size_t size) {
      if (error) return;
      heard.append(part.data(), size);
      if (heard.back() == '\0') {
        const std::string command = heard.substr(0, heard.size() - 1);
        heard.clear();
        asked.push_back(command);
        if (command == "die") return socket.close();
        // In two pieces, the first of which ends within the end mark.
        std::string answer = "answer to " + command + std::string("\0\0\0\0", 4);
        asio::write(socket, asio::buffer(answer.substr(0, answer.size() - 2)));
        asio::write(socket, asio::buffer(answer.substr(answer.size() - 2)));
      }
      read();
    });
  }
  asio::local::stream_protocol::acceptor acceptor;
  asio::local::stream_protocol::socket socket;
  std::array<char, 256> part{};
  std::string heard;
  std::vector<std::string> asked;
};

TEST_F(VtyTest, AsksOneThingAfterTheOtherAndSeesTheEnd) {
  asio::io_context io;
  const std::string path = folder_ / "zebra.vty";
  EXPECT_FALSE(Vty::open(io, path, [](const std::string&) {})) << "nobody listens";
  FakeDaemon daemon(io, path);
  std::string lost;
  std::vector<std::string> answers;
  auto vty = Vty::open(io, path, [&lost](const std::string& why) { lost = why; });
  ASSERT_TRUE(vty) << vty.error().text;
  for (const char* command : {"one", "two", "three"})
    (*vty)->ask(command, [&answers](const std::string& text) { answers.push_back(text); });
  EXPECT_EQ((*vty)->waiting(), 3U);
  while (answers.size() < 3) io.run_one();
  EXPECT_EQ(answers, (std::vector<std::string>{"answer to one", "answer to two", "answer to three"}));
  EXPECT_EQ(daemon.asked, (std::vector<std::string>{"one", "two", "three"}));
  (*vty)->ask("die", [](const std::string&) { ADD_FAILURE(); });
  while (lost.empty()) io.run_one();
  EXPECT_NE(lost.find("zebra.vty: it ended"), std::string::npos) << lost;
}

TEST_F(VtyTest, NothingIsCalledAfterItsEnd) {
  asio::io_context io;
  FakeDaemon daemon(io, folder_ / "zebra.vty");
  auto vty = Vty::open(io, folder_ / "zebra.vty", [](const std::string&) { ADD_FAILURE(); });
  ASSERT_TRUE(vty);
  (*vty)->ask("one", [](const std::string&) { ADD_FAILURE(); });
  vty->reset();
  daemon.acceptor.close();
  io.run_for(std::chrono::milliseconds(50));
}

}  // namespace
}  // namespace heddle::overlay::evpn
