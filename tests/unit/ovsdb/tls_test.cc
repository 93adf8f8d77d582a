// SPDX-License-Identifier: Apache-2.0
// The keys of TLS sessions: read again when a file changes. Sessions are tested with real clients
// (tests/conformance/test_ovsdb.py).
#include "ovsdb/tls.h"

#include <cstdlib>
#include <fstream>

#include "tests/unit/ovsdb/fixture.h"

namespace heddle::ovsdb {
namespace {

struct TlsKeys : Stored {
  TlsFiles files;
  void SetUp() override {
    Stored::SetUp();
    files.private_key = dir / "key.pem";
    files.certificate = dir / "certificate.pem";
    files.ca_cert = files.certificate;
    const std::string command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test -keyout " +
                                files.private_key + " -out " + files.certificate + " 2>" + (dir / "log").string();
    ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c)
  }
};

TEST_F(TlsKeys, AMissingFileIsUsedWhenItAppears) {
  for (std::string TlsFiles::*member : {&TlsFiles::private_key, &TlsFiles::ca_cert, &TlsFiles::peer_ca_cert}) {
    TlsFiles some = files;
    some.*member = dir / "late.pem";
    const auto tls = Tls::make();
    tls->use(some);
    ASSERT_FALSE(tls->check());
    EXPECT_NE(tls->check().error().text.find("late.pem"), std::string::npos) << tls->check().error().text;
    std::filesystem::copy_file(member == &TlsFiles::private_key ? files.private_key : files.certificate,
                               dir / "late.pem");
    EXPECT_TRUE(tls->check()) << tls->check().error().text;
    std::filesystem::remove(dir / "late.pem");
  }
}

}  // namespace
}  // namespace heddle::ovsdb
