# SPDX-License-Identifier: Apache-2.0
"""The database requests of ovs-cni, the Kubernetes plug-in for bridges of Open vSwitch, and of libovsdb, its Go
library: the same requests in the same form, one by one."""
import pytest
from net import wait_until
from rpc import Rpc

ABOVE_DATAPATH = True  # see conftest.py
OWNER = "ovs-cni.network.kubevirt.io"
NEVER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def host(bridged):
    return bridged


@pytest.fixture
def client(host):
    with Rpc(host.rundir / "db.sock") as client:
        assert "Open_vSwitch" in client.call("list_dbs", None)["result"]  # its form of "no arguments"
        assert client.call("get_schema", "Open_vSwitch")["result"]["name"] == "Open_vSwitch"
        yield client


def do(client, *operations):
    """The results of a transaction without errors: one for each operation, none for the commit."""
    reply = client.transact(*operations)
    assert reply["error"] is None
    assert len(reply["result"]) == len(operations), reply
    assert not [r for r in reply["result"] if "error" in r], reply
    return reply["result"]


def select(client, table, *where, columns=None):
    operation = {"op": "select", "table": table, "where": list(where)}
    return do(client, operation | ({"columns": columns} if columns else {}))[0]["rows"]


def named(name):
    return ["set", [["named-uuid", name]]]


def mutate(table, where, *mutations):
    return {"op": "mutate", "table": table, "where": [where], "mutations": [list(m) for m in mutations]}


def add_port(client, bridge, device, interface=None, **port):
    """Returns the UUID of the Port."""
    return do(client,
              {"op": "insert", "table": "Interface", "row": {"name": device} | (interface or {}), "uuid-name": f"Intf{device}"},
              {"op": "insert", "table": "Port", "uuid-name": f"Port{device}",
               "row": {"name": device, "interfaces": named(f"Intf{device}"),
                       "external_ids": ["map", [["contPodUid", "pod-1"], ["contNetns", "/run/netns/cni-1"],
                                                ["contIface", "net1"], ["owner", OWNER]]]} | port},
              mutate("Bridge", ["name", "==", bridge], ["ports", "insert", named(f"Port{device}")]))[1]["uuid"]


def delete_port(client, bridge, device):
    row = select(client, "Port", ["name", "==", device])[0]
    assert ["owner", OWNER] in row["external_ids"][1]
    do(client, {"op": "delete", "table": "Interface", "where": [["name", "==", device]]},
       {"op": "delete", "table": "Port", "where": [["name", "==", device]]},
       mutate("Bridge", ["name", "==", bridge], ["ports", "delete", ["set", [row["_uuid"]]]]))


def test_libovsdb_finds_the_leader_and_lives(client):
    """Its client crashes on an error that is not a string."""
    assert client.call("get_schema", "_Server")["result"]["name"] == "_Server"
    rows = client.call("transact", "_Server", {"op": "select", "table": "Database", "where": [],
                                               "columns": ["name", "model", "leader", "sid"]})["result"][0]["rows"]
    mine = next(row for row in rows if row["name"] == "Open_vSwitch")
    assert mine["model"] == "standalone" and mine["leader"] is True
    assert client.call("echo", "libovsdb echo")["result"] == ["libovsdb echo"]
    assert client.call("no_such_method")["error"] == "unknown method"


def test_libovsdb_monitors(client, host):
    cookie = {"databaseName": "Open_vSwitch", "id": "3c9f3a2e-8f6b-4c39-9c1e-1d6d8c3f7d10"}
    everything = {"initial": True, "insert": True, "delete": True, "modify": True}
    requests = {"Bridge": {"columns": ["name", "external_ids"], "select": everything}, "Open_vSwitch": {"columns": ["bridges"]}}
    found, last, tables = client.call("monitor_cond_since", "Open_vSwitch", cookie, requests, NEVER)["result"]
    assert found is False and [r["initial"]["name"] for r in tables["Bridge"].values()] == ["br0"]
    host.vsctl("br-set-external-id", "br0", "seen", "1")
    update = client.receive()
    assert update["method"] == "update3" and update["id"] is None and update["params"][0] == cookie
    assert list(update["params"][2]["Bridge"].values()) == [{"modify": {"external_ids": ["map", [["seen", "1"]]]}}]
    with Rpc(host.rundir / "db.sock") as again:
        found, newest, tables = again.call("monitor_cond_since", "Open_vSwitch", cookie, requests, last)["result"]
        assert found is True and newest != last
        assert list(tables["Bridge"].values()) == [{"modify": {"external_ids": ["map", [["seen", "1"]]]}}]
    assert client.call("monitor_cancel", cookie)["result"] == {}
    server = {"databaseName": "_Server", "id": "5d0d8f1c-0d0a-4a3e-8a0e-0c6a3f6f0a11"}
    tables = client.call("monitor_cond", "_Server", server, {"Database": {"columns": ["name", "leader"]}})["result"]
    assert {r["initial"]["name"] for r in tables["Database"].values()} >= {"Open_vSwitch"}


def test_a_pod_gets_a_port(client, host):
    p1 = host.guest("br0", "p1", "10.0.0.1/24", tag=100)
    pod = host.guest("br0", "vethpod", "10.0.0.2/24")
    host.vsctl("del-port", "vethpod")
    assert [row["name"] for row in select(client, "Bridge", columns=["name"])] == ["br0"]
    assert len(select(client, "Bridge", ["name", "==", "br0"], columns=["name"])) == 1
    add_port(client, "br0", "vethpod", {"external_ids": ["map", [["iface-id", "lsp-1"]]], "ofport_request": 77}, vlan_mode="access",
             tag=100)
    p1.reaches(pod.address)
    assert host.get("Interface", "vethpod", "ofport") == "77"
    wait_until(lambda: select(client, "Interface", ["name", "==", "vethpod"], columns=["link_state"]) == [{"link_state": "up"}], 10,
               "link_state")
    assert select(client, "Port", ["name", "==", "vethpod"], columns=["vlan_mode", "tag", "trunks"]) == [
        {"vlan_mode": "access", "tag": 100, "trunks": ["set", []]}]
    # Found by its container's id; then from the interface to the bridge.
    mine = ["map", [["contNetns", "/run/netns/cni-1"], ["contIface", "net1"], ["owner", OWNER]]]
    assert [r["name"] for r in select(client, "Port", ["external_ids", "includes", mine], columns=["name", "external_ids"])] == [
        "vethpod"]
    interface = select(client, "Interface", ["name", "==", "vethpod"], columns=["name", "_uuid"])[0]["_uuid"]
    port = select(client, "Port", ["interfaces", "includes", interface], columns=["name", "_uuid"])[0]["_uuid"]
    assert select(client, "Bridge", ["ports", "includes", port], columns=["name"]) == [{"name": "br0"}]
    delete_port(client, "br0", "vethpod")
    assert host.ask("list-ports", "br0") == "p1"
    add_port(client, "br0", "vethpod", vlan_mode="trunk", trunks=["set", [100, 101]])
    assert select(client, "Port", ["name", "==", "vethpod"], columns=["vlan_mode", "tag", "trunks"]) == [
        {"vlan_mode": "trunk", "tag": ["set", []], "trunks": ["set", [100, 101]]}]
    pod.unplug()  # the pod ended with its device
    delete_port(client, "br0", "vethpod")
    assert host.ask("list-ports", "br0") == "p1"


def test_interfaces_in_error_are_found(client, host):
    add_port(client, "br0", "nowhere")
    wait_until(lambda: host.get("Interface", "nowhere", "error") != "[]", 10, "the error is written")
    rows = select(client, "Interface", columns=["name", "error"])
    assert {r["name"] for r in rows if isinstance(r["error"], str) and r["error"]} == {"nowhere"}
    assert next(r["error"] for r in rows if r["name"] == "br0") == ["set", []]


def test_its_controller_makes_a_bridge(client, host):
    """The bridge has no port with its name; the controller selects the row of Open_vSwitch as the one that is not the
    bridge."""
    others = ["_uuid", "!=", ["named-uuid", "Brbr1"]]
    row = {"name": "br1", "datapath_type": "system", "rstp_enable": False, "stp_enable": False}
    do(client, {"op": "insert", "table": "Bridge", "row": row, "uuid-name": "Brbr1"},
       mutate("Open_vSwitch", others, ["bridges", "insert", named("Brbr1")]))
    add_port(client, "br1", "vxlan1", {"type": "vxlan", "options": ["map", [["remote_ip", "192.0.2.9"], ["key", "flow"],
                                                                            ["dst_port", "4790"]]]})
    ports = select(client, "Bridge", ["name", "==", "br1"], columns=["ports"])[0]["ports"]
    assert ports[0] == "uuid"  # a set of one element is written as the element
    assert select(client, "Port", ["_uuid", "==", ports], columns=["name", "interfaces"])[0]["name"] == "vxlan1"
    delete_port(client, "br1", "vxlan1")
    bridge = select(client, "Bridge", ["name", "==", "br1"], columns=["_uuid"])[0]["_uuid"]
    do(client, {"op": "delete", "table": "Bridge", "where": [["name", "==", "br1"]]},
       mutate("Open_vSwitch", ["_uuid", "!=", bridge], ["bridges", "delete", ["set", [bridge]]]))
    assert host.ask("list-br") == "br0"


def test_mirrors_for_pods(client, host):
    """The plug-ins for producers and consumers of a mirror."""
    for name in ("veth1", "veth2"):
        host.guest("br0", name)
        host.vsctl("del-port", name)
    producer, consumer = (["uuid", add_port(client, "br0", name)[1]] for name in ("veth1", "veth2"))
    assert select(client, "Mirror", ["name", "==", "m1"], columns=["name"]) == []
    do(client, {"op": "insert", "table": "Mirror", "row": {"name": "m1", "external_ids": ["map", [["owner", OWNER]]]},
                "uuid-name": "newMirror"},
       mutate("Bridge", ["name", "==", "br0"], ["mirrors", "insert", named("newMirror")]))
    do(client, mutate("Mirror", ["name", "==", "m1"], ["select_src_port", "insert", ["set", [producer]]],
                      ["select_dst_port", "insert", ["set", [producer]]]))
    do(client, mutate("Mirror", ["name", "==", "m1"], ["output_port", "insert", ["set", [consumer]]]))
    assert select(client, "Mirror", ["name", "==", "m1"], ["select_src_port", "includes", producer],
                  ["select_dst_port", "includes", producer], columns=["name"]) == [{"name": "m1"}]
    assert select(client, "Mirror", ["name", "==", "m1"], ["output_port", "==", consumer], columns=["name"]) == [{"name": "m1"}]
    do(client, mutate("Mirror", ["name", "==", "m1"], ["select_src_port", "delete", ["set", [producer]]],
                      ["select_dst_port", "delete", ["set", [producer]]]))
    do(client, mutate("Mirror", ["name", "==", "m1"], ["output_port", "delete", consumer]))
    row = select(client, "Mirror", columns=["name", "output_port", "select_src_port", "select_dst_port"])[0]
    assert [v for k, v in row.items() if k != "name"] == [["set", []]] * 3
    mirror = select(client, "Mirror", ["name", "==", "m1"])[0]["_uuid"]
    do(client, {"op": "delete", "table": "Mirror", "where": [["name", "==", "m1"]]},
       mutate("Bridge", ["name", "==", "br0"], ["mirrors", "delete", ["set", [mirror]]]))
    assert host.ask("list Mirror") == ""
