# SPDX-License-Identifier: Apache-2.0
"""libvirt starts guests on a bridge of Heddle: its calls of ovs-vsctl, their results, and the guests' traffic."""
import contextlib
import hashlib
import json
import socket
import threading

import pytest
from libvirt import Domain, Libvirt, network_device, packages
from net import TIME_SCALE, Failure, wait_until

ABOVE_DATAPATH = True  # see conftest.py
IFACE_ID = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
MAC, ADDRESS = "52:54:00:00:01:02", "10.0.1.2"  # the guest derives its address from its MAC address
SECOND_MAC, SECOND_ADDRESS = "52:54:00:00:02:02", "10.0.2.2"
IN_VLAN_42 = "<vlan><tag id='42'/></vlan>"
BANDWIDTH = """<bandwidth><inbound average='1000' peak='5000' burst='1024'/><outbound average='2000' burst='256'/></bandwidth>"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def libvirt():
    """The programs; without them the tests are skipped with the reason."""
    try:
        return packages()
    except Failure as e:
        pytest.skip(str(e))


@pytest.fixture(scope="module")
def host(libvirt, shared_lab):
    """A switch with the guests p42 (VLAN 42) and p43 (VLAN 43), and libvirt."""
    host = shared_lab.host("h").start()
    for bridge in ("br0", "br1"):
        host.add_br(bridge)
    host.guest("br0", "p42", ["10.0.1.1/24", "10.0.2.1/24"], tag=42)
    host.guest("br0", "p43", "10.0.1.3/24", tag=43)
    host.libvirt = Libvirt(host)
    yield host
    host.libvirt.close()


@pytest.fixture(scope="module")
def one(host):
    """A running guest in VLAN 42 with a bandwidth. Tests must restore this state."""
    offloads = "" if host.lab.can("take large segments from a tap") else "<driver><host tso4='off' tso6='off'/></driver>"
    one = Domain(host.libvirt, "one", network_device("br0", MAC, IFACE_ID, IN_VLAN_42 + BANDWIDTH + offloads))
    one.offloads = offloads
    one.wait_up()
    yield one
    one.virsh("destroy")


def echo(guest, address, megabytes):
    """Sends so many MB by TCP to libvirt's guest at `address`, which sends them back."""
    connection = guest.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(60 * TIME_SCALE)
    block = hashlib.sha256(b"heddle").digest() * 32768  # 1 MiB
    back = hashlib.sha1()

    def receive():
        while data := connection.recv(1 << 20):
            back.update(data)
    with connection:
        connection.connect((address, 7))
        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        sent = hashlib.sha1()
        for _ in range(megabytes):
            connection.sendall(block)
            sent.update(block)
        connection.shutdown(socket.SHUT_WR)
        thread.join(60 * TIME_SCALE)
    assert back.hexdigest() == sent.hexdigest()


def external_ids(host, table, record):
    """As a dictionary."""
    return dict(json.loads(host.vsctl("--format=json", "--columns=external_ids", "list", table, record).stdout)["data"][0][0][1])


def change(domain, tmp_path, command, device):
    (tmp_path / "device.xml").write_text(device)
    domain.virsh(command, "--live", tmp_path / "device.xml")


def test_a_guest_on_a_port(host, one):
    p42, p43 = host.guests["p42"], host.guests["p43"]
    port = one.port(MAC)
    assert external_ids(host, "Interface", port) == {"attached-mac": MAC, "iface-id": IFACE_ID, "iface-status": "active",
                                                     "vm-id": one.uuid}
    assert host.get("Port", port, "tag") == "42" and host.get("Interface", port, "error") == "[]"
    assert host.ask("port-to-br", port) == "br0"
    p42.reaches(ADDRESS)
    assert not p43.ping(ADDRESS, timeout=0.3)
    echo(p42, ADDRESS, 4)
    counted = dict(line.split()[1:] for line in one.virsh("domifstat", port).stdout.splitlines())
    assert int(counted["rx_bytes"]) > 4 << 20 and int(counted["tx_bytes"]) > 4 << 20 and counted["tx_errs"] == "0"


def test_a_running_guest_changes_its_vlan(host, one, tmp_path):
    p42, p43 = host.guests["p42"], host.guests["p43"]
    port = one.port(MAC)

    def vlan(xml):
        change(one, tmp_path, "update-device", network_device("br0", MAC, IFACE_ID, xml + BANDWIDTH + one.offloads))
    vlan("<vlan><tag id='43'/></vlan>")
    assert host.get("Port", port, "tag") == "43"
    p43.reaches(ADDRESS)
    assert not p42.ping(ADDRESS, timeout=0.3)
    vlan("<vlan trunk='yes'><tag id='42' nativeMode='untagged'/><tag id='43'/></vlan>")
    assert host.ask("get", "Port", port, "tag", "trunks", "vlan_mode").split("\n") == ["42", "[42, 43]", "native-untagged"]
    p42.reaches(ADDRESS)
    vlan(IN_VLAN_42)
    assert host.ask("get", "Port", port, "tag", "trunks", "vlan_mode").split("\n") == ["42", "[]", "[]"]
    p42.reaches(ADDRESS)


def test_devices_come_and_go(host, one, tmp_path):
    change(one, tmp_path, "attach-device", network_device("br0", SECOND_MAC, IFACE_ID[::-1], IN_VLAN_42))
    port = one.port(SECOND_MAC)
    one.wait_up("eth1")
    host.guests["p42"].reaches(SECOND_ADDRESS)
    one.virsh("detach-interface", "bridge", "--live", "--mac", SECOND_MAC)
    wait_until(lambda: port not in host.ask("list-ports", "br0").split(), 20, "the port of the device is gone")
    assert host.ask("find", "Interface", f"name={port}") == ""
    host.guests["p42"].reaches(ADDRESS)


def test_bandwidth(host, one):
    """libvirt's `inbound` limits the traffic to the guest (the port's QoS), `outbound` the traffic from it
    (policing)."""
    port = one.port(MAC)

    def qos_and_queue():
        qos = host.get("Port", port, "qos")
        queue = host.ask("--bare", "--columns=_uuid", "find", "Queue", f"external_ids:ifname={port}")
        assert host.get("QoS", qos, "type") == "linux-htb"
        assert host.ask("get", "QoS", qos, "queues") == f"{{0={queue}}}"
        for table, record in (("QoS", qos), ("Queue", queue)):
            assert external_ids(host, table, record) == {"vm-id": one.uuid, "ifname": port}
        return [host.get(t, r, "other_config:max-rate") for t, r in (("QoS", qos), ("Queue", queue))]

    def policing():
        return host.ask("get", "Interface", port, "ingress_policing_rate", "ingress_policing_burst").split()
    assert qos_and_queue() == ["40000000"] * 2  # bit/s
    assert policing() == ["16000", "2048"]  # kbit/s, kbit
    one.virsh("domiftune", port, "--live", "--inbound", "3000,6000,1024", "--outbound", "4000,4000,512")
    assert qos_and_queue() == ["48000000"] * 2
    assert policing() == ["32000", "4096"]
    host.guests["p42"].reaches(ADDRESS)
    one.virsh("domiftune", port, "--live", "--inbound", "0", "--outbound", "0")
    assert host.ask("get", "Port", port, "qos") == "[]"
    assert host.ask("find", "QoS", f"external_ids:ifname={port}", "--", "find", "Queue", f"external_ids:ifname={port}") == ""
    assert policing() == ["0", "0"]
    one.virsh("domiftune", port, "--live", "--inbound", "1000,5000,1024", "--outbound", "2000,0,256")
    assert qos_and_queue() == ["40000000"] * 2


def test_a_destroyed_guest_leaves_nothing(host):
    two = Domain(host.libvirt, "two", network_device("br1", SECOND_MAC, IFACE_ID[::-1], BANDWIDTH))
    port = two.port(SECOND_MAC)
    assert host.ask("list-ports", "br1") == port and host.get("Port", port, "qos") != "[]"
    two.virsh("destroy")
    assert host.ask("list-ports", "br1") == ""
    assert host.ask("find", "Port", f"name={port}", "--", "find", "Interface", f"name={port}") == ""
    # libvirt 9.0 leaves the QoS and its queue here (not when a device is detached); they have no effect.
    assert (0, ["--timeout=5", "--", "--if-exists", "del-port", port]) in host.libvirt.sandbox.calls()


def test_a_guest_moves_to_another_host(libvirt, lab):
    """Live migration between two hosts with a VXLAN between their bridges: another guest reaches the guest before and
    after at the same addresses, and a controller's data of the port (PortData) moves with it."""
    a, b = (lab.host(name).start() for name in "ab")
    lab.underlay(a, b)
    for host, other in ((a, b), (b, a)):
        host.add_br("br0")
        host.vxlan("br0", "vx0", remote_ip=other.address[4], key=42)
    peer = b.guest("br0", "peer", "10.0.1.1/24", mtu=1450)
    with contextlib.ExitStack() as running:
        for host in (a, b):
            host.libvirt = Libvirt(host)
            running.callback(host.libvirt.close)
        one = Domain(a.libvirt, "one", network_device("br0", MAC, IFACE_ID, "<mtu size='1450'/>"))
        one.wait_up()
        peer.reaches(ADDRESS)
        a.vsctl("set", "Interface", one.port(MAC), "external_ids:PortData=left here")
        one.virsh("migrate", "--live", "--p2p", b.libvirt.uri, "--migrateuri", f"tcp://{b.address[4]}", timeout=120)
        assert a.ask("list-ports", "br0") == "vx0"
        port = b.ask("--bare", "--columns=name", "find", "Interface", f"external_ids:iface-id={IFACE_ID}")
        assert external_ids(b, "Interface", port)["PortData"] == "left here"
        assert external_ids(b, "Interface", port)["vm-id"] == one.uuid
        peer.reaches(ADDRESS)
        assert b.wait_learned(MAC, port)
