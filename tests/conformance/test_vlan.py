# SPDX-License-Identifier: Apache-2.0
"""802.1Q: the frames that each kind of port admits, and their tags on egress (vlan_mode, tag, trunks)."""
import pytest
from lab import untagged, wait_until, who_gets
from net import BROADCAST, frame, mac, split_tag

SRC, DST = mac(1), mac(2)

PORTS = {
    "acc10": {"tag": 10},
    "acc10b": {"tag": 10},
    "acc20": {"tag": 20},
    "trunk": {"trunks": "10,20"},
    "open": {},  # neither tag nor trunks: a trunk of all VLANs
    "ntag": {"vlan_mode": "native-tagged", "tag": 10, "trunks": "20"},
    "nuntag": {"vlan_mode": "native-untagged", "tag": 10, "trunks": "20"},
}
# The tag of a frame of each VLAN at the ports that carry the VLAN; None = untagged.
LEAVES = {
    0: {"open": None},
    10: {"acc10": None, "acc10b": None, "trunk": 10, "open": 10, "ntag": 10, "nuntag": None},
    20: {"acc20": None, "trunk": 20, "open": 20, "ntag": 20, "nuntag": 20},
    30: {"open": 30},
}
# (port, tag of the frame) -> VLAN of the frame, or the drop reason. Tag 0 is a priority tag: no VLAN.
ENTERS = [
    ("acc10", None, 10),
    ("acc10", 0, 10),
    ("acc10", 10, "vlan_tagged_on_access"),
    ("acc10", 20, "vlan_tagged_on_access"),
    ("acc20", None, 20),
    ("trunk", 10, 10),
    ("trunk", 20, 20),
    ("trunk", 30, "vlan_not_member"),
    ("trunk", None, "vlan_not_member"),
    ("open", 10, 10),
    ("ntag", None, 10),
    ("ntag", 10, 10),
    ("ntag", 20, 20),
    ("ntag", 30, "vlan_not_member"),
    ("nuntag", None, 10),
    ("nuntag", 10, 10),
    ("nuntag", 20, 20),
    ("nuntag", 30, "vlan_not_member"),
]


@pytest.fixture(scope="module")
def switch(shared_lab):
    host = shared_lab.host("vl").start()
    host.add_br("br0")
    guests = {name: host.guest("br0", name, **columns) for name, columns in PORTS.items()}
    wait_until(lambda: who_gets(guests["open"], guests.values(), SRC, vlan=10) == expected(10, "open"), 10, "VLAN 10 passes")
    return host, guests


@pytest.fixture(autouse=True)
def clean_table(switch):
    switch[0].vsctl("fdb-flush", "br0")


def expected(vlan, sender):
    return {port: [tag] for port, tag in LEAVES[vlan].items() if port != sender}


@pytest.mark.core
@pytest.mark.parametrize("port,tag,outcome", ENTERS)
def test_flood(switch, port, tag, outcome):
    host, guests = switch
    if isinstance(outcome, int):
        assert who_gets(guests[port], guests.values(), SRC, vlan=tag) == expected(outcome, port)
        host.wait_learned(SRC, port, vlan=outcome)
    else:
        before = host.drops(port, outcome)
        assert who_gets(guests[port], guests.values(), SRC, vlan=tag) == {}
        host.wait_drop(port, outcome, before)
        assert host.entry(SRC) is None


@pytest.mark.core
@pytest.mark.parametrize("vlan", [10, 20])
def test_unicast_leaves_in_the_form_of_its_port(switch, vlan):
    host, guests = switch
    for port, tag in LEAVES[vlan].items():
        sender = next(p for p in LEAVES[vlan] if p != port)
        send_tag = LEAVES[vlan][sender]
        who_gets(guests[port], guests.values(), DST, vlan=tag)
        host.wait_learned(DST, port, vlan=vlan)
        assert who_gets(guests[sender], guests.values(), SRC, DST, vlan=send_tag) == {port: [tag]}


def test_an_address_is_learned_per_vlan(switch):
    host, guests = switch
    who_gets(guests["acc10"], guests.values(), DST)
    who_gets(guests["acc20"], guests.values(), DST)
    host.wait_learned(DST, "acc10", vlan=10)
    host.wait_learned(DST, "acc20", vlan=20)
    assert who_gets(guests["trunk"], guests.values(), SRC, DST, vlan=10) == {"acc10": [None]}
    assert who_gets(guests["trunk"], guests.values(), SRC, DST, vlan=20) == {"acc20": [None]}


def test_priority_and_inner_tag_survive(switch):
    _, guests = switch
    inner = frame(SRC, BROADCAST, b"inner", vlan=77, pcp=3)
    outer = inner[:12] + b"\x81\x00\xa0\x0a" + inner[12:]  # priority 5, VLAN 10
    guests["ntag"].raw.drain()
    guests["trunk"].send(outer)
    got = guests["ntag"].raw.wait_for(lambda f: b"inner" in f)
    vlan, priority, rest = split_tag(got)
    assert (vlan, priority) == (10, 5)
    assert rest[:len(inner)] == inner


def test_a_port_changes_its_vlan_live(switch):
    host, guests = switch
    host.vsctl("set", "Port", "acc10b", "tag=20")
    try:
        got = who_gets(guests["acc20"], guests.values(), SRC)
        assert got == expected(20, "acc20") | {"acc10b": [None]}
        assert "acc10b" not in who_gets(guests["acc10"], guests.values(), DST)
        host.vsctl("clear", "Port", "acc10b", "tag")
        assert who_gets(guests["open"], guests.values(), SRC, vlan=30) == {"acc10b": [30]}
    finally:
        host.vsctl("set", "Port", "acc10b", "tag=10")
    assert who_gets(guests["acc10"], guests.values(), SRC) == expected(10, "acc10")


@pytest.mark.core
def test_pings_between_access_trunk_and_internal_port(switch):
    """The bridge's own device is a trunk of all VLANs until it gets a tag."""
    host, guests = switch
    host.vsctl("set", "Port", "br0", "tag=10")
    host.ns.ip("addr add 10.8.0.1/24 dev br0")
    host.ns.ip("link set br0 up")
    guests["acc10"].ns.ip("addr add 10.8.0.2/24 dev eth0")
    guests["acc20"].ns.ip("addr add 10.8.0.3/24 dev eth0")
    try:
        guests["acc10"].reaches("10.8.0.1")
        assert not guests["acc20"].ping("10.8.0.1", timeout=0.3)
    finally:
        host.vsctl("clear", "Port", "br0", "tag")
        host.ns.ip("link set br0 down")
        for g in ("acc10", "acc20"):
            guests[g].ns.ip("addr flush dev eth0")


def test_untagged_between_two_open_trunks(switch, shared_lab):
    host, guests = switch
    second = host.guest("br0", "open2")
    try:
        everyone = [*guests.values(), second]
        wait_until(lambda: who_gets(guests["open"], everyone, SRC) == untagged(second), 5, "untagged frames pass")
        assert who_gets(second, everyone, DST) == untagged(guests["open"])
    finally:
        host.vsctl("del-port", "br0", "open2")
