# SPDX-License-Identifier: Apache-2.0
"""python3-ovsdbapp, the database library of OpenStack's Neutron: its calls, in single and common transactions, and its
events, over a unix socket and over TCP."""
import contextlib

import pytest
from net import TIME_SCALE, wait_until

ABOVE_DATAPATH = True  # see conftest.py
pytestmark = pytest.mark.filterwarnings("ignore:setDaemon")  # of the library
TIMEOUT = 15 * TIME_SCALE  # seconds for each call


@pytest.fixture(params=["unix", "tcp"])
def host(lab, request):
    host = lab.host("h").start(*(["--remote=ptcp:6640:127.0.0.1"] if request.param == "tcp" else []))
    host.server = "tcp:127.0.0.1:6640" if request.param == "tcp" else f"unix:{host.rundir}/db.sock"
    return host


@contextlib.contextmanager
def connect(host, server):
    """The library's API of Open_vSwitch by a connection in the host's namespace; .events is its event handler."""
    from ovsdbapp.backend.ovs_idl import connection, event
    from ovsdbapp.schema.open_vswitch import impl_idl

    class Idl(connection.OvsdbIdl):
        def __init__(self, *args, **kw):
            super().__init__(*args, **kw)
            self.events = event.RowEventHandler()

        def notify(self, what, row, updates=None):
            self.events.notify(what, row, updates)

    class Api(impl_idl.OvsdbIdl):
        """A separate class for each test, because the library keeps the connection in the class."""
    with host.ns.entered():  # sockets and threads created here stay in the namespace
        idl = Idl.from_server(server, "Open_vSwitch")
        api = Api(connection.Connection(idl, timeout=TIMEOUT))
    api.events = idl.events
    try:
        yield api
    finally:
        idl.events.shutdown()
        assert api.ovsdb_connection.stop(TIMEOUT)


@pytest.fixture
def api(library, host):
    with connect(host, host.server) as api:
        yield api


def do(command):
    return command.execute(check_error=True)


def test_bridges_and_ports(host, api):
    host.ns.ip("link add eth7 type veth peer name eth7x")
    do(api.add_br("br0", datapath_type=host.lab.datapath_type))
    do(api.add_br("br0", may_exist=True))
    assert do(api.list_br()) == ["br0"] and do(api.br_exists("br0")) and not do(api.br_exists("br9"))
    do(api.add_port("br0", "eth7"))
    with pytest.raises(RuntimeError, match="constraint violation"):
        do(api.add_port("br0", "eth7", may_exist=False))
    assert do(api.list_ports("br0")) == do(api.list_ifaces("br0")) == ["eth7"]
    assert do(api.port_to_br("eth7")) == do(api.iface_to_br("eth7")) == "br0"
    assert do(api.db_get("Interface", "eth7", "ofport")) > 0, "the call came back before the switch was done"
    assert host.get("Port", "eth7", "name") == "eth7"

    do(api.br_set_external_id("br0", "bridge-id", "br0"))
    assert do(api.br_get_external_id("br0", "bridge-id")) == "br0"
    do(api.iface_set_external_id("eth7", "iface-id", "port-1"))
    assert do(api.iface_get_external_id("eth7", "iface-id")) == "port-1"
    do(api.set_fail_mode("br0", "standalone"))
    assert host.ask("get-fail-mode", "br0") == "standalone"
    do(api.set_controller("br0", ["tcp:127.0.0.1:6633", "tcp:[::1]:6633"]))
    assert sorted(do(api.get_controller("br0"))) == ["tcp:127.0.0.1:6633", "tcp:[::1]:6633"]
    do(api.del_controller("br0"))
    assert do(api.get_controller("br0")) == [] and host.ask("list Controller") == ""
    do(api.add_manager("ptcp:6641:127.0.0.1"))
    assert do(api.get_manager()) == [host.ask("get-manager")] == ["ptcp:6641:127.0.0.1"]
    do(api.remove_manager("ptcp:6641:127.0.0.1"))

    do(api.del_port("eth7", bridge="br0", if_exists=False))
    do(api.del_port("eth7", if_exists=True))
    assert do(api.list_ports("br0")) == []
    do(api.del_br("br0", if_exists=False))
    assert host.ask("list-br") == ""


def test_records(host, api):
    do(api.add_br("br0", datapath_type=host.lab.datapath_type))
    do(api.db_set("Bridge", "br0", ("external_ids", {"a": "1", "b": "2"}), ("other_config", {"mac-aging-time": "60"})))
    do(api.db_add("Bridge", "br0", "external_ids", {"c": "3"}))
    do(api.db_remove("Bridge", "br0", "external_ids", "a"))
    assert do(api.db_get("Bridge", "br0", "external_ids")) == {"b": "2", "c": "3"}
    do(api.db_clear("Bridge", "br0", "other_config"))
    assert do(api.db_get("Bridge", "br0", "other_config")) == {}
    do(api.add_port("br0", "i1"))
    do(api.db_set("Interface", "i1", ("type", "internal"), ("external_ids", {"iface-id": "port-2"})))
    do(api.db_set("Port", "i1", ("tag", 4095), ("vlan_mode", "trunk"), ("trunks", [4095])))  # Neutron's dead port
    assert host.ask("get", "Port", "i1", "tag", "vlan_mode", "trunks").split() == ["4095", "trunk", "[4095]"]
    do(api.db_set("Port", "i1", ("tag", 7), ("other_config", {"net_uuid": "n1", "segmentation_id": "7"})))
    assert do(api.db_list("Port", ["i1"], columns=["name", "tag"])) == [{"name": "i1", "tag": 7}]
    assert do(api.db_list("Port", ["nope"], columns=["name"], if_exists=True)) == []
    assert [row["name"] for row in do(api.db_find("Interface", ("external_ids", "=", {"iface-id": "port-2"}),
                                                  columns=["name"]))] == ["i1"]
    qos = do(api.db_create("QoS", type="linux-htb", other_config={"max-rate": "1000000"}))
    do(api.db_set("Port", "i1", ("qos", qos)))
    assert host.get("Port", "i1", "qos") == str(qos)
    do(api.db_clear("Port", "i1", "qos"))
    do(api.db_destroy("QoS", qos))
    assert host.ask("list QoS") == ""


def test_many_calls_in_one_transaction(host, api):
    with api.transaction(check_error=True) as txn:
        txn.add(api.add_br("br0", datapath_type=host.lab.datapath_type))
        for name in ("i1", "i2"):
            txn.add(api.add_port("br0", name))
            txn.add(api.db_set("Interface", name, ("type", "internal")))
            txn.add(api.db_set("Port", name, ("tag", 5)))
    assert sorted(do(api.list_ports("br0"))) == ["i1", "i2"]
    assert host.ask("get Port i1 tag -- get Interface i2 type") == "5\ninternal"
    with pytest.raises(RuntimeError), api.transaction(check_error=True) as txn:
        txn.add(api.del_port("i1"))
        txn.add(api.del_port("never-there", if_exists=False))
    assert sorted(do(api.list_ports("br0"))) == ["i1", "i2"], "all or nothing"


def test_a_port_without_device_is_reported(host, api):
    do(api.add_br("br0", datapath_type=host.lab.datapath_type))
    do(api.add_port("br0", "nowhere"))  # the library compares ofport with -1 and gets [-1], so it reports nothing
    assert do(api.db_get("Interface", "nowhere", "ofport")) == -1
    assert "nowhere" in do(api.db_get("Interface", "nowhere", "error"))


def test_events(host, api):
    from ovsdbapp.backend.ovs_idl import event

    def watch(*args, **kw):
        watched = event.WaitEvent(*args, timeout=TIMEOUT, **kw)
        api.events.watch_event(watched)
        return watched
    created = watch(("create",), "Port", (("name", "=", "i1"),))
    host.add_br("br0")
    host.vsctl("add-port br0 i1 -- set Interface i1 type=internal")
    assert created.wait()
    tagged = watch(("update",), "Port", (("tag", "=", 8),), old_conditions=(("tag", "=", 7),))
    host.vsctl("set Port i1 tag=7")
    host.vsctl("set Port i1 tag=8")
    assert tagged.wait()
    gone = watch(("delete",), "Interface", (("name", "=", "i1"),))
    host.vsctl("del-port i1")
    assert gone.wait()


def test_it_reconnects_to_a_new_daemon(host, api):
    do(api.add_br("br0", datapath_type=host.lab.datapath_type))
    before = api.idl.change_seqno
    host.stop()
    host.start(*(["--remote=ptcp:6640:127.0.0.1"] if host.server.startswith("tcp") else []))
    # A transaction without a connection is repeated at growing intervals, which may take longer than its timeout.
    wait_until(lambda: api.idl.change_seqno != before, 15, "the library has read the database anew")
    do(api.br_set_external_id("br0", "after", "restart"))
    assert host.get("Bridge", "br0", "external_ids:after") == "restart"
