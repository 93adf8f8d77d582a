// SPDX-License-Identifier: Apache-2.0
// links: ovsdb
// Any bytes on clients' connections to the database server: no crash, no leak, every reply is a JSON message, and the
// server serves a well-behaved client afterwards. A NUL, which no JSON text contains, switches between two clients; the
// bytes between two NULs arrive in pieces, whose length is in the first byte.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "ovsdb/rpc_session.h"
#include "ovsdb/server.h"
#include "tests/fuzz/fuzz_schema.h"

namespace {

using namespace heddle::ovsdb;
namespace asio = boost::asio;

// One end of a connection in memory.
struct Wire {
  std::string to_server;
  std::string to_client;
  asio::mutable_buffer wanted{};
  Stream::Done reader;
  bool closed = false;

  void deliver(asio::io_context& io) {
    if (!reader || to_server.empty()) return;
    const std::size_t n = std::min(wanted.size(), to_server.size());
    std::memcpy(wanted.data(), to_server.data(), n);
    to_server.erase(0, n);
    asio::post(io, [done = std::exchange(reader, nullptr), n] { done({}, n); });
  }
};

class WireStream final : public Stream {
 public:
  WireStream(asio::io_context& io, Wire& wire) : io_(io), wire_(wire) {}
  void handshake(Ready ready) override {
    asio::post(io_, [ready = std::move(ready)] { ready({}); });
  }
  void read_some(asio::mutable_buffer into, Done done) override {
    wire_.wanted = into;
    wire_.reader = std::move(done);
  }
  void write_all(asio::const_buffer from, Done done) override {
    wire_.to_client.append(static_cast<const char*>(from.data()), from.size());
    asio::post(io_, [done = std::move(done), n = from.size()] { done({}, n); });
  }
  void close() override {
    wire_.closed = true;
    if (wire_.reader)
      asio::post(io_, [done = std::exchange(wire_.reader, nullptr)] { done(asio::error::operation_aborted, 0); });
  }
  asio::any_io_executor executor() override { return io_.get_executor(); }
  [[nodiscard]] std::string peer() const override { return "fuzzer"; }
  [[nodiscard]] std::string local() const override { return {}; }

 private:
  asio::io_context& io_;
  Wire& wire_;
};

void step(asio::io_context& io) {
  io.restart();
  io.poll();
}

void send(asio::io_context& io, Wire& wire, std::string_view bytes, std::size_t piece) {
  while (!bytes.empty() && !wire.closed) {
    wire.to_server += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    while (!wire.to_server.empty() && wire.reader) {
      wire.deliver(io);
      step(io);
    }
    step(io);
  }
}

// Checks that a client received JSON messages only; returns the last one, or null.
Json last_message(const Wire& wire) {
  JsonFramer framer;
  framer.append(wire.to_client);
  Json last;
  for (;;) {
    auto next = framer.next();
    if (!next) std::abort();
    if (!*next) return last;
    if (!(*next)->is_object()) std::abort();
    last = std::move(**next);
  }
}

void clients(asio::io_context& io, RpcSessions& sessions, std::string_view input) {
  Wire wires[3];
  for (Wire& wire : wires) sessions.admit(std::make_unique<WireStream>(io, wire));
  step(io);
  for (std::size_t turn = 0; !input.empty(); ++turn) {
    const auto end = std::min(input.find('\0'), input.size());
    const std::size_t piece = static_cast<unsigned char>(input[0]) % 64U + 1;
    send(io, wires[turn % 2], input.substr(0, end), piece);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  (void)last_message(wires[0]);
  (void)last_message(wires[1]);
  send(io, wires[2], R"({"id":"last","method":"list_dbs","params":[]})", 4096);
  if (last_message(wires[2])["id"] != "last") std::abort();
  sessions.close();
  step(io);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  spdlog::set_level(spdlog::level::off);
  const auto database = Database::open(kFuzzSchema, "").value();
  asio::io_context io(1);
  {
    OvsdbServer server(io, *database);
    RpcSessions sessions(server, {}, "fuzz");
    clients(io, sessions, {reinterpret_cast<const char*>(data), size});
  }
  step(io);
  return 0;
}
