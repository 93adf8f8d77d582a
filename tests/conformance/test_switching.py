# SPDX-License-Identifier: Apache-2.0
"""One bridge, four ports: the receivers of frames, and learning."""
import time

import pytest
from lab import settle, untagged, wait_until, who_gets
from net import BROADCAST, frame, mac

SRC, DST = mac(1), mac(2)


@pytest.fixture(scope="module")
def switch(shared_lab):
    host = shared_lab.host("sw").start()
    host.add_br("br0")
    guests = [host.guest("br0", f"vm{i}") for i in range(1, 5)]
    settle(host, "br0", guests)
    return host, guests


@pytest.fixture(autouse=True)
def clean_table(switch):
    switch[0].vsctl("fdb-flush", "br0")


@pytest.mark.core
@pytest.mark.parametrize("dst", [DST, BROADCAST, "01:00:5e:00:00:fb", "33:33:00:00:00:01"],
                         ids=["unknown", "broadcast", "multicast-v4", "multicast-v6"])
@pytest.mark.parametrize("size", [60, 61, 1514])
def test_floods_to_all_but_the_sender(switch, dst, size):
    _, g = switch
    assert who_gets(g[0], g, SRC, dst, size=size) == untagged(*g[1:])


@pytest.mark.core
def test_only_the_learned_port_gets_a_frame(switch):
    host, g = switch
    who_gets(g[2], g, DST)
    host.wait_learned(DST, "vm3")
    assert who_gets(g[0], g, SRC, DST) == untagged(g[2])
    host.wait_learned(SRC, "vm1")
    assert who_gets(g[2], g, DST, SRC) == untagged(g[0])


def test_frame_to_its_own_port_is_dropped_and_counted(switch):
    host, g = switch
    who_gets(g[0], g, DST)
    host.wait_learned(DST, "vm1")
    before = host.drops("vm1", "same_port")
    assert who_gets(g[0], g, SRC, DST) == {}
    host.wait_drop("vm1", "same_port", before)


@pytest.mark.core
def test_an_address_that_moves_is_followed(switch):
    host, g = switch
    for guest in (g[1], g[2], g[3], g[1]):
        who_gets(guest, g, DST)
        host.wait_learned(DST, guest.device)
        assert who_gets(g[0], g, SRC, DST) == untagged(guest)


def test_flush_forgets(switch):
    host, g = switch
    who_gets(g[2], g, DST)
    host.wait_learned(DST, "vm3")
    host.vsctl("fdb-flush", "br0")
    assert host.entry(DST) is None
    assert who_gets(g[0], g, SRC, DST) == untagged(*g[1:])


def test_static_entry_stays_where_it_is(switch):
    host, g = switch
    host.vsctl("fdb-add", "br0", "vm2", "0", DST)
    try:
        assert host.entry(DST)["age"] == "static"
        assert who_gets(g[0], g, SRC, DST) == untagged(g[1])
        who_gets(g[3], g, DST)  # a frame with the static entry's address as source, from another port
        host.vsctl("fdb-flush", "br0")
        assert who_gets(g[0], g, SRC, DST) == untagged(g[1])
        assert host.entry(DST)["port"] == "vm2"
    finally:
        host.vsctl("fdb-del", "br0", "0", DST)
    assert host.entry(DST) is None
    assert who_gets(g[0], g, SRC, DST) == untagged(*g[1:])


@pytest.mark.parametrize("dst", ["01:80:c2:00:00:00", "01:80:c2:00:00:0e"])
def test_link_local_protocols_are_not_bridged(switch, dst):
    host, g = switch
    before = host.drops("vm1", "reserved_multicast")
    assert who_gets(g[0], g, SRC, dst) == {}
    host.wait_drop("vm1", "reserved_multicast", before)


def test_group_address_as_source_is_dropped(switch):
    host, g = switch
    before = host.drops("vm1", "source_multicast")
    assert who_gets(g[0], g, "01:00:5e:00:00:01", DST) == {}
    host.wait_drop("vm1", "source_multicast", before)
    assert host.entry("01:00:5e:00:00:01") is None


def test_tag_cut_short_is_dropped(switch):
    host, g = switch
    before = host.drops("vm1", "truncated")
    g[0].send(frame(SRC, BROADCAST, size=0, ethertype=0x8100) + b"\0")
    if host.lab.can("count truncated"):
        host.wait_drop("vm1", "truncated", before)
    assert who_gets(g[0], g, SRC, BROADCAST) == untagged(*g[1:])


@pytest.mark.core
def test_learns_a_thousand_addresses(switch):
    host, g = switch
    sources = [mac(0x10000 + i) for i in range(1000)]

    def all_learned():
        known = {r["mac"] for r in host.fdb()}
        missing = [s for s in sources if s not in known]
        for s in missing:
            g[0].send(frame(s))
        return not missing
    wait_until(all_learned, 20, "1000 addresses learned")
    assert who_gets(g[1], g, SRC, sources[500]) == untagged(g[0])


def test_bridges_are_apart(switch):
    host, g = switch
    host.add_br("br1")
    try:
        other = [host.guest("br1", f"ot{i}") for i in (1, 2)]
        settle(host, "br1", other)
        assert who_gets(other[0], g + other, SRC) == untagged(other[1])
        host.wait_learned(SRC, "ot1", "br1")
        assert host.entry(SRC, "br0") is None
        assert who_gets(g[0], g + other, DST, SRC) == untagged(*g[1:])
    finally:
        host.vsctl("del-br", "br1")


@pytest.mark.core
def test_internal_port_is_a_device_of_the_host(switch):
    host, g = switch
    host.ns.ip("addr add 10.9.0.1/24 dev br0")
    host.ns.ip("link set br0 up")
    g[0].ns.ip("addr add 10.9.0.2/24 dev eth0")
    try:
        g[0].reaches("10.9.0.1")
        address = host.ns.mac("br0")
        assert host.wait_learned(g[0].mac, "vm1")
        assert host.get("Interface", "br0", "mac_in_use") == address
    finally:
        g[0].ns.ip("addr flush dev eth0")
        host.ns.ip("addr flush dev br0")


def test_the_table_is_shared_fairly(switch):
    """A port with many made-up addresses evicts its own entries, not those of other ports."""
    host, g = switch
    host.vsctl("set", "Bridge", "br0", "other_config:mac-table-size=64")
    try:
        honest = {g[1].device: mac(0xA1), g[2].device: mac(0xA2)}
        for guest in g[1:3]:
            who_gets(guest, g, honest[guest.device])
            host.wait_learned(honest[guest.device], guest.device)
        for i in range(2000):
            g[0].send(frame(mac(0x20000 + i)))
        last = mac(0x29999)

        def newest_learned():
            g[0].send(frame(last))
            return host.entry(last)
        wait_until(newest_learned, 10, "the table takes new addresses when it is full")
        rows = host.fdb()
        assert len(rows) <= 64
        assert {r["mac"]: r["port"] for r in rows if r["port"] != "vm1" and r["mac"] in honest.values()} == \
            {m: p for p, m in honest.items()}
    finally:
        host.vsctl("remove", "Bridge", "br0", "other_config", "mac-table-size")


@pytest.mark.slow
def test_silent_addresses_age_and_others_stay(switch):
    host, g = switch
    host.vsctl("set", "Bridge", "br0", "other_config:mac-aging-time=15")
    try:
        silent, busy = mac(0xB1), mac(0xB2)
        start = time.monotonic()  # before the frame: a slow machine makes the wait longer, never shorter
        who_gets(g[1], g, silent)
        who_gets(g[2], g, busy)
        host.wait_learned(silent, "vm2")
        host.wait_learned(busy, "vm3")

        def gone():
            g[2].send(frame(busy))
            return host.entry(silent) is None
        wait_until(gone, 25, "a silent address is forgotten")
        assert time.monotonic() - start > 13
        assert host.entry(busy)["port"] == "vm3"
        assert who_gets(g[0], g, SRC, silent) == untagged(*g[1:])
        assert who_gets(g[0], g, SRC, busy) == untagged(g[2])
    finally:
        host.vsctl("remove", "Bridge", "br0", "other_config", "mac-aging-time")
