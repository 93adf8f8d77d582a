# SPDX-License-Identifier: Apache-2.0
"""vsctl over TLS, with Heddle and with Debian's ovsdb-server; bootstrap of an authority's certificate from the first
peer; and the TLS commands of vsctl, end to end."""
import os
import subprocess

import pytest
from lab import BIN, SOURCE
from net import run, wait_until
from peers import tls_options

ABOVE_DATAPATH = True  # see conftest.py
SERVER = "ssl:127.0.0.1:6640"


@pytest.fixture
def host(lab, keys):
    return lab.host("h").start("--remote=pssl:6640:127.0.0.1", *tls_options(keys, "switch"), f"--peer-ca-cert={keys}/ca.pem")


def over_tls(ns, *args, program=BIN / "vsctl", check=True):
    return ns.run(program, f"--db={SERVER}", "--timeout=20", *args, check=check)


def test_vsctl_presents_its_certificate_and_verifies_the_server(host, keys):
    good = tls_options(keys, "client")
    over_tls(host.ns, *good, "add-br", "br0", "--", "set", "Bridge", "br0", f"datapath_type={host.lab.datapath_type}")
    assert over_tls(host.ns, *good, "list-br").stdout == "br0\n"
    over_tls(host.ns, "-p", keys / "client.key", "-c", keys / "client.pem", "-C", keys / "ca.pem", "del-br", "br0")
    for wrong, says in (([], "--private-key, --certificate and --ca-cert"),
                        (tls_options(keys, "client", ca="other"), "certificate verify failed (self-signed certificate"),
                        (tls_options(keys, "stranger"), "ssl:127.0.0.1:6640"),
                        ([*good[:2], f"--ca-cert={keys}/none.pem"], "none.pem"),
                        ([f"--private-key={keys}/switch.key", *good[1:]], "switch.key: key values mismatch")):
        done = over_tls(host.ns, *wrong, "list-br", check=False)
        assert done.returncode == 1 and says in done.stderr, (wrong, done.stderr)
    assert over_tls(host.ns, *tls_options(keys, "client")[:2], "--ca-cert=none", "list-br").returncode == 0


def test_completion_asks_over_tls(host, keys):
    """With the words split at "=" and ":", as by bash."""
    host.add_br("br0")
    words = ["vsctl", "--db", "=", "ssl", ":", "127.0.0.1", ":", "6640"]
    for option, file in (("private-key", "client.key"), ("certificate", "client.pem"), ("ca-cert", "ca.pem")):
        words += [f"--{option}", "=", str(keys / file)]
    words += ["list-ports", "b"]
    asked = (f"PATH={BIN}:$PATH; source {SOURCE}/cli/vsctl.bash; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1};"
             " _vsctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    assert host.ns.run("bash", "-c", asked).stdout.split() == ["br0"]


def test_an_answer_larger_than_a_tls_record(host, keys):
    """Several megabytes in both directions."""
    value = "x" * 100_000
    ids = [f"external_ids:k{n}={value}" for n in range(20)]
    over_tls(host.ns, *tls_options(keys, "client"), "--no-wait", "set", "Open_vSwitch", ".", *ids)
    shown = over_tls(host.ns, *tls_options(keys, "client"), "get", "Open_vSwitch", ".", "external_ids").stdout
    assert shown.count(value) == len(ids)


def test_the_first_server_gives_its_authority(host, keys, tmp_path):
    ca = tmp_path / "learned.pem"
    options = [*tls_options(keys, "client")[:2], f"--bootstrap-ca-cert={ca}"]
    assert over_tls(host.ns, *options, "list-br").returncode == 0
    assert ca.stat().st_mode & 0o777 == 0o600
    fingerprint = ["openssl", "x509", "-noout", "-fingerprint", "-in"]
    assert run(*fingerprint, ca).stdout == run(*fingerprint, keys / "ca.pem").stdout
    assert over_tls(host.ns, *options, "list-br").returncode == 0
    ca.write_text((keys / "other.pem").read_text())
    assert "verify failed" in over_tls(host.ns, *options, "list-br", check=False).stderr, "a file that is there is believed"
    assert ca.read_text() == (keys / "other.pem").read_text()


def test_stock_vsctl_learns_the_authority_from_us(stock, host, keys, tmp_path):
    options = [*tls_options(keys, "client")[:2], f"--bootstrap-ca-cert={tmp_path}/learned.pem"]
    assert over_tls(host.ns, *options, "--retry", "show", program=stock / "ovs-vsctl").returncode == 0
    assert (tmp_path / "learned.pem").exists()


def test_vsctl_and_debians_server(stock, lab, keys, tmp_path):
    ns = lab.namespace("peer")
    schema = stock.parents[1] / "usr/share/openvswitch/vswitch.ovsschema"
    run(stock / "ovsdb-tool", "create", tmp_path / "peer.db", schema)
    server = subprocess.Popen(["ip", "netns", "exec", ns.name, stock.parents[1] / "usr/sbin/ovsdb-server", tmp_path / "peer.db",
                               "--remote=pssl:6640:127.0.0.1", *tls_options(keys, "switch"), f"--peer-ca-cert={keys}/ca.pem",
                               f"--unixctl={tmp_path}/peer.ctl", "-vconsole:off", "-vsyslog:off"])
    try:
        good = tls_options(keys, "client")
        assert over_tls(ns, *good, "--retry", "--no-wait", "add-br", "br0", "--", "list-br").stdout == "br0\n"
        learned = [*good[:2], f"--bootstrap-ca-cert={tmp_path}/learned.pem"]
        assert over_tls(ns, *learned, "list-br").stdout == "br0\n" and (tmp_path / "learned.pem").exists()
        refused = over_tls(ns, *tls_options(keys, "client", ca="other"), "--retry", "list-br", check=False)
        assert refused.returncode == 1 and "verify failed" in refused.stderr, "what no time heals is not tried again"
    finally:
        server.terminate()
        server.wait()


def test_ssl_commands_and_bootstrap_of_the_daemon(lab, keys, tmp_path):
    """set-ssl --bootstrap: the file is created from the first client whose chain ends in its authority, which is then
    required."""
    host = lab.host("h").start()
    ca = tmp_path / "learned.pem"
    host.vsctl("set-manager", "pssl:6640:127.0.0.1")
    host.vsctl("--", "--bootstrap", "set-ssl", keys / "switch.key", keys / "switch.pem", ca)
    assert host.ask("get-ssl").splitlines() == [f"Private key: {keys}/switch.key", f"Certificate: {keys}/switch.pem",
                                                f"CA Certificate: {ca}", "Bootstrap: true"]

    def works(name, *more):
        # With an authority to verify the server by, OpenSSL would also send that authority's certificate.
        own = tls_options(keys, name)[:2]
        return over_tls(host.ns, *own, "--ca-cert=none", *more, "list-br", check=False).returncode == 0
    wait_until(lambda: "LISTENING" in host.get("Manager", "pssl:6640:127.0.0.1", "status"), 15, "it listens")
    assert not works("client") and not ca.exists(), "it does not send its authority's certificate"
    assert not works("client", f"--peer-ca-cert={keys}/ca.pem"), "the connection that gives it serves for nothing else"
    assert ca.exists() and ca.stat().st_mode & 0o777 == 0o600 and ca.stat().st_uid == os.getuid()
    assert "as the first peer gave it" in host.log.read_text()
    assert works("client")
    assert not works("stranger", f"--peer-ca-cert={keys}/other.pem")
    host.vsctl("del-ssl")
    assert host.ask("get-ssl") == "" and host.ask("list", "SSL") == ""
    wait_until(lambda: not works("client"), 15, "no keys, no service")
