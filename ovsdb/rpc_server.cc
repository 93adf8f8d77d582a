#include "ovsdb/rpc_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/log.h"
#include "ovsdb/rpc_session.h"

namespace heddle::ovsdb {

namespace {

using boost::asio::local::stream_protocol;

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

// Takes away a socket file behind which nobody listens.
Result<> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return errno == ENOENT ? Result<>{} : fail_errno(errno, "socket " + path);
  if (!S_ISSOCK(info.st_mode))
    return fail(Errc::exists, path + " exists and is not a socket (move it away, or choose another path)");
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return fail_errno(errno, "socket " + path);
  const int rc = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN: somebody listens, with a full backlog.
  if (rc == 0 || errno == EAGAIN)
    return fail(Errc::exists, "socket " + path + ": somebody listens there already (is the same program running?)");
  if (errno != ECONNREFUSED) return fail_errno(errno, "socket " + path);
  spdlog::info("socket {}: replaced, a process that has ended left it", path);
  if (::unlink(path.c_str()) != 0) return fail_errno(errno, "socket " + path);
  return {};
}

Result<Fd> listen_on(const std::string& path) {
  const auto address = socket_address(path);
  if (!address) return std::unexpected(address.error());
  if (auto ok = remove_stale(path, *address); !ok) return std::unexpected(ok.error());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket " + path);
  // The mode of the descriptor becomes that of the file (unix(7), Linux): there is no moment when others may connect.
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) return fail_errno(errno, "socket " + path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return fail_errno(errno, "socket " + path);
  if (::listen(fd.get(), limits::kRpcBacklog) != 0) return fail_errno(errno, "socket " + path);
  return fd;
}

class ServerImpl final : public JsonRpcServer {
 public:
  ServerImpl(boost::asio::io_context& io, std::string path, RpcHandler& handler, const RpcLimits& limits)
      : acceptor_(io), retry_(io), path_(std::move(path)), handler_(handler), limits_(limits) {}
  ~ServerImpl() override;
  ServerImpl(const ServerImpl&) = delete;
  ServerImpl& operator=(const ServerImpl&) = delete;

  Result<> start(Fd fd);
  [[nodiscard]] RpcCounters counters() const override { return counters_; }
  [[nodiscard]] std::size_t sessions() const override { return sessions_.size(); }

 private:
  void accept();
  void admit(stream_protocol::socket socket);

  stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer retry_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  RpcHandler& handler_;
  RpcLimits limits_;
  RpcCounters counters_;
  LogLimit refusals_;
  SessionId next_ = 1;
  std::map<SessionId, std::shared_ptr<RpcConnection>> sessions_;
};

ServerImpl::~ServerImpl() {
  for (const auto& [id, session] : sessions_) {
    session->close();
    handler_.closed(id);
  }
  struct stat info {};
  const bool ours = ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  if (ours) ::unlink(path_.c_str());
}

Result<> ServerImpl::start(Fd fd) {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0) return fail_errno(errno, "socket " + path_);
  device_ = info.st_dev;
  inode_ = info.st_ino;
  boost::system::error_code error;
  acceptor_.assign(stream_protocol(), fd.get(), error);
  if (error) return fail_errno(error.value(), "socket " + path_);
  (void)fd.release();  // the acceptor's now
  accept();
  return {};
}

void ServerImpl::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& error, stream_protocol::socket socket) {
    if (error == boost::asio::error::operation_aborted) return;
    if (!error) {
      admit(std::move(socket));
      return accept();
    }
    unsigned held_back = 0;
    if (refusals_.allow(held_back)) spdlog::warn("socket {}: cannot accept a connection: {}", path_, error.message());
    // Most likely out of descriptors: the connection stays in the backlog, so leave it for a moment.
    retry_.expires_after(std::chrono::milliseconds(100));
    retry_.async_wait([this](const boost::system::error_code& stopped) {
      if (!stopped) accept();
    });
  });
}

void ServerImpl::admit(stream_protocol::socket socket) {
  if (sessions_.size() >= limits_.clients) {
    ++counters_.refused;
    unsigned held_back = 0;
    if (refusals_.allow(held_back))
      spdlog::warn("socket {}: connection refused, {} are open already ({} like it not logged)", path_,
                   sessions_.size(), held_back);
    return;
  }
  ++counters_.sessions;
  const SessionId id = next_++;
  auto session =
      std::make_shared<RpcConnection>(std::move(socket), id, handler_, limits_, counters_, [this](SessionId gone) {
        sessions_.erase(gone);
        handler_.closed(gone);
      });
  sessions_.emplace(id, session);
  handler_.opened(*session);
  session->start();
}

}  // namespace

Result<std::unique_ptr<JsonRpcServer>> JsonRpcServer::listen(boost::asio::io_context& io, const std::string& path,
                                                             RpcHandler& handler, const RpcLimits& limits) {
  auto fd = listen_on(path);
  if (!fd) return std::unexpected(fd.error());
  auto server = std::make_unique<ServerImpl>(io, path, handler, limits);
  if (auto ok = server->start(std::move(*fd)); !ok) return std::unexpected(ok.error());
  return server;
}

}  // namespace heddle::ovsdb
