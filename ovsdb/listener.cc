// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"

namespace heddle::ovsdb {

namespace {

using boost::asio::generic::stream_protocol;

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Errc::invalid, "socket path " + path + " must have 1 to " +
                                   std::to_string(sizeof address.sun_path - 1) +
                                   " characters (use a shorter directory)");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Removes a socket file on which no process listens.
Result<> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return errno == ENOENT ? Result<>{} : fail_errno(errno, "socket " + path);
  if (!S_ISSOCK(info.st_mode))
    return fail(Errc::exists, path + " exists and is not a socket (move it away, or choose another path)");
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return fail_errno(errno, "socket " + path);
  const int rc = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN: a process listens, and its backlog is full.
  if (rc == 0 || errno == EAGAIN)
    return fail(Errc::exists, "socket " + path + ": somebody listens there already (is the same program running?)");
  if (errno != ECONNREFUSED) return fail_errno(errno, "socket " + path);
  spdlog::info("socket {}: replaced, a process that has ended left it", path);
  if (::unlink(path.c_str()) != 0) return fail_errno(errno, "socket " + path);
  return {};
}

Result<Fd> listen_on_file(const std::string& path) {
  const auto address = socket_address(path);
  if (!address) return std::unexpected(address.error());
  if (auto ok = remove_stale(path, *address); !ok) return std::unexpected(ok.error());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket " + path);
  // The file gets the descriptor's mode (unix(7), Linux), so that other users can at no time connect.
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) return fail_errno(errno, "socket " + path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return fail_errno(errno, "socket " + path);
  if (::listen(fd.get(), limits::kRpcBacklog) != 0) return fail_errno(errno, "socket " + path);
  return fd;
}

Result<Fd> listen_on_tcp(const std::string& address, std::uint16_t port, const std::string& name) {
  boost::system::error_code error;
  const auto ip = boost::asio::ip::make_address(address.empty() ? "0.0.0.0" : address, error);
  if (error) return fail(Errc::invalid, name + ": " + address + " is not an IP address");
  const boost::asio::ip::tcp::endpoint endpoint(ip, port);
  Fd fd(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, name);
  const int on = 1;
  const int off = 0;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return fail_errno(errno, name);
  if (ip.is_v6() && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
    return fail_errno(errno, name);
  if (::bind(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) return fail_errno(errno, name);
  if (::listen(fd.get(), limits::kRpcBacklog) != 0) return fail_errno(errno, name);
  return fd;
}

class ListenerImpl final : public Listener {
 public:
  ListenerImpl(boost::asio::io_context& io, std::string name, Accept accept)
      : acceptor_(io), retry_(io), name_(std::move(name)), accept_(std::move(accept)) {}
  ~ListenerImpl() override {
    struct stat info {};
    if (path_.empty() || ::lstat(path_.c_str(), &info) != 0) return;
    if (info.st_dev == device_ && info.st_ino == inode_) ::unlink(path_.c_str());  // not replaced by another process
  }
  ListenerImpl(const ListenerImpl&) = delete;
  ListenerImpl& operator=(const ListenerImpl&) = delete;

  Result<> start(Fd fd, int family) {
    boost::system::error_code error;
    acceptor_.assign(stream_protocol(family, 0), fd.get(), error);
    if (error) return fail_errno(error.value(), name_);
    (void)fd.release();  // owned by the acceptor
    accept();
    return {};
  }
  Result<> own_file(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return fail_errno(errno, name_);
    path_ = path;
    device_ = info.st_dev;
    inode_ = info.st_ino;
    return {};
  }
  [[nodiscard]] std::uint16_t port() const override {
    if (!path_.empty()) return 0;
    boost::system::error_code error;
    boost::asio::ip::tcp::endpoint endpoint;
    const auto local = acceptor_.local_endpoint(error);
    if (error || local.size() > endpoint.capacity()) return 0;
    std::memcpy(endpoint.data(), local.data(), local.size());
    return endpoint.port();
  }

 private:
  void accept() {
    // The completion of an accept may run after the destructor.
    acceptor_.async_accept(
        [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error, Socket socket) {
          if (error == boost::asio::error::operation_aborted || alive.expired()) return;
          if (!error) {
            accept_(std::move(socket));
            if (!alive.expired()) accept();
            return;
          }
          unsigned held_back = 0;
          if (complaints_.allow(held_back)) spdlog::warn("{}: cannot accept a connection: {}", name_, error.message());
          // Most likely no descriptors are left: the connection stays in the backlog until the next attempt.
          retry_.expires_after(std::chrono::milliseconds(100));
          retry_.async_wait([this, alive](const boost::system::error_code& stopped) {
            if (!stopped && !alive.expired()) accept();
          });
        });
  }

  boost::asio::basic_socket_acceptor<stream_protocol> acceptor_;
  boost::asio::steady_timer retry_;
  std::string name_;
  Accept accept_;
  LogLimit complaints_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace

Result<std::unique_ptr<Listener>> Listener::on_file(boost::asio::io_context& io, const std::string& path,
                                                    Accept accept) {
  auto fd = listen_on_file(path);
  if (!fd) return std::unexpected(fd.error());
  auto listener = std::make_unique<ListenerImpl>(io, "socket " + path, std::move(accept));
  if (auto ok = listener->own_file(path); !ok) return std::unexpected(ok.error());
  if (auto ok = listener->start(std::move(*fd), AF_UNIX); !ok) return std::unexpected(ok.error());
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::on_tcp(boost::asio::io_context& io, const std::string& address,
                                                   std::uint16_t port, Accept accept) {
  const std::string name = "TCP port " + std::to_string(port) + (address.empty() ? "" : " of " + address);
  auto fd = listen_on_tcp(address, port, name);
  if (!fd) return std::unexpected(fd.error());
  auto listener = std::make_unique<ListenerImpl>(io, name, std::move(accept));
  const int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (auto ok = listener->start(std::move(*fd), family); !ok) return std::unexpected(ok.error());
  return listener;
}

}  // namespace heddle::ovsdb
