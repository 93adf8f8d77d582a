# SPDX-License-Identifier: Apache-2.0
"""Fixtures: programs and libraries of other projects, and certificates for TLS with them."""
import json
import re
import subprocess
import sys

import pytest
from net import Failure, run, wait_until
from rpc import Rpc
from stock import fetch, unpack
from twin_grammar import TABLES


@pytest.fixture(scope="session")
def stock():
    """Directory with the clients."""
    try:
        clients = fetch()
    except Failure as e:
        pytest.skip(str(e))
    missing = re.findall(r"(\S+) => not found", run("ldd", clients / "ovs-vsctl", check=False).stdout)
    if missing:
        pytest.skip(f"the stock clients need libraries that are not installed: {', '.join(missing)}")
    return clients


@pytest.fixture(scope="session")
def library():
    """The package ovsdbapp, unpacked from Debian's package and not installed."""
    pytest.importorskip("ovs", reason="python3-openvswitch is not installed (tools/deps test)")
    try:
        where = str(unpack("ovsdbapp", ["python3-ovsdbapp"]) / "usr/lib/python3/dist-packages")
    except Failure as e:
        pytest.skip(str(e))
    sys.path.append(where)  # after the installed packages
    yield pytest.importorskip("ovsdbapp", reason=f"ovsdbapp cannot be imported from {where}")
    sys.path.remove(where)


@pytest.fixture
def twins(stock, lab, tmp_path):
    """Sockets of Heddle's server and of the peer's, with the same schema: the switch's, with the tables of
    twin_grammar.py."""
    plain = lab.host("plain").start()
    with Rpc(plain.rundir / "db.sock") as rpc:
        schema = rpc.call("get_schema", "Open_vSwitch")["result"]
    schema["tables"] |= TABLES
    file = tmp_path / "twin.ovsschema"
    file.write_text(json.dumps(schema))
    ours = lab.host("h").start("--schema", file)
    run(stock / "ovsdb-tool", "create", tmp_path / "peer.db", file)
    path = tmp_path / "peer.sock"
    peer = subprocess.Popen([stock.parents[1] / "usr/sbin/ovsdb-server", tmp_path / "peer.db", f"--remote=punix:{path}",
                             f"--unixctl={tmp_path}/peer.ctl", "-vconsole:off", "-vsyslog:off"])
    wait_until(path.exists, 10, "Debian's ovsdb-server serves")
    yield ours.rundir / "db.sock", path
    peer.terminate()
    peer.wait()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Directory with an authority "ca", certificates "switch" and "client" signed by it, and "stranger" by another."""
    where = tmp_path_factory.mktemp("keys")

    def openssl(*args):
        run("openssl", *args)
    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", where / f"{ca}.key", "-out", where / f"{ca}.pem",
                "-subj", f"/CN={ca}", "-days", "2")
    for name, ca in (("switch", "ca"), ("client", "ca"), ("stranger", "other"), ("renewed", "other")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", where / f"{name}.key", "-out", where / f"{name}.csr",
                "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", where / f"{name}.csr", "-CA", where / f"{ca}.pem", "-CAkey", where / f"{ca}.key",
                "-CAcreateserial", "-days", "2", "-out", where / f"{name}.pem")
    return where


def tls_options(keys, name, ca="ca"):
    return [f"--private-key={keys}/{name}.key", f"--certificate={keys}/{name}.pem", f"--ca-cert={keys}/{ca}.pem"]
