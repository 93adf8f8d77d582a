# SPDX-License-Identifier: Apache-2.0
"""Overlays of several Heddle hosts: networks kept apart, meshes without loops, addresses learned behind remote VTEPs."""
import itertools

import pytest
from far_end import next_outer, watch
from lab import settle, untagged, wait_until, who_gets
from net import frame, mac

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["over-ipv4", "over-ipv6"])
SRC, DST = mac(1), mac(2)


@pytest.mark.core
@FAMILIES
def test_two_networks_are_apart(lab, family):
    """Both networks use the same IP and MAC addresses."""
    (a, b), _ = lab.running("a", "b")
    guests = {}
    for host, other, n in ((a, b, 1), (b, a, 2)):
        for vlan in (10, 20):
            host.vxlan("br0", f"vx{vlan}", columns={"tag": vlan}, remote_ip=other.address[family], key=1000 + vlan)
            guests[host.short, vlan] = host.guest("br0", f"g{vlan}", f"10.0.0.{n}/24", mac_address=mac(0xC0 + n), tag=vlan)
    for vlan in (10, 20):
        guests["a", vlan].reaches("10.0.0.2")
        a.wait_learned(mac(0xC2), f"vx{vlan}", vlan=vlan)
    everyone = list(guests.values())
    for g in everyone:  # device names contain the network
        for o in everyone:
            o.raw.drain()
    assert who_gets(guests["a", 10], [guests["b", 10], guests["b", 20], guests["a", 20]], SRC) == untagged(guests["b", 10])
    # One network down, the other unaffected.
    a.vsctl("del-port", "br0", "vx10")
    guests["a", 20].reaches("10.0.0.2")
    wait_until(lambda: not guests["a", 10].ping("10.0.0.2", timeout=0.3), 5, "the removed tunnel carries nothing")
    wait_until(lambda: not [r for r in a.fdb() if r["port"] == "vx10"], 5, "its addresses are forgotten")


@FAMILIES
def test_full_mesh_of_pairs_does_not_loop(lab, family):
    """Three hosts, a tunnel between every two: split horizon keeps broadcasts from looping."""
    hosts, _ = lab.running("a", "b", "c")
    for host, other in itertools.permutations(hosts, 2):
        host.vxlan("br0", f"to-{other.short}", remote_ip=other.address[family], key=7)
    guests = [h.guest("br0", f"g-{h.short}") for h in hosts]
    settle(hosts[0], "br0", guests)
    for h in hosts:
        h.vsctl("fdb-flush", "br0")
    for g in guests:
        assert who_gets(g, guests, mac(0xD0)) == untagged(*[o for o in guests if o is not g])
        for h in hosts:
            h.vsctl("fdb-flush", "br0")


@pytest.fixture(params=[4, 6], ids=["over-ipv4", "over-ipv6"])
def multipoint(lab, request):
    """Three hosts with one multipoint port each: remote_ip=flow, and the other hosts' addresses as flood list."""
    family = request.param
    hosts, middle = lab.running("a", "b", "c")
    for h in hosts:
        others = ",".join(o.address[family] for o in hosts if o is not h)
        h.vxlan("br0", "vx", remote_ip="flow", key=7, local_ip=h.address[family], remotes=f'"{others}"')
    guests = [h.guest("br0", f"g-{h.short}") for h in hosts]
    settle(hosts[0], "br0", guests)
    for h in hosts:
        h.vsctl("fdb-flush", "br0")
    return hosts, guests, family


def test_multipoint_floods_once_and_learns_the_vtep(multipoint):
    (a, b, c), g, family = multipoint
    assert who_gets(g[1], g, DST) == untagged(g[0], g[2])
    a.wait_learned(DST, "vx", remote=b.address[family])
    c.wait_learned(DST, "vx", remote=b.address[family])
    b.wait_learned(DST, "g-b")


def test_multipoint_sends_known_addresses_to_one_vtep(multipoint):
    (a, b, c), g, family = multipoint
    who_gets(g[1], g, DST)
    a.wait_learned(DST, "vx", remote=b.address[family])
    at_c = watch(c.ns)
    assert who_gets(g[0], g, SRC, DST) == untagged(g[1])
    g[0].send(frame(SRC, DST, b"for-b-alone"))
    g[0].send(frame(SRC, payload=b"for-everyone"))
    if "ul0" not in c.xdp_devices():  # a packet socket does not see packets that XDP takes
        first = next_outer(at_c, lambda o: b"for-everyone" in o.inner or b"for-b-alone" in o.inner)
        assert b"for-everyone" in first.inner


@pytest.mark.core
def test_multipoint_follows_an_address_from_host_to_host(multipoint):
    """A migrated guest: the same MAC first behind b, then behind c, then on a itself."""
    (a, b, c), g, family = multipoint
    who_gets(g[1], g, DST)
    a.wait_learned(DST, "vx", remote=b.address[family])
    who_gets(g[2], g, DST)
    a.wait_learned(DST, "vx", remote=c.address[family])
    assert who_gets(g[0], g, SRC, DST) == untagged(g[2])
    who_gets(g[0], g, DST)
    a.wait_learned(DST, "g-a")
    b.wait_learned(DST, "vx", remote=a.address[family])
    assert who_gets(g[1], g, SRC, DST) == untagged(g[0])


def test_static_entry_names_the_vtep(multipoint):
    """fdb-add with a remote address: known unicast to that VTEP alone, whatever is heard elsewhere."""
    (a, b, c), g, family = multipoint
    a.vsctl("fdb-add", "br0", "vx", "0", DST, c.address[family])
    row = a.entry(DST)
    assert (row["port"], row["age"], row["remote"], row["origin"]) == ("vx", "static", c.address[family], "configured")
    assert who_gets(g[0], g, SRC, DST) == untagged(g[2])
    assert a.wait_learned(SRC, "g-a")["origin"] == ""
    who_gets(g[1], g, DST)  # the address shows up behind b
    wait_until(lambda: stats(a)["refused: moves of static entries"] > 0, 5, "its move is refused and counted")
    assert a.entry(DST)["remote"] == c.address[family]
    c.vsctl("fdb-flush", "br0")  # c believes what it hears, and would not send it back into the tunnel
    assert who_gets(g[0], g, SRC, DST) == untagged(g[2])
    assert stats(a)["of them static"] == 1
    a.vsctl("fdb-del", "br0", "0", DST)
    assert who_gets(g[0], g, SRC, DST) == untagged(g[1], g[2])
    who_gets(g[1], g, DST)
    assert a.wait_learned(DST, "vx", remote=b.address[family])["origin"] == ""


def stats(host):
    """The counters of fdb-stats by name."""
    rows = (line.rsplit(None, 1) for line in host.ask("fdb-stats", "br0").splitlines()[1:])
    return {name.strip(): int(count) for name, count in rows}


def test_static_entry_whose_vtep_is_nonsense(multipoint):
    (a, b, _), _, family = multipoint
    other = b.address[10 - family]
    for port, remote, words in (("vx", [], ["vx", "multipoint", "192.0.2.1" if family == 4 else "2001:db8::1"]),
                                ("vx", [other], ["vx", other, f"IPv{family}"]),
                                ("vx", ["224.0.0.1" if family == 4 else "ff02::1"], ["vx", "multicast"]),
                                ("vx", ["0.0.0.0" if family == 4 else "::"], ["vx", "unspecified"]),
                                ("vx", ["vtep-b"], ["vtep-b", "IP address"]),
                                ("g-a", [b.address[family]], ["g-a", b.address[family], "leave"])):
        done = a.vsctl("fdb-add", "br0", port, "0", DST, *remote, check=False)
        assert done.returncode != 0, (port, remote)
        for word in words:
            assert word in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert a.entry(DST) is None
    a.vsctl("fdb-add", "br0", "vx", "0", DST, b.address[family])
    done = a.vsctl("fdb-add", "br0", "g-a", "0", DST, check=False)
    assert done.returncode != 0 and f"port vx behind {b.address[family]}" in done.stderr and "fdb-del" in done.stderr


def test_flood_list_changes_while_it_runs(multipoint):
    (a, b, c), g, family = multipoint
    a.vsctl("set", "Interface", "vx", f'options:remotes="{b.address[family]}"')
    assert who_gets(g[0], g, SRC) == untagged(g[1])
    a.vsctl("set", "Interface", "vx", f'options:remotes="{b.address[family]},{c.address[family]}"')
    assert who_gets(g[0], g, SRC) == untagged(g[1], g[2])


def test_multipoint_drops_strangers(lab):
    """Packets of other VNIs are counted and dropped."""
    (a, b), _ = lab.running("a", "b")
    a.vxlan("br0", "vx", remote_ip="flow", key=7, local_ip=a.address[4], remotes=b.address[4])
    b.vxlan("br0", "vx", remote_ip=a.address[4], key=8)
    ga, gb = a.guest("br0", "ga"), b.guest("br0", "gb")

    def counted():
        return who_gets(gb, [ga], SRC) == {} and "unknown_vni" in a.ask("drops")
    wait_until(counted, 10, "frames of another network are counted")


def test_two_networks_in_one_multipoint_pair(lab):
    """Several VNIs from one VTEP to one VTEP, each with its own multipoint port."""
    (a, b), _ = lab.running("a", "b")
    guests = {}
    for host, other in ((a, b), (b, a)):
        for vlan in (10, 20):
            host.vxlan("br0", f"vx{vlan}", columns={"tag": vlan}, remote_ip="flow", key=vlan, remotes=other.address[4])
            guests[host.short, vlan] = host.guest("br0", f"{host.short}{vlan}", tag=vlan)
    everyone = list(guests.values())
    for vlan in (10, 20):
        wait_until(lambda v=vlan: who_gets(guests["a", v], everyone, SRC) == untagged(guests["b", v]), 10,
                   f"VNI {vlan} passes, and passes alone")
        a.wait_learned(SRC, f"a{vlan}", vlan=vlan)
        b.wait_learned(SRC, f"vx{vlan}", vlan=vlan, remote=a.address[4])


@pytest.mark.core
def test_unknown_frames_stay_off_tunnels(lab):
    """other_config:flood-unknown=false: unknown unicast stays here, broadcast and multicast go everywhere, and known
    stations are reached. A flooded VLAN is flooded."""
    (a, b), guests = lab.overlay(4, "multipoint")
    other = a.guest("br0", "vm9")
    everyone = [*guests, other]
    settle(a, "br0", everyone)
    a.vsctl("set", "Bridge", "br0", "other_config:flood-unknown=false")
    a.vsctl("fdb-flush", "br0")
    assert who_gets(guests[0], everyone, SRC, mac(0x99)) == untagged(other)
    assert who_gets(guests[0], everyone, SRC) == untagged(other, guests[1])
    assert who_gets(guests[0], everyone, SRC, "01:00:5e:00:00:16") == untagged(other, guests[1])
    who_gets(guests[1], everyone, DST)
    a.wait_learned(DST, "vx", remote=b.address[4])
    assert who_gets(guests[0], everyone, SRC, DST) == untagged(guests[1])
    a.vsctl("set", "Bridge", "br0", "flood_vlans=0")
    assert who_gets(guests[0], everyone, SRC, mac(0x99)) == untagged(other, guests[1])
    a.vsctl("clear", "Bridge", "br0", "flood_vlans")
    assert who_gets(guests[0], everyone, SRC, mac(0x99)) == untagged(other)
    a.vsctl("remove", "Bridge", "br0", "other_config", "flood-unknown")
    assert who_gets(guests[0], everyone, SRC, mac(0x99)) == untagged(other, guests[1])
