# SPDX-License-Identifier: Apache-2.0
"""Mirrors: the selection of frames, the form and the output of the copies, and the reserved output port."""
import pytest
from lab import settle, transfer, untagged, wait_until, who_gets
from mirrors import copies, mirror, mirror_words, no_mirrors
from net import BROADCAST, TIME_SCALE, frame, mac

SRC, DST = mac(1), mac(2)
PORTS = {
    "one": {"tag": 10},
    "two": {"tag": 10},
    "other": {"tag": 20},
    "trunk": {"trunks": "10,20,30"},
    "span": {},  # set by the tests
    "remote": {"tag": 99},
}
# The tag of a frame of each VLAN at the ports that carry the VLAN; None = untagged.
LEAVES = {
    10: {"one": None, "two": None, "trunk": 10, "span": 10},
    20: {"other": None, "trunk": 20, "span": 20},
    30: {"trunk": 30, "span": 30},
    99: {"remote": None, "span": 99},
}


@pytest.fixture(scope="module")
def switch(shared_lab):
    host = shared_lab.host("mi").start()
    host.add_br("br0")
    host.vsctl("set Open_vSwitch . other_config:stats-update-interval=1000")
    guests = {name: host.guest("br0", name, **columns) for name, columns in PORTS.items()}
    wait_until(lambda: who_gets(guests["span"], guests.values(), SRC, vlan=10) == leaves(10, "span"), 10, "frames pass")
    return host, guests


@pytest.fixture(autouse=True)
def clean(request):
    yield
    if "switch" in request.fixturenames:
        host, _ = request.getfixturevalue("switch")
        no_mirrors(host)
        host.vsctl("set Port span tag=[] trunks=[] vlan_mode=[] -- set Port one protected=false -- set Port two protected=false")
        host.vsctl("fdb-flush", "br0")


def leaves(vlan, sender, **more):
    """The receivers of a flooded frame of `vlan` without mirrors. `more`: tags at ports with another expectation; none:
    no copy."""
    out = {p: [t] for p, t in LEAVES[vlan].items() if p != sender} | more
    return {p: t for p, t in out.items() if t is not None}


def got(switch, sender, dst=BROADCAST, vlan=None, **kw):
    """who_gets() for all ports, with the tags of each in order."""
    _, guests = switch
    return in_order(who_gets(guests[sender], guests.values(), SRC, dst, vlan, **kw))


def in_order(found):
    return {port: sorted(tags, key=lambda t: t or 0) for port, tags in found.items()}


def station(switch, port, address=DST, vlan=10):
    """Lets the switch learn `address` on `port`."""
    host, guests = switch
    guests[port].send(frame(address, vlan=None if port in ("one", "two", "other") else vlan))
    host.wait_learned(address, port, vlan=vlan)
    for g in guests.values():
        g.raw.drain()


# --- selection ---

@pytest.mark.parametrize("chosen,copied", [
    ({"select_all": "true"}, {"one", "two", "trunk10", "other", "trunk20"}),
    ({"src": ["one"]}, {"one"}),
    ({"src": ["trunk"]}, {"trunk10", "trunk20"}),
    ({"dst": ["one"]}, {"two", "trunk10"}),
    ({"dst": ["trunk"]}, {"one", "two", "other"}),
    ({"src": ["one"], "dst": ["one"]}, {"one", "two", "trunk10"}),
    ({"src": ["one", "two"], "dst": ["one", "two"], "select_all": "true"}, {"one", "two", "trunk10", "other", "trunk20"}),
    ({"src": ["trunk"], "select_vlan": 20}, {"trunk20"}),
    ({"dst": ["trunk"], "select_vlan": "10,30"}, {"one", "two"}),
    ({"select_all": "true", "select_vlan": 10}, {"one", "two", "trunk10"}),
    ({"select_vlan": 10}, set()),
    ({}, set()),
], ids=["all", "src", "src-trunk", "dst", "dst-trunk", "src-and-dst", "everything", "src-and-vlan", "dst-and-vlans", "all-and-vlan",
        "vlan-alone", "nothing"])
def test_selection(switch, chosen, copied):
    """A selected frame is copied once, for any number of reasons, and is also forwarded."""
    host, _ = switch
    mirror(host, output="span", **chosen)
    for name, (sender, vlan, tag) in {"one": ("one", 10, None), "two": ("two", 10, None), "trunk10": ("trunk", 10, 10),
                                      "other": ("other", 20, None), "trunk20": ("trunk", 20, 20)}.items():
        copy = [vlan] if name in copied else None
        assert got(switch, sender, vlan=tag) == leaves(vlan, sender, span=copy), name


@pytest.mark.core
@pytest.mark.parametrize("chosen,copied", [
    ({"select_all": "true"}, True), ({"src": ["one"]}, True), ({"dst": ["two"]}, True),
    ({"src": ["one"], "dst": ["two"]}, True), ({"dst": ["trunk"]}, False), ({"src": ["two"]}, False),
], ids=["all", "src", "dst", "both", "dst-of-another", "src-of-another"])
def test_known_unicast(switch, chosen, copied):
    host, _ = switch
    mirror(host, output="span", **chosen)
    station(switch, "two")
    assert got(switch, "one", DST) == {"two": [None]} | ({"span": [10]} if copied else {})


def test_selection_is_changed_live(switch):
    host, _ = switch
    mirror(host, output="span", src=["one"])
    assert "span" in got(switch, "one") and "span" not in got(switch, "two")
    host.vsctl("-- --id=@p get Port two -- set Mirror m0 select-src-port=@p")
    assert "span" not in got(switch, "one") and "span" in got(switch, "two")
    host.vsctl("set Mirror m0 select-vlan=20")
    assert "span" not in got(switch, "two")
    host.vsctl("clear Mirror m0 select-vlan select-src-port -- set Mirror m0 select-all=true")
    assert "span" in got(switch, "one") and "span" in got(switch, "other")


def test_dropped_frames_are_seen(switch):
    """Frames dropped after their admission are copied: to their ingress port, between protected ports, without
    destination. Frames that were not admitted are not copied."""
    host, guests = switch
    mirror(host, output="span", select_all="true")
    station(switch, "one")
    before = host.drops("one", "same_port")
    assert got(switch, "one", DST) == {"span": [10]}
    host.wait_drop("one", "same_port", before)
    assert got(switch, "trunk", vlan=30) == {"span": [30]}
    host.vsctl("set Port one protected=true -- set Port two protected=true")
    assert got(switch, "two", DST) == {"span": [10]}
    assert got(switch, "one", vlan=10) == {}, "tagged on an access port"
    assert got(switch, "trunk", vlan=40) == {}, "no VLAN of the trunk"


def test_blocked_outputs_are_not_copied(switch):
    """select_dst_port selects frames that leave by a port; no frame of a protected port leaves by another."""
    host, _ = switch
    host.vsctl("set Port one protected=true -- set Port two protected=true")
    mirror(host, output="span", dst=["two"])
    assert got(switch, "one") == {"trunk": [10]}
    assert got(switch, "trunk", vlan=10) == leaves(10, "trunk")


# --- form of the copies ---

@pytest.mark.parametrize("columns,tag", [
    ({}, 10), ({"tag": 10}, None), ({"tag": 20}, None), ({"trunks": 10}, 10), ({"trunks": 20}, 10),
    ({"tag": 10, "vlan_mode": "native-untagged"}, None), ({"tag": 10, "vlan_mode": "native-tagged"}, 10),
    ({"tag": 20, "vlan_mode": "native-untagged"}, 10),
], ids=["open", "access", "access-of-another", "trunk", "trunk-of-another", "native-untagged", "native-tagged",
        "native-untagged-of-another"])
def test_copies_leave_in_the_form_of_their_port(switch, columns, tag):
    """Even when the port does not carry the VLAN."""
    host, _ = switch
    if columns:
        host.vsctl("set", "Port", "span", *[f"{k}={v}" for k, v in columns.items()])
    mirror(host, output="span", src=["one", "trunk"])
    assert got(switch, "one") == leaves(10, "one", span=[tag])
    assert got(switch, "trunk", vlan=10) == leaves(10, "trunk", span=[tag])
    station(switch, "two")
    assert got(switch, "one", DST) == {"two": [None], "span": [tag]}


def test_priority_and_inner_tag_survive(switch):
    host, guests = switch
    mirror(host, output="span", src=["trunk"])
    guests["span"].raw.drain()
    sent = frame(SRC, BROADCAST, b"priority", vlan=10, pcp=5)
    guests["trunk"].send(sent)
    assert guests["span"].raw.wait_for(lambda f: b"priority" in f)[:len(sent)] == sent
    inner = b"\x00\x07\x88\xb5 inner tag"
    sent = frame(SRC, BROADCAST, inner, vlan=10, ethertype=0x8100)
    guests["trunk"].send(sent)
    assert guests["span"].raw.wait_for(lambda f: b"inner tag" in f)[:len(sent)] == sent


@pytest.mark.core
@pytest.mark.parametrize("dst", ["01:80:c2:00:00:00", "01:80:c2:00:00:0e"], ids=["stp", "lldp"])
def test_link_local_protocols(switch, dst):
    """Copied to a port, for a listener there; never into a VLAN, where other bridges would reply."""
    host, _ = switch
    mirror(host, output="span", src=["one"])
    before = host.drops("one", "reserved_multicast")
    assert got(switch, "one", dst) == {"span": [10]}
    assert got(switch, "two", dst) == {}
    host.wait_drop("one", "reserved_multicast", before)
    assert host.drops("one", "reserved_multicast") == before + 1, "it is dropped all the same"
    host.vsctl("clear Mirror m0 output-port -- set Mirror m0 output-vlan=99")
    assert got(switch, "one", dst) == {}


@pytest.mark.parametrize("size", [60, 61, 1514])
def test_copies_are_whole(switch, size):
    host, _ = switch
    mirror(host, output="span", src=["one"])
    station(switch, "two")
    assert got(switch, "one", DST, size=size) == {"two": [None], "span": [10]}


# --- outputs ---

@pytest.mark.core
def test_output_port_is_reserved(switch):
    """Only copies are sent there, and frames received there are dropped."""
    host, guests = switch
    station(switch, "span")
    mirror(host, output="span", src=["other"])
    assert host.entry(DST) is None, "who was learned there is not to be found there any more"
    assert got(switch, "one") == leaves(10, "one", span=None)
    assert got(switch, "one", DST) == leaves(10, "one", span=None)
    before = host.drops("span", "mirror_port")
    assert who_gets(guests["span"], guests.values(), DST, vlan=10) == {}
    host.wait_drop("span", "mirror_port", before)
    assert host.entry(DST) is None
    no_mirrors(host)
    assert got(switch, "one") == leaves(10, "one")
    assert who_gets(guests["span"], guests.values(), DST, vlan=10) == leaves(10, "span")
    host.wait_learned(DST, "span", vlan=10)


def test_output_port_moves(switch):
    host, _ = switch
    mirror(host, output="span", src=["one"])
    host.vsctl("-- --id=@p get Port remote -- set Mirror m0 output-port=@p")
    assert got(switch, "one") == leaves(10, "one", remote=[None])
    assert got(switch, "span", vlan=99) == {}, "remote is reserved now and span is not"
    assert got(switch, "span", vlan=10) == leaves(10, "span")


def test_several_mirrors(switch):
    """Each has its own selection and output."""
    host, _ = switch
    mirror(host, output="span", src=["one"])
    mirror(host, "m1", output="remote", dst=["two"])
    assert got(switch, "one") == leaves(10, "one", span=[10], remote=[None])
    assert got(switch, "trunk", vlan=10) == leaves(10, "trunk", span=None, remote=[None])
    assert got(switch, "other") == leaves(20, "other", span=None)
    host.vsctl("-- --id=@m get Mirror m0 -- remove Bridge br0 mirrors @m")
    assert got(switch, "one") == leaves(10, "one", remote=[None])


@pytest.mark.core
def test_to_a_vlan(switch):
    """RSPAN: every port that carries the VLAN gets the copy in it, the ingress port too."""
    host, _ = switch
    mirror(host, select_all="true", output_vlan=99)
    assert got(switch, "one") == leaves(10, "one", span=[10, 99], remote=[None])
    assert got(switch, "other") == leaves(20, "other", span=[20, 99], remote=[None])
    assert got(switch, "span", vlan=10) == leaves(10, "span", span=[99], remote=[None])
    station(switch, "two")
    assert got(switch, "one", DST) == {"two": [None], "span": [99], "remote": [None]}


def test_frames_of_that_vlan_itself_are_not_copied(switch):
    host, _ = switch
    mirror(host, select_all="true", output_vlan=99)
    assert got(switch, "remote") == leaves(99, "remote")
    assert got(switch, "span", vlan=99) == leaves(99, "span")


@pytest.mark.parametrize("chosen,copied", [({"src": ["one"]}, {"one"}), ({"dst": ["one"]}, {"two"}),
                                           ({"select_all": "true", "select_vlan": 20}, {"other"})], ids=["src", "dst", "vlan"])
def test_to_a_vlan_with_selection(switch, chosen, copied):
    host, _ = switch
    mirror(host, output_vlan=99, **chosen)
    for sender, vlan in (("one", 10), ("two", 10), ("other", 20)):
        more = {"span": [vlan, 99], "remote": [None]} if sender in copied else {}
        assert got(switch, sender) == leaves(vlan, sender, **more), sender


def test_port_and_vlan_both(switch):
    """The port is used (as in Open vSwitch)."""
    host, _ = switch
    mirror(host, output="span", src=["one"], output_vlan=99)
    station(switch, "two")
    assert got(switch, "one", DST) == {"two": [None], "span": [10]}


def test_mirror_that_cannot_work_is_reported(switch):
    host, _ = switch

    def told(*words):
        wait_until(lambda: all(w in host.log.read_text() for w in words), 5, f"the log says {words}")
    mirror(host, "nowhere", src=["one"])
    told("mirror nowhere", "output_port", "output_vlan")
    assert got(switch, "one") == leaves(10, "one")
    no_mirrors(host)
    mirror(host, "nothing", output="span")
    told("mirror nothing", "select_all", "select_src_port")
    no_mirrors(host)
    host.add_br("br1")
    try:
        host.vsctl("add-port br1 there -- set Interface there type=internal")
        mirror(host, "elsewhere", output="there", src=["one"])
        told("mirror elsewhere", "there", "not in the bridge")
        assert got(switch, "one") == leaves(10, "one")
    finally:
        host.vsctl("del-br br1")


def test_more_mirrors_than_the_limit(switch):
    host, _ = switch
    words = []
    for n in range(33):
        words += [w.replace("@p", f"@p{n}-").replace("@m", f"@m{n}") for w in mirror_words(f"many{n}", output="span", src=["one"])]
    host.vsctl(*words)
    assert "more than 32 mirrors" in host.log.read_text()
    assert "span" in got(switch, "one")


# --- counters ---

def test_statistics(switch):
    host, guests = switch
    mirror(host, output="span", src=["one"])
    frames, size = 50, 200
    for _ in range(frames):
        guests["one"].send(frame(SRC, BROADCAST, size=size))
    wait_until(lambda: copies(host)[0] >= frames, 10, "the copies are counted")
    packets, octets = copies(host)
    assert packets == frames
    assert frames * size <= octets <= frames * (size + 4), "with the VLAN tag or without"
    host.vsctl("set Bridge br0 other_config:note=x")
    guests["one"].send(frame(SRC, BROADCAST, size=size))
    wait_until(lambda: copies(host)[0] == frames + 1, 10, "an unrelated change does not reset it")
    no_mirrors(host)
    mirror(host, output="span", src=["one"])
    guests["one"].send(frame(SRC, BROADCAST, size=size))
    wait_until(lambda: copies(host)[0] == 1, 10, "another mirror counts from nothing")


# --- ports that are added and removed ---

@pytest.fixture
def host(bridged):
    return bridged


@pytest.fixture
def watched(host):
    """Two mirrored guests and a watcher."""
    guests = [host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24"), host.guest("br0", "span")]
    settle(host, "br0", guests)
    mirror(host, output="span", select_all="true")
    assert who_gets(guests[0], guests, SRC) == untagged(*guests[1:])
    return guests


def test_output_port_is_deleted(host, watched):
    one, two, span = watched
    host.vsctl("del-port span")
    assert host.get("Mirror", "m0", "output_port") == "[]"
    assert who_gets(one, watched, SRC) == untagged(two)
    host.vsctl("add-port br0 span")
    assert who_gets(one, watched, SRC) == untagged(two, span), "a port like any other"
    assert who_gets(span, watched, DST) == untagged(one, two)
    host.vsctl("-- --id=@p get Port span -- set Mirror m0 output-port=@p")
    assert who_gets(one, watched, SRC) == untagged(two, span)
    assert who_gets(span, watched, DST) == {}


def test_source_is_deleted(host, watched):
    one, two, span = watched
    host.vsctl("-- --id=@p get Port vm1 -- set Mirror m0 select-all=false select-src-port=@p")
    host.vsctl("del-port vm1")
    assert who_gets(two, watched, SRC) == {}
    host.vsctl("add-port br0 vm1")
    wait_until(lambda: who_gets(two, watched, SRC) == untagged(one), 5, "the port is back, and not mirrored")
    assert who_gets(one, watched, SRC) == untagged(two)


def test_device_of_the_output_vanishes(host, watched):
    """Copies have no destination; the frames are forwarded."""
    one, two, span = watched
    span.unplug()
    assert who_gets(one, [two], SRC) == untagged(two)
    assert one.ping("10.0.0.2", count=3)
    span.plug()
    wait_until(lambda: who_gets(one, watched, SRC) == untagged(two, span), 5, "copies go on")
    assert who_gets(span, watched, DST) == {}, "it is reserved still"


def test_bridge_is_deleted_with_its_mirror(host, watched):
    host.vsctl("del-br br0")
    assert host.ask("--columns=name list Mirror") == ""
    host.add_br("br0")
    for g in watched:
        host.add_port("br0", g.device)
    wait_until(lambda: who_gets(watched[2], watched, SRC) == untagged(*watched[:2]), 5, "no port is reserved any more")


def test_restart(host, watched):
    one, two, span = watched
    host.kill()
    if host.lab.can("outlive its daemon"):
        assert who_gets(one, watched, SRC) == untagged(two, span)
        assert who_gets(span, watched, DST) == {}
    host.start()
    wait_until(lambda: who_gets(one, watched, SRC) == untagged(two, span), 5, "mirrored again")
    assert who_gets(span, watched, DST) == {}
    assert host.stop() == 0
    host.start()
    no_mirrors(host)
    wait_until(lambda: who_gets(span, watched, DST) == untagged(one, two), 5, "the port is free")


# --- other kinds of ports ---

def test_to_an_internal_port(host):
    """For tcpdump on the host."""
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    host.vsctl("add-port br0 tap0 -- set Interface tap0 type=internal")
    host.ns.ip("link set tap0 up")
    mirror(host, output="tap0", src=["vm1"], dst=["vm1"])
    seen = host.ns.raw("tap0")
    one.reaches("10.0.0.2")
    for sender in (one, two):
        text = f"seen from {sender.device}".encode()
        sender.send(frame(sender.mac, one.mac if sender is two else two.mac, text))
        seen.wait_for(lambda f, text=text: text in f)
    before = host.drops("tap0", "mirror_port")
    seen.send(frame(mac(3), BROADCAST))
    host.wait_drop("tap0", "mirror_port", before)
    seen.close()


def test_of_the_bridges_own_port(host):
    """The host's own traffic."""
    one, span = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "span")
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    host.ns.ip("link set br0 up")
    one.reaches("10.0.0.9")
    mirror(host, output="span", src=["br0"], dst=["br0"])
    span.raw.drain()
    assert one.ping("10.0.0.9")
    kinds = {b"\x08": "request", b"\x00": "reply"}
    seen = set()

    def both(data):
        if data[12:14] == b"\x08\x00" and data[23] == 1:
            seen.add(kinds.get(data[34:35]))
        return seen >= {"request", "reply"}
    span.raw.wait_for(both, what="the request and the reply")


@pytest.fixture
def overlay(lab):
    """Two hosts with a tunnel between their bridges and a guest on each; the first also has a port for a watcher."""
    a, b = lab.host("a"), lab.host("b")
    lab.underlay(a, b)
    for host, other in ((a, b), (b, a)):
        host.start()
        host.add_br("br0")
        host.vxlan("br0", "vx", remote_ip=other.address[4], key=10)
    guests = [a.guest("br0", "vm1"), b.guest("br0", "vm2"), a.guest("br0", "span")]
    settle(a, "br0", guests)
    b.vsctl("fdb-flush br0")
    return a, b, guests


@pytest.mark.core
def test_of_a_tunnel(overlay):
    """Copies are the guests' frames, without the outer header."""
    a, _, (one, two, span) = overlay
    everyone = [one, two, span]
    mirror(a, output="span", src=["vx"])
    assert who_gets(two, everyone, SRC, size=1400) == untagged(one, span)
    assert who_gets(one, everyone, DST) == untagged(two)
    no_mirrors(a)
    mirror(a, output="span", dst=["vx"])
    assert who_gets(two, everyone, SRC) == untagged(one)
    assert who_gets(one, everyone, DST, size=1400) == untagged(two, span)


def test_to_a_tunnel(overlay):
    """A watcher on another host, as with ERSPAN, but by VXLAN."""
    a, b, (one, two, span) = overlay
    everyone = [one, two, span]
    mirror(a, output="vx", src=["vm1"])
    assert who_gets(one, everyone, SRC) == untagged(two, span)
    before = a.drops("vx", "mirror_port")
    assert who_gets(two, everyone, DST) == {}
    a.wait_drop("vx", "mirror_port", before)
    assert who_gets(span, everyone, DST) == untagged(one), "the tunnel takes copies only"


def test_to_a_vlan_through_a_tunnel(overlay):
    """RSPAN between hosts; the split horizon holds: a frame from a tunnel is not copied to a tunnel."""
    a, b, (one, two, span) = overlay
    everyone = [one, two, span]
    b.vsctl("set Port vm2 tag=99")
    mirror(a, select_all="true", output_vlan=99)
    assert in_order(who_gets(one, everyone, SRC)) == {"span": [None, 99], "vm1": [99], "vm2": [None]}
    b.vsctl("set Port vm2 tag=[]")
    assert in_order(who_gets(two, everyone, DST)) == {"span": [None, 99], "vm1": [None, 99]}


# --- at full rate ---

def test_tcp_is_copied(host):
    """With the guests' offloads: every frame that arrives also arrives at the watcher, or is counted as dropped
    there."""
    one, two, span = (host.guest("br0", name, address) for name, address in
                      (("vm1", "10.0.0.1/24"), ("vm2", "10.0.0.2/24"), ("span", None)))
    one.reaches("10.0.0.2")
    mirror(host, output="span", src=["vm1"])
    megabytes = round(30 / TIME_SCALE)

    def octets():
        return int(span.ns.run("cat", "/sys/class/net/eth0/statistics/rx_bytes").stdout)
    before = octets()
    transfer(one, two, "10.0.0.2", megabytes)
    lost = sum(host.drops("span", reason) for reason in ("no_frame", "tx_queue_full", "tx_error", "oversize", "mailbox_full"))
    print(f"{octets() - before} bytes copied, {lost} copies lost and counted")
    assert lost or octets() - before >= megabytes << 20
    assert octets() - before >= (megabytes << 20) // 10, "a watcher sees something, however busy the switch is"


def test_watcher_that_takes_no_jumbo_frames(host):
    """A copy larger than its port's MTU is dropped and counted; the frame is forwarded."""
    one, two = (host.guest("br0", f"vm{n}", mtu=3000) for n in (1, 2))
    span = host.guest("br0", "span", mtu=1500)
    settle(host, "br0", [one, two, span])
    mirror(host, output="span", src=["vm1"])
    before = host.drops("span", "oversize")
    assert who_gets(one, [two, span], SRC, size=2500) == untagged(two)
    host.wait_drop("span", "oversize", before)
