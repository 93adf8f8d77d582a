# SPDX-License-Identifier: Apache-2.0
"""Networks whose VTEPs find each other by IP multicast (RFC 7348 section 4.2). The peers are kernel vxlan devices, and
the underlay is a bridge with IGMP and MLD snooping and a querier: who did not join gets nothing."""
import array
import os
import re
import select
import socket
import struct
import threading

import pytest
from far_end import KernelVtep, next_outer, vxlan_header, watch
from lab import quiet, settle, untagged, wait_until, who_gets
from net import BROADCAST, frame, mac, mac_bytes

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["over-ipv4", "over-ipv6"])
GROUP = {4: "239.1.1.10", 6: "ff05::10"}
OTHER = {4: "239.129.1.10", 6: "ff15::10"}  # of the same Ethernet address
SRC = mac(1)


def same(a, b):
    return socket.inet_pton(socket.AF_INET6, a) == b if isinstance(b, bytes) else a == b


def snoop(middle):
    """A querier at work: from now on the bridge sends a group's packets to its members alone."""
    middle.sysctl("net.ipv6.conf.sw.disable_ipv6", 0)
    middle.ip("addr add 192.0.2.250/24 dev sw")
    middle.ip("link set sw type bridge mcast_snooping 1 mcast_query_interval 200 mcast_query_response_interval 50"
              " mcast_startup_query_interval 50 mcast_last_member_interval 20 mcast_querier_interval 1000"
              " mcast_query_use_ifaddr 1 mcast_mld_version 2 mcast_igmp_version 3")
    wait_until(lambda: "fe80" in middle.ip("-6 addr show dev sw -tentative"), 10, "the bridge can be an MLD querier")
    middle.ip("link set sw type bridge mcast_querier 0")
    middle.ip("link set sw type bridge mcast_querier 1")


def members(middle, group):
    """Ports of the bridge that have joined."""
    return set(re.findall(rf"port (\S+) grp {re.escape(group)} ", middle.run("bridge", "mdb", "show").stdout))


def joined(ns, group, device="ul0"):
    return re.search(rf"inet6?\s+{re.escape(group)}\b", ns.ip(f"maddr show dev {device}")) is not None


def network(host, family, vni=10, group=None, name=None, **options):
    name = name or f"vx{vni}"
    host.vxlan("br0", name, key=vni, remote_ip=f'"{group or GROUP[family]}"', local_ip=f'"{host.address[family]}"', **options)


@pytest.mark.core
@FAMILIES
def test_three_hosts_and_two_kernel_peers(lab, family):
    """Everybody floods to the group, learns from what comes, and answers by unicast."""
    fars, quiet_one = [KernelVtep(lab, "far1"), KernelVtep(lab, "far2")], KernelVtep(lab, "quiet")
    (a, b, c), middle = lab.running("a", "b", "c", others=[*fars, quiet_one])
    snoop(middle)
    guests = []
    for n, host in enumerate((a, b, c), 1):
        network(host, family, ttl=7)
        guests.append(host.guest("br0", f"g-{host.short}", f"10.0.0.{n}/24"))
    for n, far in enumerate(fars, 11):
        far.mac = far.vxlan("vx", 10, f"10.0.0.{n}/24", far.address[family],
                            options=f"group {GROUP[family]} ttl 8 udp6zerocsumrx")
    wait_until(lambda: members(middle, GROUP[family]) == {"p1", "p2", "p3", "p4", "p5"}, 20, "all five are members")
    assert a.get("Interface", "vx10", "status:member_of") == f"{GROUP[family]} on ul0"
    at_a, at_quiet = watch(middle, "p1"), watch(middle, "p6")
    for n, guest in enumerate(guests):
        for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.11", "10.0.0.12"):
            if address != f"10.0.0.{n + 1}":
                guest.reaches(address)
    a.wait_learned(fars[1].mac, "vx10", remote=fars[1].address[family])
    a.wait_learned(guests[1].mac, "vx10", remote=b.address[family])
    first = next_outer(at_a, lambda o: o.inner[:6] == mac_bytes(BROADCAST) and o.inner[6:12] == mac_bytes(guests[0].mac))
    assert same(GROUP[family], first.destination) and first.ttl == 7 and first.vni == 10
    a.wait_learned(fars[0].mac, "vx10", remote=fars[0].address[family])
    at_a.drain()
    assert guests[0].ping("10.0.0.11")
    known = next_outer(at_a, lambda o: o.inner[:6] == mac_bytes(fars[0].mac))
    assert same(fars[0].address[family], known.destination)
    for h in (a, b, c):
        h.vsctl("fdb-flush", "br0")
    assert who_gets(guests[0], guests, SRC) == untagged(guests[1], guests[2])
    select.select([at_quiet], [], [], quiet())
    while (data := at_quiet.receive()) is not None:
        assert b"mark-" not in data, "a packet of the group reached a port that is no member"


@FAMILIES
def test_groups_are_left_with_their_last_network(lab, family):
    """Two networks share a group, a third has one of the same Ethernet address: each frame stays in its network."""
    (a, b, c), middle = lab.running("a", "b", "c")
    snoop(middle)
    guests = {}
    for h in (a, b, c):
        for vni, group in ((10, GROUP), (20, GROUP), (30, OTHER)):
            network(h, family, vni, group[family], columns={"tag": vni})
            guests[h.short, vni] = h.guest("br0", f"{h.short}{vni}", tag=vni)
    for vni in (10, 20, 30):
        settle(a, "br0", [guests[h, vni] for h in "abc"])
    for h in (b, c):
        h.vsctl("fdb-flush", "br0")
    everyone = list(guests.values())
    for vni in (10, 20, 30):
        assert who_gets(guests["a", vni], everyone, mac(vni)) == untagged(guests["b", vni], guests["c", vni])
    a.vsctl("del-port", "vx10")
    assert joined(a.ns, GROUP[family])
    assert who_gets(guests["b", 20], everyone, mac(2)) == untagged(guests["a", 20], guests["c", 20])
    a.vsctl("del-port", "vx20")
    assert not joined(a.ns, GROUP[family]) and joined(a.ns, OTHER[family])
    wait_until(lambda: members(middle, GROUP[family]) == {"p2", "p3"}, 10, "the bridge knows that a has left")
    network(a, family, 10, columns={"tag": 10})
    wait_until(lambda: members(middle, GROUP[family]) == {"p1", "p2", "p3"}, 10, "a is a member again")
    settle(a, "br0", [guests[h, 10] for h in "abc"])


@FAMILIES
def test_a_network_takes_its_own_group_and_unicast_alone(lab, family):
    (a, b, c), _ = lab.running("a", "b", "c")
    network(a, family, 10)
    network(a, family, 20, OTHER[family])
    a.vxlan("br0", "p2p", key=30, remote_ip=f'"{b.address[family]}"')
    victim = a.guest("br0", "vm1", mac_address=mac(0x77))

    def send(vni, to, text):
        with c.ns.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((c.address[family], 0))
            if family == 6:
                with c.ns.entered():
                    index = socket.if_nametoindex("ul0")
                sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            else:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(c.address[4]))
            sender.sendto(vxlan_header(vni) + frame(mac(0x66), mac(0x77), payload=text, size=120), (to, 4789))

    def arrives(vni, to, text):
        def sent_and_seen():
            send(vni, to, text)
            end = quiet()
            while select.select([victim.raw], [], [], end)[0]:
                if (data := victim.raw.receive()) is not None and text in data:
                    return True
            return False
        wait_until(sent_and_seen, 10, f"{text} arrives")

    arrives(10, GROUP[family], b"to-the-group")
    arrives(10, a.address[family], b"to-the-host")
    arrives(20, OTHER[family], b"to-the-other-group")
    for vni, to, reason in ((10, OTHER[family], "wrong_group"), (20, GROUP[family], "wrong_group"),
                            (30, GROUP[family], "unknown_vni"), (40, GROUP[family], "unknown_vni")):
        before = a.drops("", reason)
        send(vni, to, b"astray")
        wait_until(lambda n=before, r=reason: a.drops("", r) > n, 5, f"network {vni} by {to} counts as {reason}")
    while (data := victim.raw.receive()) is not None:
        assert b"astray" not in data


@FAMILIES
def test_membership_follows_the_device(lab, family):
    """The device goes down and up, loses and gets its address, is removed and made anew."""
    (a, b, c), middle = lab.running("a", "b", "c")
    snoop(middle)
    guests = []
    for h in (a, b, c):
        network(h, family)
        guests.append(h.guest("br0", f"g-{h.short}"))
    settle(b, "br0", guests)
    address = f"{a.address[family]}/{24 if family == 4 else 64}"

    def healed(what):
        wait_until(lambda: joined(a.ns, GROUP[family]) and not a.vsctl("get", "Interface", "vx10", "error").stdout.strip(' "[]\n'),
                   10, f"{what}: a is a member again")
        wait_until(lambda: "g-a" in who_gets(guests[1], guests, SRC), 10, f"{what}: the group's frames reach a")
        wait_until(lambda: "g-b" in who_gets(guests[0], guests, mac(2)), 10, f"{what}: and a's the group")

    a.ns.ip("link set ul0 down")  # which takes IPv6 addresses away
    cause = "ul0, which leads to group 239.1.1.10, is down" if family == 4 else "not an address of this host"
    wait_until(lambda: cause in a.get("Interface", "vx10", "error"), 10, "the error names the cause")
    a.ns.ip("link set ul0 up")
    if family == 6:
        a.ns.ip(f"addr replace {address} dev ul0 nodad")
    healed("down and up")
    a.ns.ip(f"addr del {address} dev ul0")
    wait_until(lambda: "not an address of this host" in a.get("Interface", "vx10", "error"), 10, "the error names the cause")
    a.ns.ip(f"addr add {address} dev ul0 nodad")
    healed("another address and back")
    a.ns.ip("link del ul0")
    wait_until(lambda: a.get("Interface", "vx10", "error") != "[]", 10, "there is an error")
    a.ns.ip(f"link add ul0 mtu 1600 type veth peer name p1 mtu 1600 netns {middle.name}")
    middle.ip("link set p1 up master sw")
    a.ns.ip("link set ul0 up")
    a.ns.ip(f"addr add {address} dev ul0 nodad")
    healed("made anew")


def test_what_is_wrong_is_said(lab):
    """Each error names its cause and goes with it; the other networks are unharmed."""
    (a, b), _ = lab.running("a", "b")
    network(b, 4)
    other = b.guest("br0", "g-b")
    network(a, 4)
    guest = a.guest("br0", "g-a")
    settle(a, "br0", [guest, other])

    def error(name):
        return a.get("Interface", name, "error")
    a.vxlan("br0", "twice", key=10, remote_ip="239.1.1.11", local_ip=a.address[4], check=False)
    assert "vx10 has the same" in error("twice") and "key" in error("twice")
    a.vxlan("br0", "flow", key=10, remote_ip="flow", local_ip=a.address[4], check=False)
    assert "vx10" in error("flow")
    a.vxlan("br0", "nowhere", key=11, remote_ip="239.1.1.12", check=False)
    assert "no route to group 239.1.1.12" in error("nowhere") and "local_ip" in error("nowhere")
    a.vxlan("br0", "foreign", key=12, remote_ip="239.1.1.13", local_ip="192.0.2.77", check=False)
    assert "192.0.2.77 is not an address of this host" in error("foreign")
    a.vxlan("br0", "mixed", key=13, remote_ip="239.1.1.14", local_ip='"2001:db8:1::1"', check=False)
    assert "different families" in error("mixed")
    assert who_gets(guest, [other], SRC) == untagged(other)
    a.ns.ip("route add 239.0.0.0/8 dev ul0")
    a.ns.ip("addr add 192.0.2.77/24 dev ul0")
    a.vsctl("del-port", "flow")
    a.vsctl("set", "Interface", "vx10", "options:key=14")
    for name in ("nowhere", "foreign", "twice"):
        wait_until(lambda n=name: error(n) == "[]", 10, f"the error of {name} has gone")
    assert a.get("Interface", "nowhere", "status:member_of") == "239.1.1.12 on ul0"


class ServiceManager:
    """What systemd does with NOTIFY_SOCKET and FDSTORE: holds a daemon's descriptors for its successor."""

    def __init__(self, path):
        self.path, self.held = path, {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.lock = threading.Lock()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(64))
            except OSError:
                return
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            fds = array.array("i")
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(payload)
            with self.lock:
                if fields.get("FDSTORE") == "1":
                    self.held.setdefault(fields["FDNAME"], []).extend(fds)
                elif fields.get("FDSTOREREMOVE") == "1":
                    for fd in self.held.pop(fields["FDNAME"], []):
                        os.close(fd)

    def close(self):
        self.socket.close()
        with self.lock:
            for fd in sum(self.held.values(), []):
                os.close(fd)


@FAMILIES
def test_a_restart_leaves_no_group(lab, tmp_path, family):
    """The service manager holds the sockets meanwhile. On the kernel datapath the group's frames reach the guest all the
    time."""
    (a, b, c), middle = lab.running("a", "b", "c")
    manager = ServiceManager(tmp_path / "notify")
    try:
        a.stop()
        a.start(environment={"NOTIFY_SOCKET": str(manager.path)})
        guests = []
        for h in (a, b, c):
            network(h, family)
            guests.append(h.guest("br0", f"g-{h.short}"))
        settle(b, "br0", guests)
        wait_until(lambda: len(manager.held) == 1, 5, "the service manager has the sockets")
        former = set(manager.held)
        for end in (a.stop, a.kill):
            end()
            assert joined(a.ns, GROUP[family])
            if lab.can("outlive its daemon"):
                assert who_gets(guests[1], guests, SRC) == untagged(guests[0], guests[2])
                assert who_gets(guests[0], guests, mac(3)) == untagged(guests[1], guests[2])
            with manager.lock:
                fds = [(name, fd) for name, held in manager.held.items() for fd in held]
            a.start(environment={"NOTIFY_SOCKET": str(manager.path)}, inherit=fds)
            assert joined(a.ns, GROUP[family])
            wait_until(lambda: manager.held and not former & set(manager.held), 5, "the former sockets have been given back")
            former = set(manager.held)
            wait_until(lambda: who_gets(guests[1], guests, SRC) == untagged(guests[0], guests[2]), 10, "frames pass")
        a.vsctl("del-port", "vx10")
        assert not joined(a.ns, GROUP[family])
    finally:
        a.vsctl("exit")
        wait_until(lambda: a.process.poll() is not None, 10, "the daemon has ended")
        a.process = None
        manager.close()


@FAMILIES
def test_groups_and_routes_go_with_the_switch(lab, family):
    (a, b, c), _ = lab.running("a", "b", "c")
    network(a, family)
    wait_until(lambda: joined(a.ns, GROUP[family]), 5, "a is a member")

    def routes():
        return a.ns.ip("-6 route show table local proto 72")
    assert bool(routes()) == (family == 6 and lab.datapath == "kernel")
    a.vsctl("exit", "--cleanup")
    wait_until(lambda: a.process.poll() is not None, 10, "the daemon has ended")
    a.process = None
    assert not joined(a.ns, GROUP[family]) and not routes()
