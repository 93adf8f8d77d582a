// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/limits.h"
#include "ovsdb/name_lookup.h"

namespace heddle::ovsdb {
namespace {

// Milliseconds for poll(2); -1: no deadline. Rounded up, so that poll does not return just before the deadline.
int poll_timeout(Deadline deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1'000'000'000));
}

// SO_SNDTIMEO bounds a blocking connect(2) on a unix socket, which waits for room in the listener's queue (socket(7)).
Result<> limit_connect_time(int fd, Deadline deadline) {
  if (!deadline) return {};
  const int ms = std::max(poll_timeout(deadline), 1);
  const timeval tv{.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) < 0) return fail_errno(errno, "SO_SNDTIMEO");
  return {};
}

// A request or notification has a string "method"; a reply has none.
bool is_json_rpc(const Json& message) {
  if (!message.is_object()) return false;
  const auto method = message.find("method");
  return method == message.end() || method->is_string();
}

// Waits for a connect(2) in progress; returns 0 or its errno.
int finish_connect(int fd, Deadline deadline) {
  pollfd p{.fd = fd, .events = POLLOUT, .revents = 0};
  int n = 0;
  while ((n = ::poll(&p, 1, poll_timeout(deadline))) < 0) {
    if (errno != EINTR) return errno;
  }
  if (n == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

}  // namespace

std::string error_text(const Json& error) {
  if (error.is_string()) return error.get<std::string>();
  if (error.is_object() && error.contains("error") && error["error"].is_string()) {
    auto text = error["error"].get<std::string>();
    if (error.contains("details") && error["details"].is_string()) {
      text += ": " + error["details"].get<std::string>();
    }
    return text;
  }
  return dump_brief(error);
}

Result<Client> Client::connect(const std::string& path, Deadline deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid,
                fmt::format("cannot connect to unix:{}: a socket's path has 1 to {} bytes; use a shorter directory",
                            path, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "cannot create a unix socket");
  if (auto ok = limit_connect_time(fd.get(), deadline); !ok) return std::unexpected(ok.error());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno(errno == EAGAIN ? ETIMEDOUT : errno, "cannot connect to unix:" + path);
  }
  return Client(std::move(fd), "unix:" + path);
}

Result<Client> Client::connect_tcp(const std::string& host, const std::string& port, Deadline deadline,
                                   std::string_view called) {
  const std::string name =
      fmt::format("{}:{}:{}", called, host.find(':') == std::string::npos ? host : "[" + host + "]", port);
  const auto found = look_up_name(host, port, deadline);
  if (!found) return fail(Errc::system, fmt::format("cannot connect to {}: {}", name, found.error().text));
  int error = EADDRNOTAVAIL;
  for (const auto& [address, size] : *found) {
    Fd fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {  // the kernel may lack the address family
      error = errno;
      continue;
    }
    error = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = finish_connect(fd.get(), deadline);
    if (error == 0) return Client(std::move(fd), name);
  }
  return fail_errno(error, "cannot connect to " + name);
}

Result<Client> Client::connect_tls(const std::string& host, const std::string& port, Deadline deadline,
                                   const TlsFiles& files) {
  auto client = connect_tcp(host, port, deadline, "ssl");
  if (!client) return client;
  const auto named = [&client](const Error& error) { return fail(error.code, client->name_ + ": " + error.text); };
  auto tls = TlsClient::make(client->fd_.get(), files);
  if (!tls) return named(tls.error());
  client->tls_ = std::move(*tls);
  while (true) {
    const auto step = client->tls_->handshake();
    if (!step) return named(step.error());
    if (step->poll_for == 0) break;
    if (auto ok = client->wait_for(step->poll_for, deadline); !ok) return std::unexpected(ok.error());
  }
  return client;
}

Result<Client> Client::connect_to(const std::string& method, Deadline deadline, const TlsFiles& tls) {
  const auto rest = [&](std::string_view prefix) { return method.substr(prefix.size()); };
  if (method.starts_with("unix:")) return connect(rest("unix:"), deadline);
  const bool with_tls = method.starts_with("ssl:");
  if (!with_tls && !method.starts_with("tcp:")) {
    return fail(
        Errc::unsupported,
        fmt::format("cannot connect to {}: only unix:PATH, tcp:HOST:PORT and ssl:HOST:PORT can be had", method));
  }
  std::string host = rest("tcp:");
  std::string port = "6640";  // IANA: ovsdb
  const auto bracket = host.find(']');
  const auto colon = host.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) {
    port = host.substr(colon + 1);
    host.resize(colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || port.empty()) {
    return fail(Errc::invalid, fmt::format("cannot connect to {0}: it takes {1}:HOST:PORT or {1}:[IPV6]:PORT", method,
                                           with_tls ? "ssl" : "tcp"));
  }
  if (!with_tls) return connect_tcp(host, port, deadline);
  auto client = connect_tls(host, port, deadline, tls);
  if (!client || client->tls_->bootstrapped().empty()) return client;
  // The first connection saved the authority's certificate; the second connection verifies the server by it.
  auto verified = connect_tls(host, port, deadline, tls);
  if (verified) verified->notice_ = client->tls_->bootstrapped();
  return verified;
}

Result<> Client::wait_for(short events, Deadline deadline) {
  pollfd p{.fd = fd_.get(), .events = events, .revents = 0};
  while (true) {
    const int n = ::poll(&p, 1, poll_timeout(deadline));
    if (n > 0) return {};
    if (n == 0) return fail(Errc::system, name_ + ": no answer in time");
    if (errno != EINTR) return fail_errno(errno, name_ + ": poll");
  }
}

Result<> Client::send(const Json& message, Deadline deadline) {
  const std::string text = dump_json(message);
  if (text.size() > limits::kJsonMessage) {
    return fail(Errc::limit, fmt::format("request of {} bytes exceeds the limit of {}; do it in smaller steps",
                                         text.size(), limits::kJsonMessage));
  }
  for (std::string_view rest = text; !rest.empty();) {
    const auto sent = send_some(rest, deadline);
    if (!sent) return std::unexpected(sent.error());
    if (*sent == 0) return fail(Errc::system, name_ + ": connection closed by the server");
    rest.remove_prefix(*sent);
  }
  return {};
}

Result<std::size_t> Client::send_some(std::string_view bytes, Deadline deadline) {
  while (true) {
    TlsClient::Step step{};
    if (tls_) {
      const auto tried = tls_->send(bytes);
      if (!tried) return fail(Errc::system, name_ + ": " + tried.error().text);
      step = *tried;
    } else if (const auto n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT); n >= 0) {
      step.bytes = static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EINTR) {
      step.poll_for = POLLOUT;
    } else {
      return fail_errno(errno, name_ + ": send");
    }
    if (step.poll_for == 0) return step.bytes;
    if (auto ok = wait_for(step.poll_for, deadline); !ok) return std::unexpected(ok.error());
  }
}

Result<std::size_t> Client::receive_some(std::span<char> into, Deadline deadline) {
  while (true) {
    TlsClient::Step step{};
    if (tls_) {
      const auto tried = tls_->receive(into);
      if (!tried) return fail(Errc::system, name_ + ": " + tried.error().text);
      step = *tried;
    } else if (const auto n = ::recv(fd_.get(), into.data(), into.size(), MSG_DONTWAIT); n >= 0) {
      step.bytes = static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EINTR) {
      step.poll_for = POLLIN;
    } else {
      return fail_errno(errno, name_ + ": receive");
    }
    if (step.poll_for == 0) return step.bytes;
    if (auto ok = wait_for(step.poll_for, deadline); !ok) return std::unexpected(ok.error());
  }
}

Result<Json> Client::receive(Deadline deadline) {
  std::array<char, 65536> buffer;  // NOLINT(*-member-init): filled by recv
  while (true) {
    auto message = framer_.next();
    if (!message) return fail(Errc::system, name_ + ": " + message.error().text);
    if (*message) {
      if (is_json_rpc(**message)) return std::move(**message);
      return fail(Errc::system, name_ + ": not a JSON-RPC message: " + dump_brief(**message));
    }
    const auto received = receive_some(buffer, deadline);
    if (!received) return std::unexpected(received.error());
    if (*received == 0) return fail(Errc::system, name_ + ": connection closed by the server");
    framer_.append({buffer.data(), *received});
  }
}

Result<Json> Client::call(std::string_view method, Json params, Deadline deadline) {
  const Json id = ++last_id_;
  if (auto ok = send({{"method", method}, {"params", std::move(params)}, {"id", id}}, deadline); !ok) {
    return std::unexpected(ok.error());
  }
  while (true) {
    auto message = receive(deadline);
    if (!message) return message;
    if (message->contains("method")) {
      const auto request_id = message->value("id", Json());
      if (request_id.is_null()) {
        notifications_.push_back(std::move(*message));
      } else if (message->value("method", "") == "echo") {
        const Json reply{{"result", message->value("params", Json::array())}, {"error", nullptr}, {"id", request_id}};
        if (auto ok = send(reply, deadline); !ok) return std::unexpected(ok.error());
      }
      continue;
    }
    if (message->value("id", Json()) != id) continue;
    if (message->contains("error") && !message->at("error").is_null()) {
      return fail(Errc::invalid, error_text(message->at("error")));
    }
    const auto result = message->find("result");
    return result == message->end() ? Json() : std::move(*result);
  }
}

Result<Json> Client::next_notification(Deadline deadline) {
  while (notifications_.empty()) {
    auto message = receive(deadline);
    if (!message) return message;
    if (message->contains("method") && message->value("id", Json()).is_null()) return message;
    if (message->value("method", "") == "echo") {
      const Json reply{
          {"result", message->value("params", Json::array())}, {"error", nullptr}, {"id", message->at("id")}};
      if (auto ok = send(reply, deadline); !ok) return std::unexpected(ok.error());
    }
  }
  auto message = std::move(notifications_.front());
  notifications_.pop_front();
  return message;
}

}  // namespace heddle::ovsdb
