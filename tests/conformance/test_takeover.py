# SPDX-License-Identifier: Apache-2.0
"""A datapath that outlives its daemon: no frame is lost without the daemon, the next daemon takes over the state, and
all state can be removed. Also a datapath that shares its devices with other programs."""
import shutil

import pytest
from bpf import pin_xdp, tc_programs
from lab import BIN, Guest, untagged, wait_until, who_gets
from lives import Stream, cleanup, known, left_overs, restart_under, two_daemons
from net import TEST_TYPE, frame, mac

SRC, DST = mac(1), mac(2)


@pytest.fixture
def host(outliving):
    host = outliving.host("h").start()
    host.add_br("br0")
    return host


@pytest.fixture
def pair(host):
    return host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")


# --- no losses ---

def test_maps_of_another_layout_are_replaced(host, pair):
    """An upgrade to a version with other maps: the old state forwards until the new daemon has configured everything,
    and is then removed."""
    known(*pair)
    old = next(host.bpffs.glob("*/layout-*"))
    host.kill()
    old.rename(old.with_name("layout-0"))
    host.start()
    pair[0].reaches("10.0.0.2")
    assert [d.name for d in old.parent.iterdir()] == [old.name]
    assert tc_programs(host.ns, "vm1") == 1
    assert "another layout" in host.log_tail(200)


@pytest.mark.core
def test_killed_under_a_stream(host, pair):
    known(*pair)
    with Stream(*pair) as stream:
        restart_under(stream, host)
    stream.unharmed()


@pytest.mark.parametrize("family", [4, 6], ids=["over-ipv4", "over-ipv6"])
@pytest.mark.parametrize("kind", ["point-to-point", "multipoint"])
def test_killed_under_a_stream_through_vxlan(outliving, family, kind):
    (a, b), guests = outliving.overlay(family, kind)
    known(*guests)
    a.wait_learned(guests[1].mac, "vx")
    b.wait_learned(guests[0].mac, "vx")
    with Stream(*guests) as stream:
        for host in (a, b):
            restart_under(stream, host, times=2)
    stream.unharmed()


def test_another_binary_takes_over(host, pair, tmp_path):
    """An upgrade: the program is another file."""
    program = tmp_path / "vswitchd-next"
    shutil.copy(BIN / "vswitchd", program)
    known(*pair)
    with Stream(*pair) as stream:
        restart_under(stream, host, times=1, program=program)
        restart_under(stream, host, times=1)
    stream.unharmed()


def test_stays_down(host, pair):
    """SIGTERM, and no daemon: forwarding by known addresses goes on, also for new guests."""
    third = host.guest("br0", "vm3", "10.0.0.3/24")
    guests = [*pair, third]
    known(*guests)
    with Stream(*pair) as stream:
        assert host.stop() == 0
        stream.goes_on(1000)
        assert who_gets(third, pair, mac(0x77), pair[1].mac) == untagged(pair[1])
        assert third.ping("10.0.0.1", count=3)
        assert who_gets(third, guests, mac(0x77)) == untagged(*pair), "to everyone"
    stream.unharmed()
    host.start()
    known(*guests)


# --- take-over ---

def test_entries_are_taken_over_and_age(outliving):
    host = outliving.host("h").start()
    host.add_br("br0", mac_aging_time="15")
    one, two = host.guest("br0", "vm1"), host.guest("br0", "vm2", tag=20)
    one.send(frame(SRC))
    two.send(frame(DST))
    host.wait_learned(SRC, "vm1", vlan=0)
    host.wait_learned(DST, "vm2", vlan=20)
    host.kill()
    host.start()
    host.wait_learned(SRC, "vm1", vlan=0)
    host.wait_learned(DST, "vm2", vlan=20)
    wait_until(lambda: not host.entry(SRC) and not host.entry(DST), 40, "entries that nobody uses age")


def test_entry_in_use_does_not_age(outliving):
    """Also across a restart."""
    host = outliving.host("h").start()
    host.add_br("br0", mac_aging_time="15")
    guests = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2)]
    known(*guests)
    with Stream(*guests, rate=20):
        host.kill()
        host.start()
        host.wait_learned(guests[1].mac, "vm2")
        wait_until(lambda: host.entry(guests[1].mac) is None, 40, "the silent one ages")
        assert host.entry(guests[0].mac)


def test_bridges_keep_their_numbers(outliving):
    """Bridges added in another order than that of their names: each has its own state after a restart."""
    host = outliving.host("h").start()
    guests = {}
    for bridge in ("zz0", "mm0", "aa0"):
        host.add_br(bridge)
        guests[bridge] = [host.guest(bridge, f"{bridge}-{n}", tag=tag) for n, tag in ((1, 10), (2, 10), (3, 20))]
    everyone = [g for three in guests.values() for g in three]

    def apart():
        for bridge, (one, two, other) in guests.items():
            assert who_gets(one, everyone, SRC) == untagged(two), bridge
            assert who_gets(two, everyone, DST, SRC) == untagged(one), bridge
            assert who_gets(other, everyone, SRC) == {}, bridge
            host.wait_learned(SRC, one.device, bridge, vlan=10)
            host.wait_learned(SRC, other.device, bridge, vlan=20)
    apart()
    host.vsctl("del-br mm0")
    guests.pop("mm0")
    before = {b: sorted((r["port"], r["vlan"], r["mac"]) for r in host.fdb(b)) for b in guests}
    host.kill()
    host.start()
    wait_until(lambda: before == {b: sorted((r["port"], r["vlan"], r["mac"]) for r in host.fdb(b)) for b in guests}, 5,
               "each bridge has its own entries back")
    apart()


def test_devices_that_change_while_the_daemon_is_away(host, pair):
    """One deleted, one renamed, one moved to another namespace: detected at the start; the other ports are not
    disturbed."""
    gone, renamed, moved = (host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (3, 4, 5))
    known(*pair, gone, renamed, moved)
    elsewhere = host.lab.namespace("elsewhere")
    with Stream(*pair) as stream:
        host.kill()
        gone.unplug()
        host.ns.ip("link set vm4 down")
        host.ns.ip("link set vm4 name vm4x")
        host.ns.ip("link set vm4x up")
        host.ns.ip(f"link set vm5 netns {elsewhere.name}")
        elsewhere.ip("link set vm5 up")
        stream.goes_on()
        host.start()
        for g in (gone, renamed, moved):
            wait_until(lambda g=g: g.device in host.get("Interface", g.device, "error"), 5, f"{g.device} has an error")
            assert host.entry(g.mac) is None
        assert host.programs().keys().isdisjoint({"vm4x"}), "nobody asked for a port of that name"
        assert tc_programs(elsewhere, "vm5") == 0
        assert who_gets(moved, pair, SRC) == who_gets(renamed, pair, SRC) == {}
        host.ns.ip("link set vm4x down")
        host.ns.ip("link set vm4x name vm4")
        gone.plug()
        gone.ns.ip("addr replace 10.0.0.3/24 dev eth0")
        for g in (gone, renamed):
            pair[0].reaches(g.address)
    stream.unharmed()


def test_port_removed_from_the_configuration_meanwhile(host, pair):
    """With an older database, forwarding of ports that it does not have stops at the start."""
    third = host.guest("br0", "vm3")
    known(*pair)
    host.kill()
    shutil.copy(host.db, host.dir / "old.db")
    host.start()
    host.vsctl("del-port vm3")
    host.kill()
    with Stream(*pair) as stream:
        host.start()
        assert "vm3" not in host.programs()
        assert who_gets(third, pair, SRC) == {}
    stream.unharmed()


# --- cleanup ---

@pytest.fixture
def tunnelled(lab):
    """A host with all kinds of leftovers: ports, a bridge with an address, a second internal port, tunnels."""
    host, far = lab.host("h"), lab.host("far")
    lab.underlay(host, far)
    host.start()
    host.add_br("br0")
    guests = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2)]
    host.vsctl("add-port br0 int0 -- set Interface int0 type=internal")
    for family in (4, 6):
        host.vxlan("br0", f"vx{family}", remote_ip=far.address[family], key=10)
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    known(*guests)
    return host, guests


def test_exit_with_cleanup(tunnelled):
    host, guests = tunnelled
    host.vsctl("exit --cleanup")
    assert host.process.wait(10) == 0
    host.process = None
    assert left_overs(host) == {}
    assert not guests[0].ping("10.0.0.2", timeout=0.3)
    host.start()  # the database still has the configuration
    guests[0].reaches("10.0.0.2")


@pytest.mark.parametrize("ended", ["killed", "SIGTERM"])
def test_cleanup_without_a_daemon(tunnelled, ended):
    host, guests = tunnelled
    refused = cleanup(host, check=False)
    assert refused.returncode == 1
    assert str(host.process.pid) in refused.stderr and "exit --cleanup" in refused.stderr
    guests[0].reaches("10.0.0.2")
    host.kill() if ended == "killed" else host.stop()
    said = cleanup(host).stdout
    assert "br0" in said and "int0" in said
    assert left_overs(host) == {}
    assert "br0" not in cleanup(host).stdout  # again, with nothing left
    host.start()
    guests[0].reaches("10.0.0.2")


@pytest.mark.parametrize("how", ["exit --cleanup", "--cleanup", "SIGTERM"])
def test_cleanup_of_one_of_two_daemons(lab, how):
    """In one namespace, each with its own run directory: the other daemon is not disturbed."""
    with two_daemons(lab) as (host, second):
        here = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2)]
        there = [second.guest("br1", f"ot{n}", f"10.0.1.{n}/24") for n in (1, 2)]
        known(*here)
        there[0].reaches("10.0.1.2")
        with Stream(*here) as stream:
            if how == "exit --cleanup":
                second.vsctl("exit --cleanup")
                second.process.wait(10)
                second.process = None
            else:
                second.stop()
            if how == "--cleanup":
                assert "br1" in cleanup(second).stdout
            stream.goes_on()
        stream.unharmed()
        devices = host.ns.devices()
        assert "br0" in devices and ("br1" in devices) == (how == "SIGTERM")
        host.kill()
        host.start()
        here[0].reaches("10.0.0.2")
        assert host.entry(here[0].mac)


# --- from one datapath to the other ---

def test_bridge_moves_between_datapaths(host, pair):
    """From the kernel datapath to the user-space datapath and back, with untagged and tagged guests."""
    third = host.guest("br0", "vm3", "10.0.0.3/24", tag=20)
    numbers = [host.get("Interface", g.device, "ofport") for g in (*pair, third)]
    pair[0].reaches("10.0.0.2")
    for kind, driver in (("user", "tun"), ("kernel", "veth"), ("netdev", "tun"), ("system", "veth")):
        host.vsctl(f"set Bridge br0 datapath_type={kind}")
        pair[0].reaches("10.0.0.2")
        assert not pair[0].ping("10.0.0.3", timeout=0.3)
        for port in ("br0", "vm1", "vm2", "vm3"):
            assert host.get("Interface", port, "error") in ("", "[]")
        assert [host.get("Interface", g.device, "ofport") for g in (*pair, third)] == numbers
        assert host.ns.ip(f"-o link show type {driver}").count(" br0") == 1
        assert bool(host.xdp_devices()) == (driver == "tun")
        assert "vm1" in host.programs() or driver == "tun"
    assert "IP addresses" in host.log.read_text()


@pytest.mark.parametrize("standard", ["user", "kernel"])
def test_bridge_without_a_type_follows_the_default_datapath(host, standard):
    """--datapath at a restart: the other datapath's remaining internal device is no obstacle."""
    host.vsctl("add-br br1")
    guests = [host.guest("br1", f"g{n}", f"10.1.0.{n}/24") for n in (1, 2)]
    guests[0].reaches("10.1.0.2")
    for how in ("user", "kernel", standard):
        host.kill()
        host.start(standard=how)
        guests[0].reaches("10.1.0.2")
        assert host.get("Interface", "br1", "error") in ("", "[]")
        assert bool(host.xdp_devices()) == (how == "user")


def test_kernel_is_the_default_where_available(outliving):
    host = outliving.host("h").start(standard="")
    host.vsctl("add-br br0")
    host.guest("br0", "vm1")
    assert "vm1" in host.programs() and host.xdp_devices() == []
    assert host.ask("get Open_vSwitch . datapath_types").count("kernel") == 1


# --- other programs at a port's device ---

@pytest.fixture
def shared(lab):
    lab.needs("share its ports")
    host = lab.host("h").start()
    host.add_br("br0")
    return host


@pytest.mark.core
def test_other_tc_filters_stay_and_see_the_packets(shared):
    """A filter at the ingress of a port's device, attached before the port was added: the filter sees the guest's
    packets first, then the switch."""
    host = shared
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    host.vsctl("del-port vm1")
    host.ns.ip("link add tap0 type veth peer name tap1")
    for end in ("tap0", "tap1"):
        host.ns.ip(f"link set {end} up")
    host.ns.run("tc", "qdisc", "add", "dev", "vm1", "clsact")
    host.ns.run("tc", "filter", "add", "dev", "vm1", "ingress", "pref", "7", "protocol", "all", "bpf", "bytecode",
                "1,6 0 0 4294967295,", "action", "mirred", "egress", "mirror", "dev", "tap0", "continue")  # any other verdict is final
    watch = host.ns.raw("tap1")
    host.add_port("br0", "vm1")
    one.reaches("10.0.0.2")
    watch.drain()
    assert who_gets(one, [two], SRC) == untagged(two)
    watch.wait_for(lambda f: f[6:12].hex(":") == SRC, what="the mirrored frame")
    host.vsctl("del-port vm1")
    shown = host.ns.run("tc", "filter", "show", "dev", "vm1", "ingress").stdout
    assert "pref 7" in shown and "mirred" in shown and shown.count("pref") == shown.count("pref 7")
    one.send(frame(DST))
    watch.wait_for(lambda f: f[6:12].hex(":") == DST, what="the mirrored frame, after the port has gone")


@pytest.mark.parametrize("mode", ["xdp", "xdpgeneric"])
def test_other_xdp_program_stays_and_sees_the_packets(shared, mode):
    """The program runs first: the switch does not get packets that it drops."""
    host = shared
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    program = host.bpffs / "theirs"
    pin_xdp(program, dropped_type=TEST_TYPE + 1)
    host.vsctl("del-port vm1")
    host.ns.ip(f"link set dev vm1 {mode} pinned {program}")
    host.add_port("br0", "vm1")
    one.reaches("10.0.0.2")
    assert who_gets(one, [two], SRC) == untagged(two)
    assert who_gets(one, [two], SRC, ethertype=TEST_TYPE + 1) == {}
    host.vsctl("del-port vm1")
    assert host.xdp_devices() == ["vm1"]


def test_device_that_belongs_to_another_is_refused(shared):
    host = shared
    host.ns.ip("link add other type bridge")
    guest = Guest(host, "vm1")
    host.lab.namespaces.append(guest.ns)
    host.ns.ip("link set vm1 master other")
    done = host.vsctl("add-port br0 vm1", check=False)
    assert done.returncode != 0 and "other" in done.stderr and "nomaster" in done.stderr
    assert "vm1" not in host.programs()
    host.ns.ip("link set vm1 nomaster")
    wait_until(lambda: host.get("Interface", "vm1", "error") in ("", "[]"), 5, "free, and taken up")
