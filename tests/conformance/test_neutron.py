# SPDX-License-Identifier: Apache-2.0
"""The steps of OpenStack Neutron's Open vSwitch agent at its start and for each port, with its tools: a Manager set by
ovs-vsctl, the library ovsdbapp over the Manager's TCP port, and the real ovsdb-client for notifications."""
import json
import os

import pytest
from lab import BIN
from net import TIME_SCALE, wait_until
from test_ovsdb import Follower
from test_ovsdbapp import connect, do

ABOVE_DATAPATH = True  # see conftest.py
pytestmark = pytest.mark.filterwarnings("ignore:setDaemon")  # of the library
SERVER = "tcp:127.0.0.1:6640"


@pytest.fixture
def host(lab, tmp_path):
    host = lab.host("h").start()
    program = tmp_path / "ovs-vsctl"
    program.symlink_to(BIN / "vsctl")
    host.ns.run(program, "--timeout=10", "--", "--id=@manager", "create", "Manager", 'target="ptcp:6640:127.0.0.1"', "--",
                "add", "Open_vSwitch", ".", "manager_options", "@manager",
                env={**os.environ, "VSWITCH_RUNDIR": str(host.rundir)})
    return host


@pytest.fixture
def agent(library, stock, host):
    """The library's API of the database through the Manager."""
    wait_until(lambda: host.ns.run(stock / "ovsdb-client", "--timeout=5", "list-dbs", SERVER, check=False).returncode == 0, 10,
               f"{SERVER} answers")
    with connect(host, SERVER) as api:
        do(api.db_set("Manager", "ptcp:6640:127.0.0.1", ("inactivity_probe", 10000)))
        yield api


class Monitor(Follower):
    """The agent's monitor: ovsdb-client, with a line of JSON for each change."""

    def __init__(self, host, program, table, columns):
        super().__init__(host, program, "monitor", SERVER, table, columns, "--format=json")

    def changes(self):
        """The changes so far: [(kind, {column: value})]."""
        found = []
        for line in self.lines:
            seen = json.loads(line)
            found += [(row[1], dict(zip(seen["headings"][2:], row[2:]))) for row in seen["data"]]
        return found

    def wait_change(self, what, **columns):
        def there():
            return [c for w, c in self.changes() if w == what and columns.items() <= c.items()]
        return wait_until(there, 10 * TIME_SCALE, f"{what} of {columns} is told")[-1]


def set_up_bridge(agent, name, datapath_type):
    do(agent.add_br(name, datapath_type=datapath_type))
    with agent.transaction(check_error=True) as txn:
        txn.add(agent.db_add("Bridge", name, "protocols", "OpenFlow10", "OpenFlow13", "OpenFlow14"))
        txn.add(agent.db_set("Bridge", name, ("other_config", {"mac-table-size": "50000"})))
        txn.add(agent.set_fail_mode(name, "secure"))


def plug(agent, bridge, port, iface_id):
    """Like the agent's replace_port: in one transaction, into the VLAN of dead ports."""
    with agent.transaction(check_error=True) as txn:
        txn.add(agent.del_port(port, bridge, if_exists=True))
        txn.add(agent.add_port(bridge, port, may_exist=False))
        txn.add(agent.db_set("Port", port, ("other_config", {"net_uuid": "n1"}), ("vlan_mode", "trunk"), ("trunks", [4095]),
                             ("tag", 4095)))
        txn.add(agent.db_set("Interface", port, ("external_ids", {"iface-id": iface_id, "iface-status": "active",
                                                                  "attached-mac": "fa:16:3e:00:00:01"})))


def test_it_starts(host, agent):
    assert "vxlan" in do(agent.db_get("Open_vSwitch", ".", "iface_types"))
    assert host.lab.datapath_type in do(agent.db_get("Open_vSwitch", ".", "datapath_types"))
    set_up_bridge(agent, "br-int", host.lab.datapath_type)
    set_up_bridge(agent, "br-tun", host.lab.datapath_type)
    assert host.ask("get-fail-mode", "br-int") == "secure"
    do(agent.set_controller("br-int", ["tcp:127.0.0.1:6633"]))
    controller = agent.tables["Controller"].rows.values()
    for row in list(controller):
        do(agent.db_set("Controller", row.uuid, ("connection_mode", ["out-of-band"]), ("inactivity_probe", 10000)))
    assert host.ask("get", "Controller", "br-int", "connection_mode", "inactivity_probe").split() == ["out-of-band", "10000"]
    assert sorted(do(agent.list_br())) == ["br-int", "br-tun"]


def test_it_serves_a_port(host, agent, stock):
    set_up_bridge(agent, "br-int", host.lab.datapath_type)
    do(agent.set_fail_mode("br-int", "standalone"))  # "secure" needs a controller that installs flows
    peer = host.guest("br-int", "tap1", "10.0.0.1/24", tag=3)
    vm = host.guest("br-int", "tap2", "10.0.0.2/24")
    host.vsctl("del-port", "tap2")
    with Monitor(host, stock / "ovsdb-client", "Interface", "name,ofport,external_ids") as monitor, Monitor(
            host, stock / "ovsdb-client", "Bridge", "name") as bridges:
        assert bridges.wait_change("initial", name="br-int")
        assert monitor.wait_change("initial", name="tap1")["ofport"] > 0
        plug(agent, "br-int", "tap2", "port-uuid-1")
        told = monitor.wait_change("insert", name="tap2")
        assert dict(told["external_ids"][1])["iface-id"] == "port-uuid-1"
        ofport = do(agent.db_get("Interface", "tap2", "ofport"))
        assert ofport > 0 and monitor.wait_change("new", name="tap2")["ofport"] == ofport
        assert not peer.ping(vm.address, timeout=0.3)
        with agent.transaction(check_error=True) as txn:  # the agent has the port's details
            txn.add(agent.db_set("Port", "tap2", ("tag", 3), ("other_config", {"net_uuid": "n1", "tag": "3"})))
            txn.add(agent.db_clear("Port", "tap2", "trunks"))
            txn.add(agent.db_clear("Port", "tap2", "vlan_mode"))
        peer.reaches(vm.address)
        assert {p["name"]: p["tag"] for p in do(agent.db_list("Port", columns=["name", "other_config", "tag"]))} == {
            "br-int": [], "tap1": 3, "tap2": 3}
        assert [r["name"] for r in do(agent.db_find("Interface", ("external_ids", "=", {"iface-id": "port-uuid-1"}),
                                                    columns=["name", "ofport"]))] == ["tap2"]
        do(agent.del_port("tap2", "br-int"))
        monitor.wait_change("delete", name="tap2")


def test_its_tunnel_ports_are_refused_by_name(host, agent):
    """A port whose key flows set has an error that names the option, since there are no flow tables, and the other ports
    keep working."""
    host.ns.ip("addr add 192.0.2.1/24 dev lo")
    set_up_bridge(agent, "br-tun", host.lab.datapath_type)
    with agent.transaction(check_error=True) as txn:
        txn.add(agent.add_port("br-tun", "vxlan-c0000202"))
        txn.add(agent.db_set("Interface", "vxlan-c0000202", ("type", "vxlan"),
                             ("options", {"remote_ip": "192.0.2.2", "local_ip": "192.0.2.1", "in_key": "flow", "out_key": "flow",
                                          "df_default": "true", "egress_pkt_mark": "0"})))
    assert do(agent.db_get("Interface", "vxlan-c0000202", "ofport")) == -1
    assert "in_key=flow" in do(agent.db_get("Interface", "vxlan-c0000202", "error"))
    do(agent.db_set("Interface", "vxlan-c0000202", ("options", {"in_key": "7", "out_key": "7"})))
    wait_until(lambda: do(agent.db_get("Interface", "vxlan-c0000202", "ofport")) > 0, 10, "with a number it works")
