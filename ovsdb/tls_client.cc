// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "ovsdb/tls_context.h"

namespace heddle::ovsdb {

namespace {

// Blocks SIGPIPE in this thread: OpenSSL uses write(2), which raises it when the peer has closed the connection.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigset_t pending{};
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec at_once{};
    if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

class TlsClientImpl final : public TlsClient {
 public:
  TlsClientImpl(std::shared_ptr<TlsContext> context, int fd)
      : context_(std::move(context)), ssl_(::SSL_new(context_->ssl.native_handle()), &::SSL_free) {
    ::SSL_set_fd(ssl_.get(), fd);
    ::SSL_set_connect_state(ssl_.get());
    ::SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }

  Result<Step> handshake() override {
    const NoSigpipe quiet;
    const auto step = after(::SSL_do_handshake(ssl_.get()), "TLS handshake");
    if (!step || step->poll_for != 0 || context_->bootstrap.empty()) return step;
    auto saved = save_authority(ssl_.get(), context_->bootstrap);
    if (!saved) return std::unexpected(saved.error());
    bootstrapped_ = std::move(*saved);
    return step;
  }
  Result<Step> send(std::string_view bytes) override {
    const NoSigpipe quiet;
    return after(::SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())), "TLS send");
  }
  Result<Step> receive(std::span<char> into) override {
    const NoSigpipe quiet;
    return after(::SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size())), "TLS receive");
  }
  [[nodiscard]] const std::string& bootstrapped() const override { return bootstrapped_; }

 private:
  Result<Step> after(int returned, const char* what) {
    if (returned > 0) return Step{0, static_cast<std::size_t>(returned)};
    const int error = errno;
    switch (::SSL_get_error(ssl_.get(), returned)) {
      case SSL_ERROR_WANT_READ:
        return Step{POLLIN, 0};
      case SSL_ERROR_WANT_WRITE:
        return Step{POLLOUT, 0};
      case SSL_ERROR_ZERO_RETURN:
        return Step{};
      case SSL_ERROR_SYSCALL:
        if (error != 0) return fail_errno(error, what);
        return Step{};
      default:
        break;
    }
    const long verdict = ::SSL_get_verify_result(ssl_.get());
    // Closed without a close_notify alert, which is no error: JSON messages show whether they are complete.
    if (ERR_GET_REASON(::ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return ::ERR_clear_error(), Step{};
    std::string why = tls_reason();
    if (verdict != X509_V_OK) why += std::string(" (") + ::X509_verify_cert_error_string(verdict) + ")";
    return fail(Errc::invalid, std::string(what) + ": " + why);
  }

  std::shared_ptr<TlsContext> context_;
  std::unique_ptr<SSL, decltype(&::SSL_free)> ssl_;
  std::string bootstrapped_;
};

}  // namespace

Result<std::shared_ptr<TlsClient>> TlsClient::make(int fd, const TlsFiles& files) {
  auto context = load_tls(files);
  if (!context) return std::unexpected(context.error());
  return std::make_shared<TlsClientImpl>(std::move(*context), fd);
}

}  // namespace heddle::ovsdb
