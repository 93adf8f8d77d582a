# SPDX-License-Identifier: Apache-2.0
"""Tests of the kernel datapath only: queues and filters at its ports' devices, policy that changes under traffic, and
its sets and tables at their limits."""
import json
import struct
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from far_end import KernelVtep, Outer, watch
from lab import Guest, untagged, wait_until, who_gets
from net import TIME_SCALE, Failure, frame, mac, split_tag

SRC, DST = mac(1), mac(2)


@pytest.fixture
def host(in_kernel):
    host = in_kernel.host("h").start()
    host.add_br("br0")
    return host


@pytest.fixture
def pair(host):
    """Two guests with known addresses, so that frames take the direct path."""
    host.ns.sysctl("net.ipv6.conf.all.disable_ipv6", 1)  # frames are counted, so the host's devices must send none
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    for g in (one, two):
        g.send(frame(g.mac))
        host.wait_learned(g.mac, g.device)
    wait_output(host, "vm2", "peer")
    return one, two


def wait_output(host, port, way):
    wait_until(lambda: host.get("Interface", port, "status:output") == way, 15, f"{port} has output={way}")


def sent_by_qdisc(host, device):
    shown = host.ns.run("tc", "-s", "-j", "qdisc", "show", "dev", device).stdout
    return next(q["packets"] for q in json.loads(shown) if q["kind"] == "tbf")


# --- listeners and filters at a port's device ---

@pytest.mark.core
def test_queueing_discipline_gets_every_frame(host, pair):
    one, two = pair
    host.ns.run("tc", "qdisc", "add", "dev", "vm2", "root", "tbf", "rate", "1gbit", "burst", "100k", "latency", "50ms")
    wait_output(host, "vm2", "device")
    before = sent_by_qdisc(host, "vm2")
    for n in range(1, 21):
        assert who_gets(one, [two], one.mac, two.mac) == untagged(two)
        assert sent_by_qdisc(host, "vm2") == before + n
    host.ns.run("tc", "qdisc", "del", "dev", "vm2", "root")
    wait_output(host, "vm2", "peer")
    assert who_gets(one, [two], one.mac, two.mac) == untagged(two)


def listen(namespace, device, promiscuous):
    """A packet socket like tcpdump's, which sees both directions (packet(7))."""
    sock = namespace.raw(device)
    sock.socket.setsockopt(sock._SOL_PACKET, sock._IGNORE_OUTGOING, 0)
    if promiscuous:
        index = int(namespace.ip(f"-o link show {device}").split(":")[0])
        add_membership, kind = 1, 1  # PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC
        sock.socket.setsockopt(sock._SOL_PACKET, add_membership, struct.pack("=iHH8s", index, kind, 0, b""))
    return sock


def test_listener_at_the_near_end_sees_both_directions(host, pair):
    one, two = pair

    def exchange(sock):
        """The senders whose frames the socket saw: one frame in each direction, and one broadcast."""
        sock.drain()
        for source, sink in (pair, pair[::-1]):
            assert who_gets(source, [sink], source.mac, sink.mac) == untagged(sink)
        one.send(frame(SRC))
        seen = []
        sock.wait_for(lambda f: seen.append(f[6:12].hex(":")) or seen[-1] == SRC, what="a frame for everyone")
        return seen
    sock = listen(host.ns, "vm2", promiscuous=False)
    assert exchange(sock) == [two.mac, SRC], "handed over directly (docs/packet-walk.md)"
    sock.close()
    sock = listen(host.ns, "vm2", promiscuous=True)
    wait_output(host, "vm2", "device")
    assert exchange(sock) == [one.mac, two.mac, SRC]
    sock.close()
    wait_output(host, "vm2", "peer")


def mirror(host, device, way, *more):
    """Adds another program's filter, which every frame passes; returns a socket that sees the frames."""
    host.ns.ip(f"link add {device}m type veth peer name {device}w")
    for end in "mw":
        host.ns.ip(f"link set {device}{end} up")
    sock = host.ns.raw(f"{device}w")
    host.ns.run("tc", "qdisc", "add", "dev", device, "clsact")
    host.ns.run("tc", "filter", "add", "dev", device, way, "pref", "7", "protocol", "all", "bpf", "bytecode",
                "1,6 0 0 4294967295,", "action", "mirred", "egress", "mirror", "dev", f"{device}m", *more)
    return sock


def test_egress_filter_sees_the_frames(host, pair):
    one, two = pair
    seen = mirror(host, "vm2", "egress")
    wait_output(host, "vm2", "device")
    seen.drain()
    assert who_gets(one, [two], one.mac, two.mac) == untagged(two)
    seen.wait_for(lambda f: f[6:12].hex(":") == one.mac, what="the mirrored frame")
    host.ns.run("tc", "qdisc", "del", "dev", "vm2", "clsact")
    wait_output(host, "vm2", "peer")


# --- ingress filters of other programs: Heddle's program is a filter too ---

@pytest.fixture
def behind_filters(host):
    """Three guests and a far VTEP (in VLAN 10); the ports' devices had ingress filters before they became ports."""
    far = KernelVtep(host.lab, "far")
    host.lab.underlay(host, far)
    far.mac = far.vxlan("vx", 10, "10.0.0.9/24", far.address[4], host.address[4])
    guests, seen = [], {}
    for device, columns in (("vm1", {"tag": 10}), ("vm2", {"trunks": "10,20"}), ("vm3", {"tag": 20})):
        guest = Guest(host, device)
        host.lab.namespaces.append(guest.ns)
        seen[device] = mirror(host, device, "ingress", "continue")
        host.add_port("br0", device, **columns)
        guests.append(guest)
    host.vxlan("br0", "vx", columns={"tag": 10}, remote_ip=far.address[4], key=10)
    for g in guests:
        wait_until(lambda g=g: host.get("Interface", g.device, "status:tc_hook") == "clsact", 5, f"{g.device} has a filter")
    return guests, far, seen


def test_behind_filters_of_others(host, behind_filters):
    """VLANs, flooding, known stations and the tunnel in both directions; the filters see the ingress frames."""
    guests, far, seen = behind_filters
    one, two, three = guests
    at_far = far.ns.raw("vx")

    def far_gets(send, src):
        at_far.drain()
        got = send()
        at_far.wait_for(lambda f: f[6:12].hex(":") == src and f[12:14] != b"\x81\x00", what="the frame, untagged")
        return got
    wait_until(lambda: who_gets(one, guests, SRC) == {"vm2": [10]}, 10, "flooded in VLAN 10")
    assert far_gets(lambda: who_gets(one, guests, SRC), SRC) == {"vm2": [10]}
    assert far_gets(lambda: who_gets(two, guests, DST, vlan=10), DST) == untagged(one)
    assert who_gets(two, guests, DST, vlan=20) == untagged(three)
    assert who_gets(three, guests, mac(3)) == {"vm2": [20]}
    assert who_gets(two, guests, DST) == {}, "untagged is VLAN 0, which nobody else carries"
    host.wait_learned(SRC, "vm1", vlan=10)
    host.wait_learned(DST, "vm2", vlan=10)
    assert who_gets(one, guests, SRC, DST) == {"vm2": [10]}
    assert who_gets(two, guests, DST, SRC, vlan=10) == untagged(one)
    for dst, who in ((SRC, untagged(one)), (DST, {"vm2": [10]}), (None, {"vm1": [None], "vm2": [10]})):
        data = frame(far.mac, *([dst] if dst else []), payload=b"from-afar")
        for g in guests:
            g.raw.drain()
        at_far.send(data)
        for g in (g for g in guests if g.device in who):
            assert split_tag(g.raw.wait_for(lambda f: b"from-afar" in f))[0] == who[g.device][0]
        for g in (g for g in guests if g.device not in who):
            with pytest.raises(Failure):
                g.raw.wait_for(lambda f: b"from-afar" in f, timeout=0.2)
    host.wait_learned(far.mac, "vx", vlan=10)
    assert far_gets(lambda: who_gets(one, guests, SRC, far.mac), SRC) == {}
    for device, address in (("vm1", SRC), ("vm2", DST), ("vm3", mac(3))):
        seen[device].wait_for(lambda f, a=address: f[6:12].hex(":") == a, what=f"the mirrored frame of {device}")


# --- policy under traffic ---

class Numbered:
    """Numbered broadcast frames from several guests in turn, with the receivers and tags of each copy."""

    def __init__(self, senders, receivers):
        self.senders, self.receivers = senders, receivers
        self.count = 0
        self.seen = {g.device: {} for g in receivers}  # device -> number -> VLAN tags of the copies
        for g in receivers:
            g.raw.drain()

    def send(self, rounds=1):
        for _ in range(rounds):
            for n, g in enumerate(self.senders):
                self.count += 1
                g.send(frame(mac(0x700 + n), payload=b"numbered-%08d" % self.count))
        self.collect()

    def collect(self):
        for g in self.receivers:
            while (data := g.raw.receive()) is not None:
                tag, _, inner = split_tag(data)
                if inner[14:23] == b"numbered-":
                    self.seen[g.device].setdefault(int(inner[23:31]), []).append(tag)

    def all_arrived(self, device, number):
        """Waits for the frame at the device; earlier frames of the same guest have then arrived too."""
        def there():
            self.collect()
            return number in self.seen[device]
        wait_until(there, 5, f"frame {number} at {device}")


def test_policy_changes_under_traffic(host):
    """A port changes its VLAN repeatedly while all guests send: no frame appears in a VLAN in which it was not sent; no
    frame is lost between changes, or between the other guests."""
    ten, twenty, mover = host.guest("br0", "vm1", tag=10), host.guest("br0", "vm2", tag=20), host.guest("br0", "vm3", tag=10)
    at_ten, at_twenty = host.guest("br0", "vm4", tag=10), host.guest("br0", "vm5", trunks=20)
    traffic = Numbered([ten, twenty, mover], [mover, at_ten, at_twenty])
    wait_until(lambda: who_gets(ten, [at_ten], SRC) and who_gets(twenty, [at_twenty], SRC), 5, "ports are at work")
    steady = []  # (first number, last number, VLAN of the mover)
    for n in range(21):
        vlan = 20 if n % 2 else 10
        if n:
            with ThreadPoolExecutor(1) as other:
                change = other.submit(host.vsctl, "set", "Port", "vm3", f"tag={vlan}")
                while not change.done():
                    traffic.send()
                    wait([change], timeout=0.001)  # a rate that leaves processor time for vsctl
            change.result()
        first = traffic.count + 1
        traffic.send(10)
        last = traffic.count
        for device, number in (("vm4", last - 2), ("vm5", last - 1), ("vm4" if vlan == 10 else "vm5", last)):
            traffic.all_arrived(device, number)  # the last frames of all three senders
        steady.append((first, last, vlan))
    judge(traffic, steady)


def judge(traffic, steady):
    """Compares the receivers with the mover's VLAN, for frames sent while the VLAN was certain."""
    at = traffic.seen
    for n in range(1, traffic.count + 1):
        sender = ("ten", "twenty", "mover")[(n - 1) % 3]
        vlan = next((v for first, last, v in steady if first <= n <= last), None)
        in_ten, in_twenty = at["vm4"].get(n, []), at["vm5"].get(n, [])
        if sender == "mover":
            assert len(in_ten) + len(in_twenty) == 1 if vlan else len(in_ten) + len(in_twenty) <= 1, n
            assert not vlan or (in_ten if vlan == 10 else in_twenty), f"frame {n} in the wrong VLAN"
        else:
            assert (in_ten, in_twenty) == (([None], []) if sender == "ten" else ([], [20])), n
            right = (vlan == 10) == (sender == "ten")
            if vlan:
                assert at["vm3"].get(n, []) == ([None] if right else []), f"frame {n} from {sender}, mover in {vlan}"


# --- limits ---

def test_flood_to_six_hundred_remotes(host):
    """More remotes than one piece of a flood set holds, and the bridge's ports: one copy each."""
    far = KernelVtep(host.lab, "far")
    host.lab.underlay(host, far)
    far.ns.ip("route add blackhole 100.64.0.0/16")
    host.ns.ip(f"route add 100.64.0.0/16 via {far.address[4]}")
    guests = [host.guest("br0", f"vm{n}") for n in range(1, 8)]
    remotes = [f"100.64.{n // 200}.{n % 200 + 1}" for n in range(600)]
    host.vxlan("br0", "vx", remote_ip="flow", key=10, remotes=f'"{",".join(remotes)}"')
    host.ns.run("ping", "-n", "-c", "1", "-W", str(round(2 * TIME_SCALE)), far.address[4])  # resolves the neighbour
    wire = watch(far.ns)

    def copies(text):
        got = Counter()
        data = wire.receive(0.5 * TIME_SCALE)
        while data is not None:
            outer = Outer(data)
            if outer.ok and text in outer.inner:
                assert outer.vni == 10
                got[outer.destination] += 1
            data = wire.receive(0.5 * TIME_SCALE)
        return got
    for n in range(3):
        wire.drain()
        text = b"for-six-hundred-%d" % n
        for g in guests:
            g.raw.drain()
        guests[0].send(frame(SRC, payload=text))
        for g in guests[1:]:
            g.raw.wait_for(lambda f, text=text: text in f, what=f"the copy of {g.device}")
        assert copies(text) == dict.fromkeys(remotes, 1)
    assert host.drops("vx", "tx_error") == 0


def test_full_table_still_learns(host):
    """More stations than the table holds: the oldest entries are evicted and counted, also in the programs' map."""
    host.vsctl("set Bridge br0 other_config:mac-table-size=16")
    one, two, three = (host.guest("br0", f"vm{n}") for n in (1, 2, 3))
    two.send(frame(DST))
    host.wait_learned(DST, "vm2")
    for n in range(100):
        one.send(frame(mac(0x3000 + n)))
        host.wait_learned(mac(0x3000 + n), "vm1")
    rows = host.fdb()
    assert len(rows) == 16 and host.entry(DST), "who made up no addresses stays"
    stats = {k.strip(): int(v) for k, v in (line.rsplit(None, 1) for line in host.ask("fdb-stats br0").splitlines()[1:])}
    assert stats["entries"] == 16 and stats["learned"] >= 101
    assert stats["evicted to make room"] == stats["learned"] - 16
    everyone = [one, two, three]
    assert who_gets(three, everyone, SRC, mac(0x3000 + 99)) == untagged(one), "the newest is known"
    assert who_gets(three, everyone, SRC, mac(0x3000)) == untagged(one, two), "the oldest is forgotten"
    assert who_gets(three, everyone, SRC, DST) == untagged(two)
