# SPDX-License-Identifier: Apache-2.0
"""Invalid input: refused with a message that names the object, all or nothing, and the switch keeps working."""
import json

import pytest
from lab import BIN, Guest, wait_until
from net import run
from rpc import Rpc


@pytest.fixture(scope="module")
def switch(shared_lab):
    host = shared_lab.host("h").start()
    host.add_br("br0")
    host.good = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2)]
    host.good[0].reaches("10.0.0.2")
    return host


@pytest.fixture(autouse=True)
def unharmed(switch):
    """After each test: the same daemon, the same ports, and traffic passes."""
    before = switch.ask("show")
    yield
    assert switch.process.poll() is None, switch.log_tail()
    assert switch.ask("show") == before
    switch.good[0].reaches("10.0.0.2")


REFUSED = [  # arguments of vsctl, text that the message must contain
    ("add-port br0 new tag=5000", ["tag", "5000"]),
    ("add-port br0 new tag=-1", ["tag", "-1"]),
    ("add-port br0 new tag=ten", ["tag", "ten"]),
    ("add-port br0 new trunks=1,4096", ["trunks", "4096"]),
    ("add-port br0 new vlan_mode=both", ["vlan_mode", "both"]),
    ("add-port br0 vm1", ["vm1"]),
    ("add-port br9 new", ["br9"]),
    ("add-br br0", ["br0"]),
    ("del-br br9", ["br9"]),
    ("del-port br0 vm9", ["vm9"]),
    ("set Port vm9 tag=1", ["vm9"]),
    ("set Prot vm1 tag=1", ["Prot"]),
    ("set Port vm1 tga=1", ["tga"]),
    ("set Port vm1 tag", ["tag"]),
    ("get Port vm1 colour", ["colour"]),
    ("set Interface vm1 ofport_request=99999", ["ofport_request", "99999"]),
    ("no-such-command", ["no-such-command"]),
    ("add-br", ["add-br"]),
    ("fdb-show br9", ["br9"]),
    ("fdb-flush br9", ["br9"]),
    ("fdb-add br0 vm9 0 02:00:00:00:00:01", ["vm9"]),
    ("fdb-add br0 vm1 5000 02:00:00:00:00:01", ["5000"]),
    ("fdb-add br0 vm1 0 02:00:00:00:00", ["02:00:00:00:00"]),
    ("fdb-add br0 vm1 0 01:00:5e:00:00:01", ["01:00:5e:00:00:01"]),
    ("fdb-add br0 vm1 0 02:00:00:00:00:01 192.0.2.1", ["vm1", "192.0.2.1"]),
    ("fdb-add br0 vm1 0 02:00:00:00:00:01 192.0.2", ["192.0.2"]),
    ("fdb-del br0 0 02:00:00:00:00:99", ["02:00:00:00:00:99"]),
    ("drops vm9", ["vm9"]),
    # All or nothing: the first command is fine, the second is not.
    ("add-br fine -- add-port br0 new tag=5000", ["5000"]),
    ("add-port br0 fine -- set Port nothing tag=1", ["nothing"]),
]


@pytest.mark.parametrize("command,names", REFUSED, ids=[c for c, _ in REFUSED])
def test_refused(switch, command, names):
    done = switch.vsctl(command, check=False)
    assert done.returncode != 0
    for name in names:
        assert name in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, "one clear message"


TUNNELS = [  # options, text that the error must contain
    ("remote_ip=192.0.2.1 options:key=16777216", ["key", "16777216"]),
    ("remote_ip=192.0.2.1 options:key=-1", ["key"]),
    ("remote_ip=192.0.2.1 options:key=abc", ["key", "abc"]),
    ("remote_ip=192.0.2.256 options:key=1", ["remote_ip", "192.0.2.256"]),
    ("key=1", ["remote_ip"]),
    ("remote_ip=192.0.2.1 options:local_ip=2001:db8::1", ["192.0.2.1", "2001:db8::1"]),
    ("remote_ip=192.0.2.1 options:dst_port=0", ["dst_port"]),
    ("remote_ip=192.0.2.1 options:dst_port=65536", ["dst_port", "65536"]),
    ("remote_ip=192.0.2.1 options:ttl=256", ["ttl", "256"]),
    ("remote_ip=192.0.2.1 options:tos=300", ["tos", "300"]),
    ("remote_ip=192.0.2.1 options:csum=maybe", ["csum", "maybe"]),
    ("remote_ip=flow options:remotes=192.0.2.1,nonsense", ["remotes", "nonsense"]),
]


@pytest.mark.parametrize("options,names", TUNNELS, ids=[o for o, _ in TUNNELS])
def test_impossible_tunnel(switch, options, names):
    """Configuration is desired state: the row stays and has an error; vsctl prints the error and fails."""
    done = switch.vsctl(f"add-port br0 vx -- set Interface vx type=vxlan options:{options}", check=False)
    try:
        assert done.returncode != 0
        error = switch.get("Interface", "vx", "error")
        for name in names:
            assert name in error and name in done.stderr
        assert switch.get("Interface", "vx", "ofport") == "-1"
        switch.good[0].reaches("10.0.0.2")
    finally:
        switch.vsctl("--if-exists del-port vx")


def test_two_indistinguishable_tunnels(switch):
    tunnel = "type=vxlan options:remote_ip=192.0.2.1 options:key=5"
    switch.vsctl(f"--no-wait add-port br0 vx1 -- set Interface vx1 {tunnel}")
    try:
        done = switch.vsctl(f"add-port br0 vx2 -- set Interface vx2 {tunnel}", check=False)
        assert done.returncode != 0 and "vx1" in done.stderr
        # When the first is deleted, the second works.
        switch.vsctl("del-port vx1")
        wait_until(lambda: "vx1" not in switch.get("Interface", "vx2", "error"), 5, "the error is gone")
    finally:
        switch.vsctl("--if-exists del-port vx1 -- --if-exists del-port vx2")


def test_unknown_interface_type(switch):
    done = switch.vsctl("add-port br0 new -- set Interface new type=warp", check=False)
    try:
        assert done.returncode != 0
        assert "warp" in done.stderr and "vxlan" in done.stderr  # and the available types
    finally:
        switch.vsctl("--if-exists del-port new")


def test_unknown_datapath_type(switch):
    done = switch.vsctl("add-br br1 -- set Bridge br1 datapath_type=warp", check=False)
    try:
        assert done.returncode != 0 and "warp" in done.stderr
    finally:
        switch.vsctl("--if-exists del-br br1")


@pytest.mark.core
def test_missing_device_appears(switch):
    done = switch.vsctl("add-port br0 late", check=False)
    try:
        assert done.returncode != 0
        assert "late" in done.stderr and "late" in switch.get("Interface", "late", "error")
        guest = Guest(switch, "late", "10.0.0.9/24")
        switch.lab.namespaces.append(guest.ns)
        switch.good[0].reaches("10.0.0.9")
        assert switch.get("Interface", "late", "error") in ("", "[]")
    finally:
        switch.vsctl("--if-exists del-port late")


def test_one_device_on_two_bridges(switch):
    """Names of ports are unique in the database; vsctl names the bridge of the first."""
    switch.add_br("br1")
    try:
        done = switch.vsctl("add-port br1 vm1", check=False)
        assert done.returncode != 0 and "br0" in done.stderr
    finally:
        switch.vsctl("del-br br1")


def test_bad_bridge_options_do_not_stop_it(switch):
    for value in ("nonsense", "-5", "99999999999999999999"):
        switch.vsctl("set", "Bridge", "br0", f"other_config:mac-aging-time={value}", f"other_config:mac-table-size={value}",
                     check=False)
        switch.good[0].reaches("10.0.0.2")
    switch.vsctl("clear Bridge br0 other_config")


# --- the database socket, without a client library ---

@pytest.fixture
def rpc(switch):
    with Rpc(switch.rundir / "db.sock") as r:
        yield r


@pytest.mark.parametrize("data", [b"}", b"nonsense", b'{"method": }', b'{"method":"echo","params":[],"id":1', b"\xff\xfe\x00",
                                  b'{"a":"\xc3("}', b"[" * 5000, b'{"x":' * 5000, b"[1,2,3]", b"42", b'"text"', b"null",
                                  b'{"method":5,"params":[],"id":1}', b'{"method":"echo","params":{},"id":1}',
                                  b'{"method":"transact","params":"no","id":1}', b'{"id":null}', b"{}"],
                         ids=lambda d: repr(d[:20]))
@pytest.mark.parametrize("which", ["db", "ctl"])
def test_not_json_rpc(switch, data, which):
    """The connection may end; the daemon goes on and serves the next connection."""
    path = switch.rundir / "db.sock" if which == "db" else next(switch.rundir.glob("*.ctl"))
    with Rpc(path, timeout=3) as bad:
        bad.send(data)
    with Rpc(path) as good:
        reply = good.call("list_dbs") if which == "db" else good.call("version")
        assert reply["error"] is None


def test_message_without_end(switch):
    """A client with a message above the limit is disconnected."""
    with Rpc(switch.rundir / "db.sock", timeout=20) as bad:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            bad.send(b'{"method":"echo","id":1,"params":["')
            for _ in range(64):
                bad.send(b"x" * (1 << 20))
    with Rpc(switch.rundir / "db.sock") as good:
        assert good.call("echo", "still there")["result"] == ["still there"]
    shown = [line.split() for line in switch.ask("clients-show").splitlines()]
    assert int(dict(zip(shown[0], next(row for row in shown if row[0] == "db.sock")))["malformed"]) > 0, shown


def test_many_connections(switch):
    """Above the limit new clients are refused; earlier and later clients are served."""
    first = Rpc(switch.rundir / "db.sock")
    crowd = []
    try:
        for _ in range(400):
            try:
                crowd.append(Rpc(switch.rundir / "db.sock", timeout=2))
            except OSError:
                break
        assert first.call("echo", 1)["result"] == [1]
    finally:
        for c in crowd:
            c.socket.close()
        first.socket.close()
    wait_until(lambda: switch.vsctl("list-br", check=False).returncode == 0, 10, "served again")


def refused(reply, operation=0):
    """The error object of an operation."""
    assert reply is not None
    if reply["error"] is not None:
        return reply["error"]
    return reply["result"][operation]


INSERT = {"op": "insert", "table": "Port", "row": {"name": "ghost"}, "uuid-name": "p"}


@pytest.mark.parametrize("operation,error", [
    ({"op": "insert", "table": "Nothing", "row": {}}, "unknown table"),
    ({"op": "update", "table": "Port", "where": [], "row": {"colour": 1}}, "unknown column"),
    ({"op": "update", "table": "Port", "where": [["name", "==", "vm1"]], "row": {"tag": 5000}}, "constraint violation"),
    ({"op": "update", "table": "Port", "where": [], "row": {"name": 7}}, "syntax error"),
    ({"op": "insert", "table": "Port", "row": {"vlan_mode": "both"}}, "constraint violation"),
    ({"op": "explode"}, "unknown operation"),
    ({"op": "abort"}, "aborted"),
    ({"op": "select", "table": "Port", "where": [["name", "~", "x"]]}, None),
    ({"op": "delete", "table": "Port"}, None),
    ({}, None),
    (5, None),
], ids=lambda v: json.dumps(v)[:60])
def test_transaction_is_all_or_nothing(switch, rpc, operation, error):
    reply = rpc.transact(INSERT, operation)
    if reply["error"] is None:
        problem = next(r for r in reply["result"] if r and r.get("error"))
        assert problem.get("details") or error == "aborted", problem
        if error:
            assert problem["error"] == error
    rows = rpc.transact({"op": "select", "table": "Port", "where": [["name", "==", "ghost"]]})["result"][0]["rows"]
    assert rows == []


def test_references_must_exist(switch, rpc):
    nobody = ["uuid", "00000000-1111-2222-3333-444444444444"]
    reply = rpc.transact({"op": "update", "table": "Bridge", "where": [["name", "==", "br0"]],
                          "row": {"ports": ["set", [nobody]]}})
    assert "referential integrity violation" in json.dumps(reply)


def test_bridge_of_the_same_name_twice(switch, rpc):
    port = {"op": "insert", "table": "Bridge", "row": {"name": "br0"}, "uuid-name": "b"}
    reply = rpc.transact(port, {"op": "mutate", "table": "Open_vSwitch", "where": [],
                                "mutations": [["bridges", "insert", ["named-uuid", "b"]]]})
    assert "constraint violation" in json.dumps(reply)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "x" * 16, "with space", "br0\n", ".", ".."])
def test_bridge_names_that_cannot_be_devices(switch, rpc, name):
    """The database accepts any name; the switch must handle it."""
    rows = [{"op": "insert", "table": "Interface", "row": {"name": name, "type": "internal"}, "uuid-name": "i"},
            {"op": "insert", "table": "Port", "row": {"name": name, "interfaces": ["named-uuid", "i"]}, "uuid-name": "p"},
            {"op": "insert", "table": "Bridge", "row": {"name": name, "ports": ["named-uuid", "p"]}, "uuid-name": "b"},
            {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["bridges", "insert", ["named-uuid", "b"]]]}]
    reply = rpc.transact(*rows)
    if reply["error"] is None and not any(r and r.get("error") for r in reply["result"]):
        bridge = reply["result"][2]["uuid"]

        def said_so():
            found = rpc.transact({"op": "select", "table": "Interface", "where": [["name", "==", name]],
                                  "columns": ["error"]})["result"][0]["rows"]
            return found and found[0]["error"] not in ("", ["set", []])
        wait_until(said_so, 5, f"the interface {name!r} has an error")
        rpc.transact({"op": "mutate", "table": "Open_vSwitch", "where": [],
                      "mutations": [["bridges", "delete", bridge]]})


def test_unknown_method_and_database(switch, rpc):
    assert rpc.call("dance")["error"] is not None
    assert rpc.call("get_schema", "Nothing")["error"] is not None
    assert rpc.call("transact", "Nothing", {"op": "comment", "comment": "x"})["error"] is not None
    assert rpc.call("echo", 1, "two")["result"] == [1, "two"]


def test_no_daemon(shared_lab):
    host = shared_lab.hosts[0]
    done = run(BIN / "vsctl", f"--rundir={host.dir}/none", "list-br", check=False)
    assert done.returncode == 1
    assert "none/db.sock" in done.stderr and "vswitchd" in done.stderr
