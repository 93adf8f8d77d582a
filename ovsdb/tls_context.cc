// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/tls_context.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/fd.h"

namespace heddle::ovsdb {

namespace {

using Bio = std::unique_ptr<BIO, decltype(&::BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;

Result<> send_along(SSL_CTX* context, const std::string& file) {
  const Bio bio(::BIO_new_file(file.c_str(), "r"), &::BIO_free);
  const auto wrong = [&] { return fail(Errc::invalid, "TLS file " + file + ": " + tls_reason()); };
  if (!bio) return wrong();
  int found = 0;
  for (; Certificate one{::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &::X509_free}; ++found)
    if (::SSL_CTX_add1_chain_cert(context, one.get()) != 1) return wrong();
  if (found == 0) return wrong();
  ::ERR_clear_error();  // the end of the file is an error for OpenSSL
  return {};
}

// Sets the verification of peers. During a bootstrap any certificate is accepted, but one is required.
Result<> choose_peers(TlsContext& context, const TlsFiles& files) {
  if (files.ca_cert == "none") return {};
  context.ssl.set_verify_mode(boost::asio::ssl::verify_peer | boost::asio::ssl::verify_fail_if_no_peer_cert);
  struct stat info {};
  if (files.bootstrap && ::stat(files.ca_cert.c_str(), &info) != 0 && errno == ENOENT) {
    context.bootstrap = files.ca_cert;
    context.ssl.set_verify_callback([](bool, boost::asio::ssl::verify_context&) { return true; });
    return {};
  }
  boost::system::error_code error;
  if (context.ssl.load_verify_file(files.ca_cert, error))
    return fail(Errc::invalid, "TLS file " + files.ca_cert + ": " + error.message());
  return {};
}

bool is_authority(X509* certificate) {
  const bool self_signed = ::X509_check_issued(certificate, certificate) == X509_V_OK &&
                           ::X509_verify(certificate, ::X509_get0_pubkey(certificate)) == 1;
  ::ERR_clear_error();
  return self_signed;
}

Result<> write_whole(const std::string& file, std::string_view text) {
  // The file gets its name when it is complete, and never replaces another.
  const std::string unfinished = file + ".new" + std::to_string(::getpid());
  const Fd fd(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!fd) return fail_errno(errno, "TLS file " + file);
  errno = ENOSPC;  // for a short write, which sets no errno
  const bool done = ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                    ::fsync(fd.get()) == 0 && ::link(unfinished.c_str(), file.c_str()) == 0;
  const int error = done ? 0 : errno;
  ::unlink(unfinished.c_str());
  return error == 0 ? Result<>{} : fail_errno(error, "TLS file " + file);
}

}  // namespace

std::string tls_reason() {
  const auto code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return "no reason given";
  const char* reason = ::ERR_reason_error_string(code);
  if (reason != nullptr) return reason;
  std::array<char, 256> text{};
  ::ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

Result<std::shared_ptr<TlsContext>> load_tls(const TlsFiles& files) {
  if (files.private_key.empty() || files.certificate.empty() || files.ca_cert.empty())
    return fail(Errc::invalid,
                "TLS needs a private key, a certificate and the authority's certificate (--private-key, --certificate "
                "and --ca-cert, or the SSL table)");
  auto context = std::make_shared<TlsContext>();
  SSL_CTX* native = context->ssl.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Refuses a key with a pass phrase instead of asking on the terminal.
  context->ssl.set_password_callback(
      [](std::size_t, boost::asio::ssl::context::password_purpose) { return std::string(); });
  boost::system::error_code error;
  const auto failed = [&error](const std::string& file) {
    return fail(Errc::invalid, "TLS file " + file + ": " + error.message());
  };
  if (context->ssl.use_certificate_chain_file(files.certificate, error)) return failed(files.certificate);
  if (context->ssl.use_private_key_file(files.private_key, boost::asio::ssl::context::pem, error))
    return failed(files.private_key);
  if (::SSL_CTX_check_private_key(native) != 1) {
    ::ERR_clear_error();
    return fail(Errc::invalid, "TLS file " + files.private_key + " is not the key of certificate " + files.certificate);
  }
  if (!files.peer_ca_cert.empty())
    if (auto ok = send_along(native, files.peer_ca_cert); !ok) return std::unexpected(ok.error());
  if (auto ok = choose_peers(*context, files); !ok) return std::unexpected(ok.error());
  return context;
}

Result<std::string> save_authority(const SSL* ssl, const std::string& file) {
  const auto* chain = ::SSL_get_peer_cert_chain(ssl);
  X509* last = chain == nullptr || sk_X509_num(chain) == 0 ? nullptr : sk_X509_value(chain, sk_X509_num(chain) - 1);
  if (last == nullptr || !is_authority(last))
    return fail(Errc::invalid, "the peer does not send the certificate of its authority, so it cannot be put into " +
                                   file + " (start the peer with --peer-ca-cert, or get the file in another way)");
  const Bio bio(::BIO_new(::BIO_s_mem()), &::BIO_free);
  char* text = nullptr;
  if (!bio || ::PEM_write_bio_X509(bio.get(), last) != 1)
    return fail(Errc::system, "TLS file " + file + ": " + tls_reason());
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &text));
  if (auto ok = write_whole(file, {text, size}); !ok) return std::unexpected(ok.error());
  std::array<char, 256> subject{};
  ::X509_NAME_oneline(::X509_get_subject_name(last), subject.data(), static_cast<int>(subject.size()));
  return "TLS: " + file + " now has the certificate of " + subject.data() +
         ", as the first peer gave it: from now on it is trusted";
}

std::optional<std::string> verified_name(const SSL* ssl) {
  const Certificate peer(::SSL_get1_peer_certificate(ssl), &::X509_free);
  if (!peer || (::SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 || ::SSL_get_verify_result(ssl) != X509_V_OK)
    return std::nullopt;
  std::array<char, 256> name{};
  const int size = ::X509_NAME_get_text_by_NID(::X509_get_subject_name(peer.get()), NID_commonName, name.data(),
                                               static_cast<int>(name.size()));
  if (size <= 0 || static_cast<std::size_t>(size) >= name.size() - 1) return std::string();
  return std::string(name.data(), static_cast<std::size_t>(size));
}

}  // namespace heddle::ovsdb
