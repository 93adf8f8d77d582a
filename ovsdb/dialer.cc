// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/dialer.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "ovsdb/name_lookup.h"

namespace heddle::ovsdb {

using boost::asio::ip::tcp;
using boost::system::error_code;

// Kept alive by its pending callbacks, which do nothing once `done_` is empty.
class Dialer::Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(boost::asio::io_context& io, std::shared_ptr<Tls> tls, const Target& target, Done done)
      : tls_(std::move(tls)), target_(target), done_(std::move(done)), socket_(io), lookup_(io), timer_(io) {}

  void start() {
    timer_.expires_after(std::chrono::seconds(limits::kHandshakeSeconds));
    timer_.async_wait([self = shared_from_this()](const error_code& stopped) {
      if (!stopped) self->finish(fail(Errc::system, "no answer in time"));
    });
    if (target_.file) return connect({boost::asio::local::stream_protocol::endpoint(target_.place)});
    error_code error;
    const auto ip = boost::asio::ip::make_address(target_.place, error);
    if (!error) return connect({tcp::endpoint(ip, target_.port)});
    lookup_.start(
        target_.place, std::to_string(target_.port),
        [self = shared_from_this()](const Result<NameLookup::Addresses>& found) {
          if (!found)
            return self->finish(fail(Errc::system, "host " + self->target_.place + ": " + found.error().text));
          std::vector<Endpoint> all;
          for (const auto& address : *found) all.emplace_back(&address.socket, address.size, IPPROTO_TCP);
          self->connect(std::move(all));
        });
  }

  void cancel() {
    done_ = nullptr;
    close();
  }

 private:
  using Endpoint = boost::asio::generic::stream_protocol::endpoint;

  void connect(std::vector<Endpoint> endpoints) {
    if (!done_) return;
    if (endpoints.empty()) return finish(fail(Errc::system, "host " + target_.place + " has no address"));
    const Endpoint first = endpoints.front();
    endpoints.erase(endpoints.begin());
    error_code ignored;
    socket_.close(ignored);
    socket_.async_connect(first,
                          [self = shared_from_this(), rest = std::move(endpoints)](const error_code& error) mutable {
                            if (!self->done_) return;
                            if (!error) return self->connected();
                            if (rest.empty()) return self->finish(fail(Errc::system, error.message()));
                            self->connect(std::move(rest));
                          });
  }

  void connected() {
    Socket socket = std::exchange(socket_, Socket(socket_.get_executor()));
    finish(target_.tls ? tls_->stream(std::move(socket), TlsRole::client)
                       : Result<std::unique_ptr<Stream>>(plain_stream(std::move(socket))));
  }

  void finish(Result<std::unique_ptr<Stream>> outcome) {
    const Done done = std::exchange(done_, nullptr);
    close();
    if (done) done(std::move(outcome));
  }

  void close() {
    lookup_.cancel();
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

  std::shared_ptr<Tls> tls_;
  const Target target_;
  Done done_;
  Socket socket_;  // being connected
  NameLookup lookup_;
  boost::asio::steady_timer timer_;
};

Dialer::Dialer(boost::asio::io_context& io, std::shared_ptr<Tls> tls) : io_(io), tls_(std::move(tls)) {}

Dialer::~Dialer() { cancel(); }

// Later, so that `done` is never called from here.
void Dialer::dial(const Target& target, Done done) {
  cancel();
  running_ = std::make_shared<Attempt>(io_, tls_, target, std::move(done));
  boost::asio::post(io_, [weak = std::weak_ptr(running_)] {
    if (const auto attempt = weak.lock()) attempt->start();
  });
}

void Dialer::cancel() {
  if (const auto attempt = std::exchange(running_, nullptr)) attempt->cancel();
}

}  // namespace heddle::ovsdb
