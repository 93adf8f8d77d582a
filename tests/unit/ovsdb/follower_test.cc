// SPDX-License-Identifier: Apache-2.0
// A Follower beside a real server on a unix socket, both on one event loop.
#include "ovsdb/follower.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ovsdb/database.h"
#include "ovsdb/rpc_server.h"
#include "ovsdb/server.h"

namespace heddle::ovsdb {
namespace {

constexpr const char* kSchema = R"({"name": "Net", "version": "1.2.0", "tables": {"Station": {
  "columns": {"net": {"type": "integer"}, "name": {"type": "string"}}, "isRoot": true, "indexes": [["name"]]}}})";

struct Server {
  Server(boost::asio::io_context& io, const std::string& path, const char* schema = kSchema)
      : db(*Database::open(schema, "")), ovsdb(io, *db), socket(*JsonRpcServer::listen(io, path, ovsdb)) {}
  void add(int net, const std::string& name) {
    const Json row{{"net", net}, {"name", name}};
    db->transact(Json::array({Json{{"op", "insert"}, {"table", "Station"}, {"row", row}}}));
  }
  void remove(const std::string& name) {
    const Json where = Json::array({Json::array({"name", "==", name})});
    db->transact(Json::array({Json{{"op", "delete"}, {"table", "Station"}, {"where", where}}}));
  }
  std::unique_ptr<Database> db;
  OvsdbServer ovsdb;
  std::unique_ptr<JsonRpcServer> socket;
};

class FollowerTest : public testing::Test, public Follower::Listener {
 protected:
  FollowerTest() : path_(testing::TempDir() + "follower-" + std::to_string(getpid())) {}
  ~FollowerTest() override {
    for (const char* end : {"", ".2"}) std::filesystem::remove(path_ + end);
  }
  void dump_begins() override {
    ++dumps_;
    rows_.clear();
  }
  void row_is(const std::string& table, const std::string& uuid, const Json& row) override {
    EXPECT_EQ(table, "Station");
    rows_[uuid] = row.at("name").get<std::string>();
  }
  void row_changed(const std::string& /*table*/, const std::string& uuid, const Json& difference) override {
    ASSERT_TRUE(rows_.contains(uuid));
    if (difference.contains("name")) rows_[uuid] = difference.at("name").get<std::string>();
  }
  void row_gone(const std::string& /*table*/, const std::string& uuid) override { EXPECT_EQ(rows_.erase(uuid), 1U); }
  void in_step() override { ++in_steps_; }
  void lost(const std::string& /*why*/) override { ++losses_; }

  static Json of_net(int net) { return Json::array({Json::array({"net", "==", net})}); }
  void follow(std::vector<std::string> paths, const Json& where) {
    Follower::Config config{
        .servers = {}, .database = "Net", .version = "1", .columns = {{"Station", {"net", "name"}}}};
    for (const std::string& path : paths) config.servers.push_back(*Target::parse("unix:" + path));
    follower_ = std::make_unique<Follower>(io_, Tls::make(), config, *this);
    follower_->start({{"Station", where}});
  }
  template <typename Condition>
  void await(Condition condition) {
    const auto end = Clock::now() + std::chrono::seconds(20);
    while (!condition() && Clock::now() < end) {
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(100));
    }
    EXPECT_TRUE(condition()) << follower_->status().last_error;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [uuid, name] : rows_) out.push_back(name);
    std::ranges::sort(out);
    return out;
  }
  using Names = std::vector<std::string>;

  std::string path_;
  boost::asio::io_context io_{1};
  std::map<std::string, std::string> rows_;
  int dumps_ = 0, in_steps_ = 0, losses_ = 0;
  std::unique_ptr<Follower> follower_;
};

TEST_F(FollowerTest, IsToldOfTheRowsThatItAsksFor) {
  Server server(io_, path_);
  server.add(1, "a");
  server.add(2, "b");
  follow({path_}, of_net(1));
  await([&] { return in_steps_ == 1; });
  EXPECT_EQ(names(), Names{"a"});
  server.add(1, "c");
  server.add(2, "d");
  server.remove("a");
  await([&] { return names() == Names{"c"}; });
  follower_->set_conditions({{"Station", Json::array({of_net(1)[0], of_net(2)[0]})}});
  await([&] { return in_steps_ == 2; });
  EXPECT_EQ(names(), (Names{"b", "c", "d"}));
  follower_->set_conditions({{"Station", of_net(2)}});
  await([&] { return in_steps_ == 3; });
  EXPECT_EQ(names(), (Names{"b", "d"}));
  EXPECT_EQ(dumps_, 1);
  EXPECT_EQ(losses_, 0);
}

TEST_F(FollowerTest, RunsTransactions) {
  Server server(io_, path_);
  follow({path_}, of_net(1));
  std::vector<std::string> said;
  const auto run = [&](const char* name) {
    const Json row{{"net", 1}, {"name", name}};
    follower_->transact(Json::array({Json{{"op", "insert"}, {"table", "Station"}, {"row", row}}}),
                        [&said](const Result<Json>& done) { said.push_back(done ? "done" : done.error().text); });
  };
  run("early");
  await([&] { return said.size() == 1; });
  EXPECT_EQ(said.back(), "not connected");
  await([&] { return in_steps_ == 1; });
  run("a");
  run("a");
  await([&] { return said.size() == 3; });
  EXPECT_EQ(said[1], "done");
  EXPECT_NE(said[2].find("constraint violation"), std::string::npos) << said[2];
  await([&] { return names() == Names{"a"}; });
}

TEST_F(FollowerTest, GoesOnWhereItWasLost) {
  auto server = std::make_unique<Server>(io_, path_);
  server->add(1, "a");
  follow({path_}, of_net(1));
  await([&] { return in_steps_ == 1; });
  server->socket.reset();
  await([&] { return losses_ == 1; });
  server->add(1, "b");
  server->remove("a");
  server->socket = *JsonRpcServer::listen(io_, path_, server->ovsdb);
  await([&] { return in_steps_ == 2; });
  EXPECT_EQ(names(), Names{"b"});
  EXPECT_EQ(dumps_, 1) << "the server knew what it had told";
  // Another server with another history.
  server = nullptr;
  await([&] { return losses_ == 2; });
  Server other(io_, path_);
  other.add(1, "c");
  await([&] { return in_steps_ == 3; });
  EXPECT_EQ(names(), Names{"c"});
  EXPECT_EQ(dumps_, 2);
}

TEST_F(FollowerTest, TakesTheServerThatIsOfUse) {
  Server wrong(io_, path_, R"({"name": "Net", "version": "2.0.0", "tables": {}})");
  follow({path_, path_ + ".2"}, of_net(1));
  await([&] { return follower_->status().last_error.find("No such file") != std::string::npos; });
  EXPECT_FALSE(follower_->status().in_step);
  Server right(io_, path_ + ".2");
  right.add(1, "a");
  await([&] { return in_steps_ == 1; });
  EXPECT_EQ(follower_->status().server, "unix:" + path_ + ".2");
  EXPECT_EQ(follower_->status().last_error, "");
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(FollowerTest, SaysWhatIsWrongWithASchema) {
  for (const auto& [schema, text] :
       {std::pair{R"({"name": "Net", "version": "2.0.0", "tables": {}})", "has version 2.0.0, and version 1 is needed"},
        {R"({"name": "Net", "version": "1.0.0", "tables": {"Station": {"columns": {"net": {"type": "integer"}}}}})",
         "has no column name in table Station"},
        {R"({"name": "Other", "version": "1.0.0", "tables": {}})", "unknown database"}}) {
    Server server(io_, path_, schema);
    follow({path_}, of_net(1));
    await([&, wanted = text] { return follower_->status().last_error.find(wanted) != std::string::npos; });
    follower_ = nullptr;
  }
}

TEST_F(FollowerTest, OneHasTheLock) {
  Server server(io_, path_);
  const Follower::Config config{.servers = {*Target::parse("unix:" + path_)},
                                .database = "Net",
                                .version = "1",
                                .columns = {{"Station", {"net", "name"}}},
                                .lock = "one"};
  auto first = std::make_unique<Follower>(io_, Tls::make(), config, *this);
  follower_ = std::make_unique<Follower>(io_, Tls::make(), config, *this);
  first->start({});
  await([&] { return first->status().locked; });
  follower_->start({});
  await([&] { return follower_->status().in_step; });
  EXPECT_FALSE(follower_->status().locked);
  first = nullptr;
  await([&] { return follower_->status().locked; });
}

}  // namespace
}  // namespace heddle::ovsdb
