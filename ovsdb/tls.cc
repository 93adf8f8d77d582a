// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/tls.h"

#include <sys/stat.h>

#include <array>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "ovsdb/tls_context.h"

namespace heddle::ovsdb {

namespace {

namespace ssl = boost::asio::ssl;
using Context = std::shared_ptr<TlsContext>;

class TlsStream final : public Stream {
 public:
  TlsStream(Socket socket, Context context, TlsRole role)
      : context_(std::move(context)),
        peer_(peer_of(socket)),
        local_(local_of(socket)),
        stream_(std::move(socket), context_->ssl),
        role_(role) {}
  void handshake(Ready ready) override {
    stream_.async_handshake(role_ == TlsRole::server ? ssl::stream_base::server : ssl::stream_base::client,
                            [this, ready = std::move(ready)](const boost::system::error_code& error) {
                              ready(error || context_->bootstrap.empty() ? error : bootstrap());
                            });
  }
  void read_some(boost::asio::mutable_buffer into, Done done) override {
    // A peer may close the connection without a close_notify alert.
    stream_.async_read_some(into, [done = std::move(done)](const boost::system::error_code& error, std::size_t size) {
      done(error == ssl::error::stream_truncated ? boost::asio::error::eof : error, size);
    });
  }
  void write_all(boost::asio::const_buffer from, Done done) override {
    boost::asio::async_write(stream_, from, std::move(done));
  }
  // Sends no close_notify alert: JSON messages show by themselves whether they are complete.
  void close() override {
    boost::system::error_code ignored;
    stream_.lowest_layer().close(ignored);
  }
  boost::asio::any_io_executor executor() override { return stream_.get_executor(); }
  [[nodiscard]] std::string peer() const override { return peer_; }
  [[nodiscard]] std::string local() const override { return local_; }
  [[nodiscard]] std::optional<std::string> identity() const override {
    return verified_name(const_cast<ssl::stream<Socket>&>(stream_).native_handle());
  }

 private:
  // Ends the session after saving the certificate or failing to; the next session is verified.
  boost::system::error_code bootstrap() {
    const auto saved = save_authority(stream_.native_handle(), context_->bootstrap);
    unsigned held_back = 0;
    if (saved || context_->complaints.allow(held_back))
      spdlog::warn("{}", saved ? *saved : "TLS: " + saved.error().text);
    return boost::asio::error::connection_reset;
  }

  Context context_;
  std::string peer_;
  std::string local_;
  ssl::stream<Socket> stream_;
  TlsRole role_;
};

// Identifies a version of a file.
using Stamp = std::tuple<dev_t, ino_t, off_t, std::int64_t, std::int64_t>;
Stamp stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

class TlsImpl final : public Tls {
 public:
  void use(const TlsFiles& files) override {
    if (files == files_) return;
    files_ = files;
    context_.reset();
    tried_ = false;
  }

  Result<std::unique_ptr<Stream>> stream(Socket socket, TlsRole role) override {
    if (auto ok = check(); !ok) return std::unexpected(ok.error());
    return std::make_unique<TlsStream>(std::move(socket), context_, role);
  }

  Result<> check() override {
    const std::array stamps{stamp_of(files_.private_key), stamp_of(files_.certificate), stamp_of(files_.ca_cert),
                            stamp_of(files_.peer_ca_cert)};
    if (!tried_ || stamps != stamps_) {
      tried_ = true;
      stamps_ = stamps;
      auto loaded = load_tls(files_);
      if (loaded) {
        context_ = std::move(*loaded);
        if (files_.ca_cert == "none") spdlog::warn("TLS: peers are not verified (ca_cert is \"none\")");
        if (!error_.text.empty() || reloaded_) spdlog::info("TLS: certificate {} is in use", files_.certificate);
        error_ = {};
        reloaded_ = true;
      } else {
        error_ = loaded.error();
        if (context_) spdlog::warn("{}; the files that were read before serve on", error_.text);
      }
    }
    if (!context_) return std::unexpected(error_);
    return {};
  }

 private:
  TlsFiles files_;
  std::array<Stamp, 4> stamps_{};
  Context context_;  // null: no usable keys
  Error error_;
  bool tried_ = false;
  bool reloaded_ = false;
};

}  // namespace

std::shared_ptr<Tls> Tls::make() { return std::make_shared<TlsImpl>(); }

}  // namespace heddle::ovsdb
