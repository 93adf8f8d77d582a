# SPDX-License-Identifier: Apache-2.0
"""The database with real clients: Debian's ovsdb-client and ovs-vsctl and Open vSwitch's Python IDL, over unix sockets,
TCP and TLS, with passive and active remotes."""
import json
import signal
import subprocess
import threading

import pytest
from net import Failure, wait_until
from peers import tls_options
from rpc import Rpc

ABOVE_DATAPATH = True  # see conftest.py
# A table on whose rows the switch does not act.
QOS = ["Open_vSwitch", {"op": "insert", "table": "QoS", "row": {"type": "kept"}}]


@pytest.fixture
def host(lab):
    return lab.host("h").start()


@pytest.fixture
def client(stock, host):
    """client("list-dbs"): ovsdb-client on the host's socket, or on server=."""
    def call(command, *args, server=None, check=True, stdin="/dev/null"):
        # `restore` reads a file, not a pipe.
        return host.ns.run("sh", "-c", 'exec "$@" <"$0"', stdin, stock / "ovsdb-client", "--timeout=15", command,
                           server or f"unix:{host.rundir}/db.sock", *args, check=check, timeout=20)
    return call


class Follower:
    """A running command with its output so far."""

    def __init__(self, host, *argv):
        self.lines = []
        self.process = subprocess.Popen(["ip", "netns", "exec", host.ns.name, "stdbuf", "-oL", *map(str, argv)], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self._reader.start()

    @property
    def text(self):
        return "".join(self.lines)

    def wait_for(self, text):
        wait_until(lambda: text in self.text, 10, f"{text!r} is printed; so far:\n{self.text}")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self._reader.join(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# --- ovsdb-client ---

def test_schema_commands(client, tmp_path):
    assert sorted(client("list-dbs").stdout.split()) == ["Open_vSwitch", "_Server"]
    schema = client("get-schema", "Open_vSwitch").stdout
    assert json.loads(schema)["name"] == "Open_vSwitch"
    assert client("get-schema-version", "Open_vSwitch").stdout.strip() == json.loads(schema)["version"]
    file = tmp_path / "same.ovsschema"
    file.write_text(schema)
    assert client("needs-conversion", file).stdout.strip() == "no"
    other = json.loads(schema)
    del other["tables"]["QoS"]["columns"]["external_ids"]
    file.write_text(json.dumps(other))
    assert client("needs-conversion", file).stdout.strip() == "yes"
    refused = client("convert", file, check=False)
    assert refused.returncode != 0 and "not supported" in refused.stderr
    assert "Database" in client("list-tables", "_Server").stdout


def test_dump_backup_and_restore(client, tmp_path):
    client("transact", json.dumps(QOS))
    dump = client("dump", "Open_vSwitch", "QoS").stdout
    assert "kept" in dump and "QoS table" in dump
    snapshot = client("backup", "Open_vSwitch").stdout
    assert "kept" in snapshot and snapshot.startswith("OVSDB JSON")
    client("transact", json.dumps(["Open_vSwitch", {"op": "delete", "table": "QoS", "where": []}]))
    assert "kept" not in client("dump", "Open_vSwitch", "QoS").stdout
    (tmp_path / "snapshot").write_text(snapshot)
    client("restore", "Open_vSwitch", stdin=tmp_path / "snapshot")
    assert "kept" in client("dump", "Open_vSwitch", "QoS").stdout


def test_wait_ends_with_the_change(stock, host, client):
    transaction = ["Open_vSwitch",
                   {"op": "wait", "table": "QoS", "where": [["type", "==", "kept"]], "columns": ["type"], "until": "==",
                    "rows": [{"type": "kept"}], "timeout": 15000},
                   {"op": "comment", "comment": "waited"}]
    with Follower(host, stock / "ovsdb-client", "transact", f"unix:{host.rundir}/db.sock", json.dumps(transaction)) as waiting:
        client("transact", json.dumps(QOS))
        waiting.process.wait(10)
        waiting.wait_for("[{},{}]")
    late = client("transact", json.dumps(["Open_vSwitch", {"op": "wait", "table": "QoS", "where": [], "columns": ["type"],
                                                           "until": "==", "rows": [], "timeout": 100}]))
    assert json.loads(late.stdout)[0]["error"] == "timed out"


def test_wait_command(client):
    """`ovsdb-client wait` reads _Server."""
    for state in ("added", "connected"):
        client("wait", "Open_vSwitch", state)


def test_lock_and_steal(stock, host):
    server = f"unix:{host.rundir}/db.sock"
    with Follower(host, stock / "ovsdb-client", "lock", server, "heddle") as owner:
        owner.wait_for('"locked":true')
        with Follower(host, stock / "ovsdb-client", "lock", server, "heddle") as second:
            second.wait_for('"locked":false')
            with Follower(host, stock / "ovsdb-client", "steal", server, "heddle") as thief:
                thief.wait_for('"locked":true')
                owner.wait_for("stolen")
            owner.wait_for("locked")
        assert "stolen" not in second.text


@pytest.mark.parametrize("arguments", [
    ["monitor", "Open_vSwitch", "QoS", "type,external_ids"],
    ["monitor-cond", "Open_vSwitch", '[["type","==","kept"],["type","==","other"]]', "QoS", "type,external_ids"],
    ["monitor-cond-since", "Open_vSwitch", "00000000-0000-0000-0000-000000000000", '[["type","!=","hidden"]]', "QoS",
     "type,external_ids"],
], ids=lambda a: a[0])
def test_monitors(stock, host, client, arguments):
    command, database, *rest = arguments
    with Follower(host, stock / "ovsdb-client", "--format=csv", command, f"unix:{host.rundir}/db.sock", database, *rest) as seen:
        client("transact", json.dumps(QOS))
        seen.wait_for(",kept,")
        client("transact", json.dumps(["Open_vSwitch", {"op": "mutate", "table": "QoS", "where": [],
                                                        "mutations": [["external_ids", "insert", ["map", [["a", "1"]]]]]}]))
        seen.wait_for('a=""1""')
        client("transact", json.dumps(["Open_vSwitch", {"op": "insert", "table": "QoS", "row": {"type": "hidden"}},
                                       {"op": "delete", "table": "QoS", "where": [["type", "==", "kept"]]}]))
        seen.wait_for(",delete,")
        assert ("hidden" in seen.text) == (command == "monitor")


# --- TCP and TLS ---

def test_managers_listen_on_tcp(stock, host, client):
    def vsctl(*args, db=f"unix:{host.rundir}/db.sock", check=True):
        return host.ns.run(stock / "ovs-vsctl", f"--db={db}", "--timeout=10", "--no-wait", *args, check=check)
    vsctl("set-manager", "ptcp:6640:127.0.0.1", "ptcp:6641:[::1]", "ptcp:nonsense")
    for db in ("tcp:127.0.0.1:6640", "tcp:[::1]:6641"):
        wait_until(lambda db=db: vsctl("get-manager", db=db, check=False).returncode == 0, 10, f"{db} answers")
        assert "Open_vSwitch" in client("list-dbs", server=db).stdout
    with Follower(host, stock / "ovsdb-client", "monitor", "tcp:127.0.0.1:6640", "Open_vSwitch", "QoS") as seen:
        wait_until(lambda: "true" in vsctl("get", "Manager", "ptcp:6640:127.0.0.1", "is_connected").stdout, 15,
                   "is_connected is written")
        client("transact", json.dumps(QOS))
        seen.wait_for("kept")
    assert "nonsense" in vsctl("get", "Manager", "ptcp:nonsense", "status").stdout
    vsctl("del-manager")
    wait_until(lambda: client("list-dbs", server="tcp:127.0.0.1:6640", check=False).returncode != 0, 10, "the port is closed")


def test_tls_from_the_command_line(stock, lab, keys):
    host = lab.host("h").start("--remote=pssl:6640:127.0.0.1", *tls_options(keys, "switch"))

    def list_dbs(*options):
        return host.ns.run(stock / "ovsdb-client", "--timeout=5", *options, "list-dbs", "ssl:127.0.0.1:6640", check=False)
    good = list_dbs(*tls_options(keys, "client"))
    assert good.returncode == 0 and "Open_vSwitch" in good.stdout, good.stderr
    vsctl = host.ns.run(stock / "ovs-vsctl", "--db=ssl:127.0.0.1:6640", *tls_options(keys, "client"), "--timeout=10", "show")
    assert vsctl.returncode == 0
    assert list_dbs(*tls_options(keys, "stranger")).returncode != 0, "another authority's client"
    nobody = host.ns.run("openssl", "s_client", "-connect", "127.0.0.1:6640", "-tls1_2", "-ign_eof", check=False,
                         stdin='{"id":1,"method":"list_dbs","params":[]}\n')
    assert "Open_vSwitch" not in nobody.stdout, "a client without a certificate"
    old = host.ns.run("openssl", "s_client", "-connect", "127.0.0.1:6640", "-tls1_1", "-cipher", "ALL@SECLEVEL=0",
                      "-cert", keys / "client.pem", "-key", keys / "client.key", check=False, stdin="")
    assert "Cipher is (NONE)" in old.stdout or "Cipher    : 0000" in old.stdout, "TLS 1.1 is not spoken"
    assert list_dbs(*tls_options(keys, "client")).returncode == 0


def test_tls_keys_from_the_database_are_read_anew(stock, lab, keys, tmp_path):
    host = lab.host("h").start()
    for part in ("key", "pem"):
        (tmp_path / f"now.{part}").write_text((keys / f"switch.{part}").read_text())
    (tmp_path / "ca.pem").write_text((keys / "ca.pem").read_text())

    def vsctl(*args):
        return host.ns.run(stock / "ovs-vsctl", f"--db=unix:{host.rundir}/db.sock", "--timeout=10", "--no-wait", *args)

    def works(name, ca):
        return host.ns.run(stock / "ovsdb-client", "--timeout=5", *tls_options(keys, name, ca), "list-dbs",
                           "ssl:127.0.0.1:6640", check=False).returncode == 0
    vsctl("set-manager", "pssl:6640:127.0.0.1")
    wait_until(lambda: "private key" in vsctl("list", "Manager").stdout, 15, "the row says what is missing")
    vsctl("set-ssl", tmp_path / "now.key", tmp_path / "now.pem", tmp_path / "ca.pem")
    wait_until(lambda: works("client", "ca"), 15, "the SSL row's keys serve")
    # Replaced in place by files of another authority.
    for part in ("key", "pem"):
        (tmp_path / f"now.{part}").write_text((keys / f"renewed.{part}").read_text())
    (tmp_path / "ca.pem").write_text((keys / "other.pem").read_text())
    wait_until(lambda: works("stranger", "other"), 15, "the new keys serve")
    assert not works("client", "ca")
    (tmp_path / "now.key").write_text("no key at all")
    assert works("stranger", "other"), "the old ones serve on"


class Listening:
    """A manager to which the switch connects: a listening TCP socket in the host's namespace."""

    def __init__(self, host):
        self.socket = host.ns.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.socket.settimeout(15)
        self.port = self.socket.getsockname()[1]

    def accept(self):
        connection, _ = self.socket.accept()
        return Rpc(connection)


def test_managers_are_called(host):
    listening = Listening(host)
    try:
        target = f"tcp:127.0.0.1:{listening.port}"
        host.vsctl("--", "--id=@m", "create", "Manager", f'target="{target}"', "inactivity_probe=2000", "max_backoff=1000", "--",
                   "add", "Open_vSwitch", ".", "manager_options", "@m")
        with listening.accept() as manager:
            assert "Open_vSwitch" in manager.call("list_dbs")["result"]
            wait_until(lambda: host.get("Manager", target, "is_connected") == "true", 15, "is_connected")
            assert "ACTIVE" in host.get("Manager", target, "status")
            # It does not reply to probes: the switch disconnects and connects again.
            while manager.receive() is not None:
                pass
        with listening.accept() as manager:
            assert "Open_vSwitch" in manager.call("list_dbs")["result"]
    finally:
        listening.socket.close()


def test_a_manager_is_called_over_tls(stock, lab, keys):
    host = lab.host("h").start(*tls_options(keys, "switch"))
    with host.ns.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host.vsctl("--", "--id=@m", "create", "Manager", f'target="ssl:127.0.0.1:{port}"', "max_backoff=1000", "--", "add",
               "Open_vSwitch", ".", "manager_options", "@m")
    listener = ["openssl", "s_server", "-accept", str(port), "-cert", keys / "client.pem", "-key", keys / "client.key", "-CAfile",
                keys / "ca.pem", "-Verify", "2", "-verify_return_error", "-quiet"]
    process = subprocess.Popen(["ip", "netns", "exec", host.ns.name, *map(str, listener)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: host.get("Manager", f"ssl:127.0.0.1:{port}", "is_connected") == "true", 20, "is_connected")
        process.stdin.write(b'{"id":1,"method":"list_dbs","params":[]}')
        process.stdin.flush()
        said = b""
        while b"Open_vSwitch" not in said and (more := process.stdout.read1()):
            said += more
        assert b"Open_vSwitch" in said
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


# --- Open vSwitch's Python library, the base of Neutron and others ---

@pytest.fixture
def idl(host):
    """A running IDL on the QoS table; step(condition) runs it until the condition holds."""
    module = pytest.importorskip("ovs.db.idl", reason="python3-openvswitch is not installed (tools/deps test)")
    poller = pytest.importorskip("ovs.poller", reason="python3-openvswitch is not installed (tools/deps test)")
    schema = Rpc(host.rundir / "db.sock").call("get_schema", "Open_vSwitch")["result"]
    helper = module.SchemaHelper(schema_json=schema)
    helper.register_columns("QoS", ["type", "external_ids"])
    helper.register_columns("Open_vSwitch", ["cur_cfg", "external_ids"])
    made = module.Idl(f"unix:{host.rundir}/db.sock", helper)

    def step(condition, what):
        def once():
            made.run()
            if condition():
                return True
            wait = poller.Poller()
            made.wait(wait)
            wait.timer_wait(100)
            wait.block()
            return False
        wait_until(once, 20, what)
    made.step = step
    made.Transaction = module.Transaction
    yield made
    made.close()


def test_python_idl(host, idl, client):
    idl.step(idl.has_ever_connected, "the IDL is connected")
    assert list(idl.tables["Open_vSwitch"].rows.values())
    transaction = idl.Transaction(idl)
    row = transaction.insert(idl.tables["QoS"])
    row.type = "by-idl"
    row.external_ids = {"a": "1", "b": "2"}
    assert transaction.commit_block() == transaction.SUCCESS
    assert "by-idl" in client("dump", "Open_vSwitch", "QoS").stdout

    def rows():
        return {r.type: dict(r.external_ids) for r in idl.tables["QoS"].rows.values()}
    client("transact", json.dumps(["Open_vSwitch", {"op": "mutate", "table": "QoS", "where": [], "mutations":
                                                    [["external_ids", "delete", ["set", ["a"]]],
                                                     ["external_ids", "insert", ["map", [["c", "3"]]]]]}]))
    idl.step(lambda: rows() == {"by-idl": {"b": "2", "c": "3"}}, "another client's change arrives as a difference")
    idl.cond_change("QoS", [["type", "==", "none such"]])
    idl.step(lambda: not rows(), "the rows go out of view")
    idl.cond_change("QoS", [True])
    idl.step(lambda: "by-idl" in rows(), "and come back")

    seqno = idl.change_seqno
    host.stop()
    host.start()
    client("transact", json.dumps(QOS))
    idl.step(lambda: idl.change_seqno != seqno and set(rows()) == {"by-idl", "kept"}, "it reconnects to a new daemon")


def test_python_idl_lock(host, idl):
    idl.set_lock("heddle")
    idl.step(lambda: idl.has_lock, "the lock is held")
    with Rpc(host.rundir / "db.sock") as thief:
        assert thief.call("steal", "heddle")["result"] == {"locked": True}
        idl.step(lambda: not idl.has_lock, "the lock is stolen")
        thief.call("unlock", "heddle")
        idl.step(lambda: idl.has_lock, "the lock is back")


def test_no_port_is_open_by_default(host):
    """Only the unix socket is open until a remote is configured."""
    listening = host.ns.run("ss", "-Hltn").stdout
    if listening.strip():
        raise Failure(f"the daemon listens on TCP by itself:\n{listening}")
