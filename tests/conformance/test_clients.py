# SPDX-License-Identifier: Apache-2.0
"""Existing tools: Debian's ovs-vsctl, ovsdb-client and ovs-appctl with Heddle's sockets."""
import json
import re
import subprocess

import pytest
from lab import wait_until
from net import run

ABOVE_DATAPATH = True  # see conftest.py


@pytest.fixture
def host(lab):
    return lab.host("h").start()


@pytest.fixture
def vsctl(stock, host):
    def call(*args, check=True):
        argv = args[0].split() if len(args) == 1 else args
        return run(stock / "ovs-vsctl", f"--db=unix:{host.rundir}/db.sock", "--timeout=10", *argv, check=check)
    return call


@pytest.mark.core
def test_bridge_and_ports(vsctl, host):
    vsctl(f"add-br br0 -- set Bridge br0 datapath_type={host.lab.datapath_type}")
    one = host.guest("br0", "vm1", "10.0.0.1/24")
    two = host.guest("br0", "vm2", "10.0.0.2/24")
    vsctl("del-port br0 vm2")
    assert vsctl("list-ports br0").stdout.split() == ["vm1"]
    vsctl("add-port br0 vm2")
    one.reaches("10.0.0.2")
    assert vsctl("list-br").stdout.split() == ["br0"]
    assert vsctl("port-to-br vm1").stdout.strip() == "br0"
    assert vsctl("br-exists br9", check=False).returncode == 2
    vsctl("set Port vm2 tag=20")
    wait_until(lambda: not one.ping("10.0.0.2", timeout=0.3), 5, "another VLAN is out of reach")
    assert vsctl("get Port vm2 tag").stdout.strip() == "20"
    shown = vsctl("show").stdout
    assert re.search(r"Bridge br0", shown) and re.search(r"Port vm2\n\s+tag: 20", shown)
    vsctl("clear Port vm2 tag")
    one.reaches("10.0.0.2")
    assert two.ping("10.0.0.1")
    vsctl("del-br br0")
    assert vsctl("list-br").stdout == ""


def test_status_columns(vsctl, host):
    vsctl(f"add-br br0 -- set Bridge br0 datapath_type={host.lab.datapath_type}")
    host.guest("br0", "vm1")
    rows = json.loads(vsctl("--format=json list Interface").stdout)
    row = dict(zip(rows["headings"], next(r for r in rows["data"] if "vm1" in r)))
    assert row["ofport"] > 0
    assert row["mac_in_use"] == host.ns.mac("vm1")
    assert row["admin_state"] == "up" and row["mtu"] == 1500
    assert vsctl("get Interface br0 ofport").stdout.strip() == "65534"


def test_missing_device_is_reported(vsctl, host):
    vsctl(f"add-br br0 -- set Bridge br0 datapath_type={host.lab.datapath_type}")
    done = vsctl("add-port br0 nowhere", check=False)
    assert "nowhere" in done.stderr
    assert "nowhere" in vsctl("get Interface nowhere error").stdout


def test_commands_of_libvirt(vsctl, host):
    vsctl(f"add-br br0 -- set Bridge br0 datapath_type={host.lab.datapath_type}")
    vsctl("--if-exists", "del-port", "vnet0", "--", "--may-exist", "add-port", "br0", "vnet0", "tag=5", "trunk=5,6",
          "vlan_mode=native-untagged", "--", "set", "Interface", "vnet0",
          'external-ids:attached-mac="52:54:00:00:00:01"', 'external-ids:iface-id="x"', "external-ids:iface-status=active",
          check=False)  # the device does not exist, but the row does
    assert vsctl("get Port vnet0 tag trunks vlan_mode").stdout.split("\n")[:3] == ["5", "[5, 6]", "native-untagged"]
    assert vsctl("get Interface vnet0 external_ids:attached-mac").stdout.strip() == '"52:54:00:00:00:01"'
    assert vsctl("iface-to-br vnet0").stdout.strip() == "br0"
    vsctl("--timeout=5", "--if-exists", "--format=list", "--data=json", "--no-headings", "--columns=statistics", "list",
          "Interface", "vnet0")
    vsctl("--if-exists del-port vnet0")


def test_commands_of_neutron_and_mininet(vsctl, host):
    vsctl("--id=@manager", "create", "Manager", 'target="ptcp:6640:127.0.0.1"', "--", "add", "Open_vSwitch", ".",
          "manager_options", "@manager")
    vsctl("--", "--id=@c0", "create", "Controller", 'target="tcp:127.0.0.1:6653"', "--", "--if-exists", "del-br", "s1", "--",
          "add-br", "s1", "--", "set", "bridge", "s1", "controller=[@c0]", "other_config:datapath-id=0000000000000001",
          "fail_mode=standalone", f"datapath_type={host.lab.datapath_type}")
    assert vsctl("get-controller s1").stdout.strip() == "tcp:127.0.0.1:6653"
    vsctl("--may-exist add-port s1 int-br -- set Interface int-br type=internal")
    vsctl("set Port int-br tag=4095 vlan_mode=trunk trunks=4095")
    vsctl("del-br s1")


def test_ovsdb_client(stock, host):
    def client(*args, **kw):
        return run(stock / "ovsdb-client", *args, **kw)
    socket = f"unix:{host.rundir}/db.sock"
    assert "Open_vSwitch" in client("list-dbs", socket).stdout.split()
    assert "Bridge" in client("list-tables", socket, "Open_vSwitch").stdout
    assert "vlan_mode" in client("list-columns", socket, "Open_vSwitch", "Port").stdout
    schema = json.loads(client("get-schema", socket, "Open_vSwitch").stdout)
    assert schema["name"] == "Open_vSwitch"
    operations = ["Open_vSwitch", {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["cur_cfg"]}]
    reply = json.loads(client("transact", socket, json.dumps(operations)).stdout)
    assert isinstance(reply[0]["rows"][0]["cur_cfg"], int)


def test_ovsdb_client_sees_changes(stock, host):
    """Like Neutron's agent: a process that prints each change."""
    process = subprocess.Popen([stock / "ovsdb-client", "monitor", f"unix:{host.rundir}/db.sock", "Open_vSwitch", "Interface",
                                "name,ofport", "--format=json"], stdout=subprocess.PIPE, text=True)
    try:
        host.add_br("br0")
        seen = ""
        while '"br0"' not in seen:
            line = process.stdout.readline()
            assert line, "the monitor ended"
            seen += line
    finally:
        process.terminate()
        process.wait()


def test_appctl(stock, host):
    host.add_br("br0")
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    host.guest("br0", "vm2", "10.0.0.2/24")
    guest.reaches("10.0.0.2")
    control = next(host.rundir.glob("vswitchd.*.ctl"))

    def appctl(*args, check=True):
        return run(stock / "ovs-appctl", "-t", control, *args, check=check)
    assert guest.mac in appctl("fdb/show", "br0").stdout
    assert "Heddle" in appctl("version").stdout
    assert "fdb/show" in appctl("list-commands").stdout
    refused = appctl("fdb/show", "br9", check=False)
    assert refused.returncode != 0 and "br9" in refused.stderr
    assert refused.stderr.count("\n") == 2, "the error's line, and ovs-appctl's own"
    assert appctl("no/such", check=False).returncode != 0
    assert appctl("ofproto/list").stdout == "br0\n"
    assert re.search(r"^    vm1 1/\d+: \(system\)$", appctl("dpif/show").stdout, re.M)
    assert appctl("ovsdb-server/compact").stdout == ""
    assert "port-stats" in appctl("coverage/show", check=False).stderr
    appctl("vlog/set", "ANY:file:warn")
    assert "WARN" in appctl("vlog/list").stdout
