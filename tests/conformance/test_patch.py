# SPDX-License-Identifier: Apache-2.0
"""Patch ports: links between bridges of one switch."""
import contextlib
import re

import pytest
from kernel import need_frames_in_pieces
from lab import settle, transfer, untagged, wait_until, who_gets
from lives import Stream, known, restart_under
from net import TIME_SCALE, frame, mac

SRC, DST = mac(1), mac(2)
MEGABYTES = round(30 / TIME_SCALE)


def patch(host, bridge, name, peer, **columns):
    """The commands of ovs-vsctl(8) for one end."""
    host.vsctl("add-port", bridge, name, *[f"{k}={v}" for k, v in columns.items()], "--", "set", "Interface", name, "type=patch",
               f"options:peer={peer}")


def join(host, a="br0", b="br1", one="patch0", two="patch1"):
    """Both ends in one transaction."""
    host.vsctl("add-port", a, one, "--", "set", "Interface", one, "type=patch", f"options:peer={two}", "--", "add-port", b, two,
               "--", "set", "Interface", two, "type=patch", f"options:peer={one}")


def counters(host, port):
    """(packets in, packets out) of the datapath's counters."""
    row = next(line.split() for line in host.ask("port-stats").splitlines() if line.split()[:1] == [port])
    return int(row[3]), int(row[5])


def calm(host, *ports, seconds=20):
    """Waits until these ports' counters stop: no frame circulates."""
    seen = []

    def still():
        seen.append([counters(host, p) for p in ports])
        return seen[-2:-1] == seen[-1:]  # a query takes a hundred times as long as one loop
    wait_until(still, seconds, "nothing circulates any more")


@pytest.fixture
def host(lab):
    host = lab.host("h").start()
    host.add_br("br0")
    host.add_br("br1")
    return host


@pytest.fixture
def guests(host):
    """Two guests on each of two joined bridges."""
    guests = [host.guest(f"br{n // 2}", f"vm{n}", f"10.0.0.{n + 1}/24") for n in range(4)]
    join(host)
    settle(host, "br0", guests)
    host.vsctl("fdb-flush br1")
    return guests


def link(host, port):
    return host.get("Interface", port, "link_state")


def test_flood_and_unicast(host, guests):
    assert who_gets(guests[0], guests, SRC) == untagged(*guests[1:])
    host.wait_learned(SRC, "vm0", "br0")
    host.wait_learned(SRC, "patch1", "br1")
    assert who_gets(guests[3], guests, DST, SRC) == untagged(guests[0])
    host.wait_learned(DST, "vm3", "br1")
    host.wait_learned(DST, "patch0", "br0")
    assert who_gets(guests[0], guests, SRC, DST) == untagged(guests[3])
    guests[0].reaches("10.0.0.4")


def test_status_of_the_rows(host, guests):
    for port, peer in (("patch0", "patch1"), ("patch1", "patch0")):
        wait_until(lambda port=port: link(host, port) == "up", 5, f"{port} has a link")
        assert host.get("Interface", port, "admin_state") == "up"
        assert host.get("Interface", port, "error") in ("", "[]")
        assert host.get("Interface", port, "status:peer") == peer
        assert 0 < int(host.get("Interface", port, "ofport")) < 0xFF00
    assert "patch" in host.get("Open_vSwitch", ".", "iface_types")
    host.vsctl("add-port br0 patch7 -- set Interface patch7 type=patch options:peer=nobody ofport_request=77")
    assert host.get("Interface", "patch7", "ofport") == "77"


def test_devices_of_patch_ports_are_not_the_hosts(host, guests):
    """Devices that a datapath makes for them have no addresses, and no frame of a guest reaches the host through
    them."""
    before = host.ns.devices()
    assert "patch0" not in before and "patch1" not in before
    for device in before:
        if device not in ("vm0", "vm1", "vm2", "vm3", "br0", "br1"):
            assert "inet" not in host.ns.ip(f"addr show {device}")
    host.vsctl("del-port patch0 -- del-port patch1")
    wait_until(lambda: len(host.ns.devices()) <= len(before), 5)
    assert not [d for d in host.ns.devices() if d.startswith("hp")]


def test_counters(host, guests):
    """The frames sent by one end are received by the other."""
    host.ns.sysctl("net.ipv6.conf.all.disable_ipv6", 1)  # frames are counted, so the host's devices must send none
    calm(host, "patch0", "patch1")
    in0, out0 = counters(host, "patch0")
    in1, out1 = counters(host, "patch1")
    for _ in range(50):
        guests[0].send(frame(SRC, size=100))
    wait_until(lambda: counters(host, "patch1")[0] - in1 >= 50, 5, "50 frames came in by patch1")
    assert counters(host, "patch0") == (in0, out0 + 50)
    assert counters(host, "patch1") == (in1 + 50, out1)
    host.vsctl("set Open_vSwitch . other_config:stats-update-interval=1000")
    wait_until(lambda: int(host.get("Interface", "patch0", "statistics:tx_packets")) >= out0 + 50, 10, "the row follows")


# --- VLANs ---

def test_trunk_between_bridges(host, guests):
    """Patch ports without tag or trunks carry every VLAN as it is."""
    host.vsctl("set Port vm0 tag=10 -- set Port vm2 tag=10 -- set Port vm3 tag=20")
    assert who_gets(guests[0], guests, SRC) == {"vm1": [10], "vm2": [None]}
    assert who_gets(guests[1], guests, SRC, vlan=20) == {"vm3": [None]}
    host.vsctl("set Port patch0 trunks=20")
    assert who_gets(guests[0], guests, SRC) == {"vm1": [10]}
    assert who_gets(guests[1], guests, SRC, vlan=20) == {"vm3": [None]}
    host.vsctl("set Port patch0 trunks=[] -- set Port patch1 trunks=20")
    before = host.drops("patch1", "vlan_not_member")
    assert who_gets(guests[0], guests, SRC) == {"vm1": [10]}
    host.wait_drop("patch1", "vlan_not_member", before)


def test_access_ends_join_two_vlans(host, guests):
    """VLAN 10 of one bridge is VLAN 20 of the other."""
    host.vsctl("set Port patch0 tag=10 -- set Port patch1 tag=20 -- set Port vm0 tag=10")
    assert who_gets(guests[0], guests, SRC) == {"vm1": [10], "vm2": [20], "vm3": [20]}
    host.wait_learned(SRC, "patch1", "br1", vlan=20)
    host.vsctl("set Port vm3 tag=20")
    assert who_gets(guests[3], guests, DST, SRC) == untagged(guests[0])


def test_protected_ends(host, guests):
    host.vsctl("set Port patch1 protected=true -- set Port vm2 protected=true")
    assert who_gets(guests[0], guests, SRC) == untagged(guests[1], guests[3])


# --- sizes and offloads ---

@pytest.mark.parametrize("size", [60, 1514, 9014])
def test_sizes(lab, host, size):
    if size > 3800:
        need_frames_in_pieces(lab)
    guests = [host.guest(f"br{n}", f"vm{n}", mtu=9000) for n in (0, 1)]
    join(host)
    settle(host, "br0", guests)
    assert who_gets(guests[0], guests, SRC, size=size) == untagged(guests[1])


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_tcp(host, family):
    """With the guests' offloads as they are."""
    one, two = (host.guest(f"br{n - 1}", f"vm{n}", [f"10.0.0.{n}/24", f"fd00::{n}/64"]) for n in (1, 2))
    join(host)
    to = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}[family]
    one.reaches(to[1])
    transfer(one, two, to[1], MEGABYTES)
    transfer(two, one, to[0], MEGABYTES // 3)


def test_tcp_with_the_host_behind_a_patch(host):
    """The usual set-up of libvirt and Neutron: guests on one bridge, the host's address on another."""
    one = host.guest("br1", "vm1", "10.0.0.1/24")
    join(host)
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    host.ns.ip("link set br0 up")
    one.reaches("10.0.0.9")
    transfer(one, host, "10.0.0.9", MEGABYTES)
    transfer(host, one, "10.0.0.1", MEGABYTES)


@pytest.mark.core
def test_chain_of_bridges(host):
    """Three bridges in a row."""
    host.add_br("br2")
    guests = [host.guest(f"br{n}", f"vm{n}", f"10.0.0.{n + 1}/24") for n in range(3)]
    join(host, "br0", "br1", "patch01", "patch10")
    join(host, "br1", "br2", "patch12", "patch21")
    settle(host, "br0", guests)
    for bridge in ("br1", "br2"):
        host.vsctl("fdb-flush", bridge)
    assert who_gets(guests[0], guests, SRC) == untagged(*guests[1:])
    host.wait_learned(SRC, "patch21", "br2")
    assert who_gets(guests[2], guests, DST, SRC) == untagged(guests[0])
    guests[0].reaches("10.0.0.3")
    transfer(guests[0], guests[2], "10.0.0.3", MEGABYTES)
    assert sum(host.drops("", reason) for reason in ("patch_loop", "port_down")) == 0


def test_bridge_joined_to_two_others_by_vlan(host):
    """Neutron's integration bridge with two provider bridges."""
    host.add_br("br2")
    inner = [host.guest("br0", f"vm{n}", tag=n * 10) for n in (1, 2)]
    outer = [host.guest(f"br{n}", f"out{n}") for n in (1, 2)]
    for n in (1, 2):
        join(host, "br0", f"br{n}", f"int{n}", f"phy{n}")
        host.vsctl(f"set Port int{n} tag={n * 10}")
    guests = [*inner, *outer]
    wait_until(lambda: who_gets(inner[0], guests, SRC) == untagged(outer[0]), 10, "VLAN 10 passes")
    assert who_gets(inner[1], guests, SRC) == untagged(outer[1])
    assert who_gets(outer[1], guests, DST) == untagged(inner[1])


# --- the other end ---

def joined(guests):
    return who_gets(guests[0], guests, SRC) == untagged(*guests[1:])


def apart(host, guests):
    return who_gets(guests[0], guests, SRC) == untagged(guests[1]) and who_gets(guests[2], guests, SRC) == untagged(guests[3])


def test_peer_that_is_missing(host):
    guests = [host.guest(f"br{n // 2}", f"vm{n}") for n in range(4)]
    patch(host, "br0", "patch0", "patch1")
    settle(host, "br0", guests[:2])
    wait_until(lambda: link(host, "patch0") == "down", 5, "no link without a peer")
    assert apart(host, guests)
    host.vsctl("fdb-add", "br0", "patch0", "0", DST)
    before = host.drops("patch0", "port_down")
    assert who_gets(guests[0], guests, SRC, DST) == {}
    host.wait_drop("patch0", "port_down", before)
    host.vsctl("fdb-del", "br0", "0", DST)
    patch(host, "br1", "patch1", "patch0")
    wait_until(lambda: link(host, "patch0") == link(host, "patch1") == "up", 5, "both ends have a link")
    wait_until(lambda: joined(guests), 5, "frames pass")


def test_peer_is_removed_and_added_again(host, guests):
    for _ in range(2):
        guests[3].send(frame(DST))
        host.wait_learned(DST, "patch0", "br0")
        host.vsctl("del-port patch1")
        wait_until(lambda: link(host, "patch0") == "down", 5, "no link without a peer")
        assert apart(host, guests)
        patch(host, "br1", "patch1", "patch0")
        wait_until(lambda: joined(guests) and link(host, "patch0") == "up", 5, "frames pass again")
    host.vsctl("del-port patch0")
    assert apart(host, guests)


def test_peer_is_changed(host, guests):
    """options:peer is changed on one end, on both, and back."""
    host.vsctl("set Interface patch1 options:peer=patch9")
    wait_until(lambda: link(host, "patch0") == link(host, "patch1") == "down", 5, "neither end has a link")
    assert apart(host, guests), "an end that names another is no peer"
    host.vsctl("set Interface patch1 options:peer=patch0")
    wait_until(lambda: joined(guests), 5, "as before")
    host.add_br("br2")
    third = host.guest("br2", "third")
    patch(host, "br2", "patch2", "patch0")
    host.vsctl("set Interface patch0 options:peer=patch2")
    wait_until(lambda: who_gets(guests[0], [*guests, third], SRC) == untagged(guests[1], third), 5, "joined to the third bridge")
    assert link(host, "patch1") == "down"


def test_bridge_of_the_peer_is_removed_and_added(host, guests):
    host.vsctl("del-br br1")
    wait_until(lambda: link(host, "patch0") == "down", 5, "no link without a peer")
    assert who_gets(guests[0], guests, SRC) == untagged(guests[1])
    host.add_br("br1")
    for g in guests[2:]:
        host.add_port("br1", g.device)
    patch(host, "br1", "patch1", "patch0")
    wait_until(lambda: joined(guests), 5, "frames pass again")


def test_long_names(host):
    """Names of patch ports are not device names: Neutron's are longer than 15 characters."""
    guests = [host.guest(f"br{n}", f"vm{n}") for n in (0, 1)]
    join(host, one="int-br-provider-network", two="phy-br-provider-network")
    wait_until(lambda: who_gets(guests[0], guests, SRC) == untagged(guests[1]), 10, "frames pass")


def error(host, port):
    return host.get("Interface", port, "error")


def test_errors_of_impossible_peers(host):
    bad = host.vsctl("add-port br0 patch0 -- set Interface patch0 type=patch", check=False)
    assert bad.returncode == 1 and "patch0" in bad.stderr
    assert "options:peer" in error(host, "patch0")
    bad = host.vsctl("set Interface patch0 options:peer=patch0", check=False)
    assert bad.returncode == 1 and "options:peer" in error(host, "patch0") and "another bridge" in error(host, "patch0")
    patch(host, "br1", "patch1", "patch0")
    host.vsctl("set Interface patch0 options:peer=patch1")
    wait_until(lambda: error(host, "patch0") in ("", "[]") and link(host, "patch0") == "up", 5, "put right, and it works")


def test_bridges_on_different_datapaths(host):
    """Refused with a remedy in the error, which works."""
    types = set(re.findall(r"\w+", host.get("Open_vSwitch", ".", "datapath_types"))) & {"kernel", "user"}
    other = (types - {host.lab.datapath_type}).pop() if len(types) > 1 else None
    if other is None:
        pytest.skip(f"this host has one datapath only: {types}")
    host.vsctl("set", "Bridge", "br1", f"datapath_type={other}")
    host.vsctl("--no-wait", "add-port", "br0", "patch0", "--", "set", "Interface", "patch0", "type=patch", "options:peer=patch1",
               "--", "add-port", "br1", "patch1", "--", "set", "Interface", "patch1", "type=patch", "options:peer=patch0")

    def told(port, peer, bridge):
        return all(word in error(host, port) for word in (peer, bridge, "datapath_type"))
    wait_until(lambda: told("patch0", "patch1", "br1") and told("patch1", "patch0", "br0"), 5,
               "each end's error names the other, its bridge and the remedy")
    host.vsctl("set", "Bridge", "br1", f"datapath_type={host.lab.datapath_type}")
    wait_until(lambda: link(host, "patch0") == link(host, "patch1") == "up", 10, "the same datapath: a link")
    assert error(host, "patch0") in ("", "[]") and error(host, "patch1") in ("", "[]")


# --- loops ---

@pytest.mark.parametrize("pairs", [2, 3])
def test_loop(host, guests, pairs):
    """Bridges joined more than once: every frame ends and is counted; the switch responds, and the loop can be
    removed."""
    for n in range(1, pairs):
        join(host, one=f"loop{n}", two=f"pool{n}")
    ports = ["patch0", "patch1", *[f"{w}{n}" for n in range(1, pairs) for w in ("loop", "pool")]]
    for n in range(20):
        with contextlib.suppress(OSError):  # no buffer space: the kernel is busy
            guests[0].send(frame(mac(100 + n)))
    host.vsctl("list-br")
    calm(host, *ports)
    assert host.drops("", "patch_loop") > 0
    for n in range(1, pairs):
        host.vsctl(f"del-port loop{n} -- del-port pool{n}")
    host.vsctl("fdb-flush")
    wait_until(lambda: joined(guests), 5, "without the loop it is a switch again")
    assert guests[0].ping("10.0.0.4", count=3)


def test_ring_of_bridges(host, guests):
    host.add_br("br2")
    join(host, "br1", "br2", "patch12", "patch21")
    join(host, "br2", "br0", "patch20", "patch02")
    guests[0].send(frame(SRC))
    calm(host, "patch0", "patch12", "patch20")
    assert host.drops("", "patch_loop") > 0
    host.vsctl("del-port patch20 -- del-port patch02 -- fdb-flush")
    wait_until(lambda: joined(guests), 5, "without the loop it is a switch again")


# --- restarts and changes ---

def test_restart(host, guests):
    host.kill()
    host.start()
    wait_until(lambda: joined(guests), 10, "frames pass again")
    assert host.stop() == 0
    host.start()
    wait_until(lambda: joined(guests), 10, "frames pass again")
    guests[0].reaches("10.0.0.4")


def test_killed_under_a_stream(outliving, host, guests):
    one, two = guests[0], guests[3]
    one.reaches(two.address)
    known(guests[0], guests[1])
    for g in (one, two):
        g.send(frame(g.mac))
    host.wait_learned(two.mac, "patch0", "br0")
    with Stream(one, two) as stream:
        restart_under(stream, host)
    stream.unharmed()


def test_other_end_changes_while_frames_pass(host, guests):
    """Adding and removing other ports and pairs does not disturb the traffic."""
    host.add_br("br2")
    guests[0].reaches("10.0.0.4")
    known(guests[0], guests[1])
    with Stream(guests[0], guests[3], rate=500) as stream:
        for n in range(5):
            join(host, "br1", "br2", "more1", "more2")
            host.vsctl("del-port more1")
            host.vsctl("del-port more2")
    stream.unharmed()
