# SPDX-License-Identifier: Apache-2.0
"""BGP EVPN by FRR: the standard's way for VTEPs to tell each other of members and stations, so that other VTEPs than
ours take part."""

import pytest
from frr import BridgeVtep, Daemons, Keeper, RouteReflector, closing, installed
from lab import settle, untagged, wait_until, who_gets
from lives import cleanup
from net import TIME_SCALE, frame, mac

pytestmark = pytest.mark.skipif(not installed(), reason="FRR is not installed (sudo tools/deps test)")
SRC, DST = mac(1), mac(2)


class World:
    """Hosts with FRR, and route reflectors, on one underlay."""

    def __init__(self, lab, *names, reflectors=("r1", "r2"), bridges=(), hold=60, vnis=(10,), hosts_only=False):
        self.things = []
        try:
            self.build(lab, names, reflectors, bridges, hold, vnis, hosts_only)
        except BaseException:
            self.__exit__()  # FRR in its own namespace does not end with the laboratory's
            raise

    def build(self, lab, names, reflectors, bridges, hold, vnis, hosts_only):
        self.hosts = [lab.host(n) for n in names]
        self.reflectors = [RouteReflector(lab, n) for n in reflectors]
        self.bridges = [BridgeVtep(lab, n) for n in bridges]
        self.middle = lab.underlay(*self.hosts, *self.reflectors, *self.bridges, mtu=1600)
        self.things += [*self.reflectors, *self.bridges]
        for r in self.reflectors:
            r.start()
        self.neighbors = [r.address[4] for r in self.reflectors]
        self.keepers = {}
        for h in self.hosts:
            keeper = self.keepers[h.short] = Keeper(h)
            self.things.append(keeper)
            h.start(*keeper.options)
            h.add_br("br0")
            h.vsctl("set-evpn", "asn=65000", f"neighbors={','.join(self.neighbors)}", f"hold-time={hold}")
            if not hosts_only:
                keeper.start()
            for vni in vnis:
                network(h, vni)

    def guests(self, tag=10):
        return [h.guest("br0", f"g-{h.short}", f"10.0.0.{n}/24", tag=tag) for n, h in enumerate(self.hosts, 1)]

    def joined(self):
        """All know all."""
        addresses = {v.address[4] for v in [*self.hosts, *self.bridges]}
        for h in self.hosts:
            wait_until(lambda h=h: members(h) == addresses - {h.address[4]}, 30, f"{h.short} knows the other members")

    def __enter__(self):
        return self

    def __exit__(self, *what):
        with closing(self.things):
            pass


def network(host, vni=10, **more):
    host.vxlan("br0", f"vx{vni}", columns={"tag": vni}, key=vni, remote_ip="flow", control="evpn", **more)


def members(host, port="vx10", fresh=False):
    return {line.split("member")[1].split()[0] for line in host.ask("vtep-show").splitlines()
            if f" {port} " in line and " member " in line and not (fresh and "not confirmed" in line)}


def knows(host, address, remote, fresh=True):
    """As zebra has told it, not as it is held."""
    def told():
        e = host.entry(address)
        return (e is not None and (e["remote"], e["origin"]) == (remote, "evpn")
                and not (fresh and any(address in line and "not confirmed" in line for line in host.ask("vtep-show").splitlines())))
    return told


def error(host, name="vx10"):
    return host.get("Interface", name, "error")


@pytest.mark.core
def test_three_hosts_and_a_linux_bridge(lab):
    """Through two route reflectors: stations are known before anybody has sent to them, and nothing unknown needs to be
    flooded. What leaves is gone for all."""
    with World(lab, "a", "b", "c", bridges=("k",), hold=3) as w:
        a, b, c = w.hosts
        k = w.bridges[0].start(w.neighbors)
        guests = w.guests()
        far = k.guest("g-k", "10.0.0.4/24")
        w.joined()
        for h in w.hosts:
            h.vsctl("set", "Bridge", "br0", "other_config:flood-unknown=false")
        guests[0].reaches("10.0.0.4")
        for h in w.hosts:
            wait_until(knows(h, far.mac_address, k.address[4]), 10, f"{h.short} knows the bridge's guest")
        guests[2].reaches("10.0.0.1")
        for h, remote in ((b, a), (c, a)):
            wait_until(knows(h, guests[0].mac, remote.address[4]), 10, f"{h.short} knows the guest of {remote.short}")
        wait_until(lambda: k.macs().get(guests[2].mac) == c.address[4], 10, "the bridge's zebra knows the guest of c")
        for n in (1, 2, 3):
            for g in guests:
                if g.address != f"10.0.0.{n}":
                    g.reaches(f"10.0.0.{n}")
            assert far.run("ping", "-c", "3", "-i", "0.05", "-W", "2", f"10.0.0.{n}").returncode == 0
        # What nobody knows stays at home; broadcasts go everywhere.
        assert who_gets(guests[0], guests, SRC, mac(0x99)) == {}
        assert who_gets(guests[0], guests, SRC) == untagged(*guests[1:])
        shown = a.ask("vtep-show", "br0")
        assert "evpn FRR 8" in shown and "in step" in shown.splitlines()[0] and "not" not in shown.splitlines()[0]
        assert [error(h) for h in w.hosts] == ["[]"] * 3
        # A guest leaves, and a host.
        c.vsctl("del-port", "g-c")
        wait_until(lambda: a.entry(guests[2].mac) is None and guests[2].mac not in k.macs(), 15, "all have forgotten c's guest")
        c.vsctl("del-port", "vx10")
        for h in (a, b):
            wait_until(lambda h=h: c.address[4] not in members(h), 15, f"{h.short} has forgotten c after the hold time")
        a.vsctl("del-evpn")
        assert w.keepers["a"].ended() == 0
        wait_until(lambda: (a.entry(far.mac_address) or {}).get("origin") != "evpn", 10, "a has forgotten what EVPN told")
        wait_until(lambda: "EVPN is not set" in error(a), 10, "the port says what it lacks")


@pytest.mark.core
def test_a_guest_moves(lab):
    """Its first frame at the new host takes the address there (RFC 7432 section 15), and the old host forgets it. A
    static entry is sticky: nobody takes it."""
    with World(lab, "a", "b", "c", reflectors=("r1",)) as w:
        a, b, c = w.hosts
        guests = w.guests()
        w.joined()
        settle(a, "br0", guests)
        guests[1].send(frame(DST))
        for h in (a, c):
            wait_until(knows(h, DST, b.address[4]), 10, "b has the station")
        for round_, (here, there) in enumerate([(2, 1), (1, 2)] * 2):
            wait_until(lambda g=guests[here]: g.send(frame(DST)) or knows(a, DST, w.hosts[here].address[4])(), 10,
                       f"round {round_}: a knows that it moved to {w.hosts[here].short}")
            wait_until(knows(w.hosts[there], DST, w.hosts[here].address[4]), 10, "and so does the host that had it")
            w.hosts[here].wait_learned(DST, f"g-{w.hosts[here].short}")
            assert who_gets(guests[0], guests, SRC, DST) == untagged(guests[here])
        b.vsctl("fdb-add", "br0", "g-b", "10", mac(3))
        wait_until(knows(a, mac(3), b.address[4]), 10, "a knows the fixed station")
        wait_until(knows(c, mac(3), b.address[4]), 10, "c too")
        wait_until(lambda: guests[2].send(frame(mac(3))) or f"{mac(3)} in network 10 cannot be claimed" in c.log.read_text(), 10,
                   "c is refused")
        assert knows(a, mac(3), b.address[4])() and knows(c, mac(3), b.address[4])()
        # The station that moved away and is withdrawn where it went is still here: it is known again.
        wait_until(lambda: guests[2].send(frame(mac(4))) or knows(a, mac(4), c.address[4])(), 10, "c has another station")
        wait_until(lambda: guests[1].send(frame(mac(4))) or knows(a, mac(4), b.address[4])(), 10, "which moves to b")
        wait_until(knows(c, mac(4), b.address[4]), 10, "and c knows")
        guests[2].send(frame(mac(4)))
        wait_until(knows(a, mac(4), c.address[4]), 10, "it is back at c")


def test_frr_is_lost(lab):
    """Ours is killed, or a neighbour's, or one of two reflectors, or both: nothing is taken away for the hold time."""
    with World(lab, "a", "b", hold=60) as w:
        a, b = w.hosts
        guests = w.guests()
        w.joined()
        guests[0].reaches("10.0.0.2")
        wait_until(knows(a, guests[1].mac, b.address[4]), 10, "a knows b's guest")

        def holds(what):
            assert knows(a, guests[1].mac, b.address[4], fresh=False)(), what
            assert members(a) == {b.address[4]}, what
            assert guests[0].ping("10.0.0.2", count=3), what
        w.reflectors[0].daemons.kill("bgpd")
        holds("one of two reflectors")
        for host, program in ((a, "bgpd"), (a, "zebra"), (b, "bgpd"), (b, "zebra")):
            keeper = w.keepers[host.short]
            before = keeper.pid("zebra"), keeper.pid("bgpd")
            keeper.kill(program)
            what = f"{program} of {host.short} is killed"
            wait_until(lambda: members(a, fresh=True) == set(), 10, f"{what}: a knows nothing for sure")
            holds(what)
            wait_until(lambda: (keeper.dir / "holder").exists() and keeper.pid("bgpd") != before[1], 20, f"{what}: it is back")
            assert keeper.pid("zebra") != before[0] and keeper.pid("bgpd") != before[1], "both are started anew"
            wait_until(lambda: error(a) == error(b) == "[]" and members(a, fresh=True) == {b.address[4]}, 30, f"{what}: all is well")
            wait_until(knows(a, guests[1].mac, b.address[4]), 15, f"{what}: the guest is told anew")
            holds(what)
        w.reflectors[1].daemons.kill("bgpd")
        wait_until(lambda: "no neighbor is in session" in error(a) and w.neighbors[0] in error(a), 20, "a says that it is alone")
        holds("both reflectors")


def test_after_the_hold_time_all_goes(lab):
    with World(lab, "a", "b", reflectors=("r1",), hold=3) as w:
        a, b = w.hosts
        guests = w.guests()
        w.joined()
        guests[0].reaches("10.0.0.2")
        wait_until(knows(a, guests[1].mac, b.address[4]), 10, "a knows b's guest")
        w.reflectors[0].daemons.kill("bgpd")
        wait_until(lambda: not members(a) and (a.entry(guests[1].mac) or {}).get("origin") != "evpn", 20,
                   "after the hold time a has forgotten b")


def test_a_daemon_is_restarted(lab):
    """FRR goes on without vswitchd: the others notice nothing. What the new daemon does not have goes after the hold
    time."""
    with World(lab, "a", "b", "c", reflectors=("r1",), hold=5) as w:
        a, b, _ = w.hosts
        guests = w.guests()
        w.joined()
        guests[0].reaches("10.0.0.2")
        guests[1].send(frame(DST))
        wait_until(knows(a, guests[1].mac, b.address[4]), 10, "a knows b's guest")
        wait_until(knows(a, DST, b.address[4]), 10, "and a station that will not come back")
        b.kill()
        assert knows(a, guests[1].mac, b.address[4])()
        b.start(*w.keepers["b"].options)
        assert knows(a, guests[1].mac, b.address[4])() and knows(a, DST, b.address[4])(), "the restart is not seen elsewhere"
        wait_until(lambda: len(members(b, fresh=True)) == 2, 20, "b knows the others again")
        b.vsctl("fdb-flush", "br0")
        guests[0].reaches("10.0.0.2")
        wait_until(lambda: a.entry(DST) is None, 30, "the station that is not there any more is gone")
        assert knows(a, guests[1].mac, b.address[4])()


def test_forwarding_ends_for_good(lab):
    """FRR goes on without vswitchd, but not when all that vswitchd has is removed: by a running daemon, and afterwards."""
    with World(lab, "a", "b", "c", reflectors=("r1",), hold=3) as w:
        a, b, c = w.hosts
        w.joined()
        b.vsctl("exit", "--cleanup")
        b.process.wait(10 * TIME_SCALE)
        b.process = None
        assert w.keepers["b"].ended() == 0
        c.kill()
        removed = cleanup(c, *w.keepers["c"].options)
        assert "FRR for EVPN is not wanted any more" in removed.stdout
        assert w.keepers["c"].ended() == 0
        wait_until(lambda: members(a) == set(), 20, "a has forgotten both")


def test_what_is_wrong_is_said(lab):
    with World(lab, "a", "b", reflectors=("r1",), hosts_only=True) as w:
        a, b = w.hosts
        wait_until(lambda: "zebra does not run" in error(a) and "heddle-evpn" in error(a), 10, "FRR is not there")
        for h in w.hosts:
            w.keepers[h.short].start()
        w.joined()
        for h in w.hosts:
            wait_until(lambda h=h: error(h) == "[]", 15, "all is well")
        for words, wrong in (("asn=0 neighbors=192.0.2.3", "evpn-asn=0"), ("asn=65000 neighbors=nowhere", "evpn-neighbors=nowhere"),
                             ("asn=65000 neighbors=192.0.2.3 vtep-ip=::1", "evpn-vtep-ip=::1")):
            a.vsctl("set-evpn", *words.split())
            wait_until(lambda w=wrong: w in error(a), 10, f"{words}: the error names the setting")
        for words in ("asn=65000", "color=red neighbors=1.2.3.4 asn=1", "frr="):
            assert a.vsctl("set-evpn", *words.split(), check=False).returncode == 1
        a.vsctl("set-evpn", "asn=65000", f"neighbors={w.neighbors[0]}")
        assert a.ask("get-evpn").split() == ["asn=65000", f"neighbors={w.neighbors[0]}"]
        wait_until(lambda: error(a) == "[]", 30, "all is well again")
        # An IPv6 underlay; the rest is unharmed.
        network(a, 11, local_ip=f'"{a.address[6]}"')
        wait_until(lambda: "IPv4" in error(a, "vx11"), 10, "FRR takes IPv4 alone")
        assert error(a) == "[]"


def test_an_operators_own_frr(lab):
    """zebra and bgpd run already: the shadow devices are made beside them, with a UDP port of their own. A device of the
    operator with the same network is an error of that port alone."""
    a, r, k = lab.host("a"), RouteReflector(lab, "r1"), BridgeVtep(lab, "k")
    lab.underlay(a, r, k, mtu=1600)
    own = Daemons(lab, a.ns, f"""frr defaults datacenter
router bgp 65000
 bgp router-id {a.address[4]}
 no bgp default ipv4-unicast
 neighbor {r.address[4]} remote-as 65000
 neighbor {r.address[4]} timers 3 9
 neighbor {r.address[4]} timers connect 3
 address-family l2vpn evpn
  neighbor {r.address[4]} activate
  advertise-all-vni
 exit-address-family
""")
    with closing([r, k, own]):
        r.start()
        k.start([r.address[4]])
        far = k.guest("g-k", "10.0.0.4/24")
        own.start()
        for name in ("zebra", "bgpd"):  # as a drop-in with SupplementaryGroups=frrvty allows it
            (own.dir / f"{name}.vty").chmod(0o777)
        a.start()
        a.add_br("br0")
        a.vsctl("set-evpn", f"frr={own.dir}", f"vtep-ip={a.address[4]}")
        guest = a.guest("br0", "g-a", "10.0.0.1/24", tag=10)
        network(a)
        wait_until(lambda: members(a) == {k.address[4]}, 20, "a knows the other VTEP")
        guest.reaches("10.0.0.4")
        wait_until(knows(a, far.mac_address, k.address[4]), 10, "a knows the bridge's guest")
        assert far.run("ping", "-c", "3", "-i", "0.05", "-W", "2", "10.0.0.1").returncode == 0
        # A network that the operator has by a device of his own.
        a.ns.ip(f"link add mine type vxlan id 11 local {a.address[4]} dstport 4999")
        network(a, 11)
        wait_until(lambda: "mine" in error(a, "vx11"), 10, "the error names the device")
        assert error(a) == "[]"
        a.ns.ip("link del mine")
        wait_until(lambda: error(a, "vx11") == "[]", 10, "the device has gone")
        # FRR is restarted; what the shadow devices had is not taken for news.
        own.kill("bgpd")
        own.kill("zebra")
        wait_until(lambda: "zebra" in error(a) or "bgpd" in error(a), 10, "a sees that FRR is gone")
        assert "hdv10" not in a.ns.devices(), "what zebra left in them is no news for the next"
        assert knows(a, far.mac_address, k.address[4], fresh=False)() and members(a) == {k.address[4]}, "nothing is taken away"
        own.start()
        for name in ("zebra", "bgpd"):
            (own.dir / f"{name}.vty").chmod(0o777)
        wait_until(knows(a, far.mac_address, k.address[4]), 30, "it is told anew")
        wait_until(lambda: error(a) == "[]", 10, "and all is well")
        a.vsctl("del-evpn")
        wait_until(lambda: not [d for d in a.ns.devices() if d[:3] in ("hdb", "hdv", "hdp") and d[3:].isdigit()], 10, "the devices are gone")
        assert own.processes["zebra"].poll() is None, "the operator's FRR is his"
