# SPDX-License-Identifier: Apache-2.0
"""Faults of the packet path that users of other switches reported, tried here. docs/testing.md says how a report becomes
a test; beside each test stand the cases of the same kind that were looked for."""
import contextlib
import fcntl
import os
import re
import socket
import struct
import threading

import pytest
from lab import settle, untagged, who_gets
from net import Namespace, checksum, frame, mac, mac_bytes, run, wait_until

SRC, DST = mac(0x51), mac(0x52)
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


@pytest.fixture
def host(bridged):
    return bridged


# --- a path's MTU ---

@FAMILIES
def test_a_router_on_the_way_has_a_smaller_mtu(lab, family):
    """The far link of a router has MTU 1400. The first packet that is too big for it is lost, and the sender soon told
    the size that fits. Same kind: both families, both datapaths, a forged error (IPv4, of a packet that we did not send)."""
    a, b, router = lab.host("a"), lab.host("b"), lab.namespace("r", ipv6=True)
    router.sysctl("net.ipv4.ip_forward", 1)
    router.sysctl("net.ipv6.conf.all.forwarding", 1)
    for n, (host, mtu) in enumerate(((a, 1600), (b, 1400)), 1):
        host.ns.ip(f"link add ul0 mtu 1600 type veth peer name p{n} mtu {mtu} netns {router.name}")
        host.ns.ip("link set ul0 up")
        router.ip(f"link set p{n} up")
        host.ns.ip(f"addr add 198.18.{n}.1/24 dev ul0")
        host.ns.ip(f"addr add 2001:db8:{n}::1/64 dev ul0 nodad")
        router.ip(f"addr add 198.18.{n}.254/24 dev p{n}")
        router.ip(f"addr add 2001:db8:{n}::fe/64 dev p{n} nodad")
        host.ns.ip(f"route add default via 198.18.{n}.254")
        host.ns.ip(f"-6 route add default via 2001:db8:{n}::fe")
        host.address = {4: f"198.18.{n}.1", 6: f"2001:db8:{n}::1"}
    guests = []
    for n, (host, other) in enumerate(((a, b), (b, a)), 1):
        host.start()
        host.add_br("br0")
        host.vxlan("br0", "vx", remote_ip=other.address[family], key=10)
        guests.append(host.guest("br0", f"vm{n}", f"10.0.0.{n}/24"))
    guest = guests[0]
    guest.reaches("10.0.0.2")
    overhead = 50 if family == 4 else 70

    def guest_mtu():
        return int(a.get("Interface", "vx", "status:guest_mtu"))
    assert guest_mtu() == 1600 - overhead
    forged_error(a, router, family)

    def told():
        return f"mtu = {1400 - overhead}" in guest.ping_output("10.0.0.2", size=1472, df=True, timeout=0.3).stdout.lower()
    wait_until(told, 3, "the guest is told what fits")
    assert guest_mtu() == 1400 - overhead
    assert guest.ping("10.0.0.2", count=3, size=1400 - overhead - 28, df=True), "what fits goes through"
    assert a.get("Interface", "vx", "error") in ("", "[]")


def forged_error(host, router, family):
    """An ICMP error about a packet to a VTEP that is none of this host's."""
    if family == 6:
        return
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1500, 1, 0x4000, 64, 17, 0, socket.inet_aton(host.address[4]),
                         socket.inet_aton("203.0.113.9")) + struct.pack("!HHHH", 50000, 4789, 1480, 0)
    body = struct.pack("!BBHHH", 3, 4, 0, 0, 600) + quoted
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    with router.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(body, (host.address[4], 0))
    assert int(host.get("Interface", "vx", "status:guest_mtu")) == 1550


@FAMILIES
def test_fragments_where_the_tunnel_may_make_them(lab, family):
    """df_default=false: a guest's packet that does not fit leaves in fragments, and those that come are put together. With
    true it is refused. Same kind: both families, by both datapaths at both ends."""
    (a, _), guests = lab.overlay(family, mtu=1500, df_default="false")
    guests[0].reaches("10.0.0.2")
    if family == 6 and not lab.can("make fragments over IPv6"):
        assert "mtu = 1430" in guests[0].ping_output("10.0.0.2", size=1424, df=True).stdout.lower(), "refused, and said so"
        return
    for size in (1400, 1424, 1472):
        assert guests[0].ping("10.0.0.2", count=3, size=size, df=True), size
    a.vsctl("set Interface vx options:df_default=true")
    wait_until(lambda: not guests[0].ping("10.0.0.2", size=1472, df=True, timeout=0.3), 5, "refused now")
    assert guests[0].ping("10.0.0.2", count=3, size=1372)


# --- internal ports in containers ---

def test_an_internal_port_moves_into_a_container(host):
    """Its device works there, by whatever name; the row says where it is; what cannot be set there is an error; it comes
    back; del-port removes it there. Same kind: both datapaths, renamed there, another device of the name here."""
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    container = host.lab.namespace("box")
    host.vsctl("add-port br0 in1 -- set Interface in1 type=internal")

    def plug(name="in1"):
        container.ip(f"addr add 10.0.0.2/24 dev {name}")
        container.ip(f"link set {name} up")
    host.ns.ip(f"link set in1 netns {container.name}")
    plug()
    guest.reaches("10.0.0.2")
    assert "in1" not in host.ns.devices(), "no second device of that name"
    wait_until(lambda: "another network namespace" in host.get("Interface", "in1", "status:moved"), 5, "the row says so")
    container.ip("link set in1 down")
    container.ip("link set in1 name eth0")
    container.ip("link set eth0 up")
    guest.reaches("10.0.0.2")

    host.ns.ip("link add in1 type bridge")  # somebody else's
    guest.reaches("10.0.0.2")
    host.ns.ip("link del in1")
    guest.reaches("10.0.0.2")

    done = host.vsctl("set Interface in1 mtu_request=1400", check=False)
    assert done.returncode == 1 and "another network namespace" in done.stderr and "1400" in done.stderr
    container.ip("link set eth0 mtu 1400")
    wait_until(lambda: host.get("Interface", "in1", "error") in ("", "[]"), 8, "the error ends with its cause")
    assert host.get("Interface", "in1", "mtu") == "1400"
    done = host.vsctl('set Interface in1 mac="02:00:00:00:00:77"', check=False)
    assert done.returncode == 1 and "02:00:00:00:00:77" in done.stderr
    host.vsctl("clear Interface in1 mac")

    container.ip("link set eth0 down")
    container.ip("link set eth0 name in1")
    container.ip(f"link set in1 netns {host.ns.name}")
    host.ns.ip("addr add 10.0.0.2/24 dev in1")
    host.ns.ip("link set in1 up")
    guest.reaches("10.0.0.2")
    wait_until(lambda: host.get("Interface", "in1", "ifindex").isdigit(), 5, "it is back")

    host.ns.ip(f"link set in1 netns {container.name}")
    wait_until(lambda: host.get("Interface", "in1", "status:moved"), 5)
    host.vsctl("del-port in1")
    wait_until(lambda: "in1" not in container.devices() + host.ns.devices(), 5, "removed where it is")


# --- devices taken again ---

@pytest.mark.parametrize("queues", [1, 4])
def test_a_port_is_removed_and_added_at_once(host, queues):
    """Twenty times, in one go and one after the other. Same kind: one of several ports, four queues, a tap."""
    guests = [host.guest("br0", f"vm{n}") for n in range(1, 4)]
    host.ns.ip("link del vm1")
    host.ns.ip(f"link add vm1 numrxqueues {queues} numtxqueues {queues} type veth peer name far1 netns {guests[0].ns.name}")
    host.ns.ip("link set vm1 up")
    host.vsctl("add-port br0 tap0 -- set Interface tap0 type=tap")
    qos = ["set", "Port", "vm1", "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb",
           "other_config:max-rate=1000000000"]
    host.vsctl(*qos)
    for _ in range(20):
        for port in ("vm1", "vm2"):
            host.vsctl("del-port", port)
            done = host.vsctl("add-port", "br0", port, check=False)
            assert done.returncode == 0, done.stderr
        done = host.vsctl("del-port tap0 -- add-port br0 tap0 -- set Interface tap0 type=tap", check=False)
        assert done.returncode == 0, done.stderr
    settle(host, "br0", guests[1:])


def test_queues_that_come_later(host):
    """A device has one queue when it becomes a port, and four afterwards: frames of all flows arrive. Same kind: fewer
    queues again, the far side's queues, both datapaths."""
    one, two = host.guest("br0", "vm1"), host.guest("br0", "vm2")
    host.vsctl("del-port vm1")
    host.ns.ip("link del vm1")
    host.ns.ip(f"link add vm1 numrxqueues 4 numtxqueues 4 type veth peer name eth0 numrxqueues 4 numtxqueues 4 netns {one.ns.name}")
    host.ns.ip("link set vm1 up")
    one.ns.ip("link set eth0 up")
    one._raw = None
    host.ns.run("ethtool", "-L", "vm1", "rx", "1", "tx", "1")
    host.vsctl("add-port br0 vm1")
    settle(host, "br0", [one, two])
    for queues in (4, 1, 4) if host.lab.can("take queues from a port") else (4,):
        host.ns.run("ethtool", "-L", "vm1", "rx", str(queues), "tx", str(queues))
        one.ns.run("ethtool", "-L", "eth0", "rx", str(queues), "tx", str(queues))

        def all_arrive():
            two.raw.drain()
            for flow in range(64):
                one.send(udp_frame(flow))
            seen = set()
            while (got := two.raw.receive(0.3)) is not None:
                if got[:12] == udp_frame(0)[:12]:
                    seen.add(got[34:36])
            return len(seen) == 64
        wait_until(all_arrive, 10, f"all flows arrive with {queues} queues")


DEVICE_CHANGES = {
    "features of the port": [f"ethtool -K vm1 {what} {to}" for what in ("tx", "tso", "gso", "gro", "sg", "rx")
                             for to in ("off", "on")],
    "features of the far end": [f"@ethtool -K eth0 {what} {to}" for what in ("tx", "tso", "gso", "gro", "sg")
                                for to in ("off", "on")],
    "mtu": ["@ip link set eth0 mtu 1400", "ip link set vm1 mtu 1400", "ip link set vm1 mtu 1500", "@ip link set eth0 mtu 1500"],
    "address": ["ip link set vm1 address 02:00:00:00:0a:01", "@ip link set eth0 address 02:00:00:00:0a:02"],
    "link": ["ip link set vm1 down", "ip link set vm1 up", "@ip link set eth0 down", "@ip link set eth0 up"],
    "queue length": ["ip link set vm1 txqueuelen 10", "ip link set vm1 txqueuelen 1000"],
    "namespace": ["ip link set vm1 netns {elsewhere}", ">ip link set vm1 netns {here}", "ip link set vm1 up"],
}


@pytest.mark.parametrize("what", DEVICE_CHANGES)
def test_a_device_changes_under_its_port(host, what):
    """After each step that leaves the link up, large and small packets and TCP pass, and no error stays. ("@": in the
    guest, ">": in the other namespace.)"""
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    elsewhere = host.lab.namespace("elsewhere")
    one.reaches("10.0.0.2")
    for step in DEVICE_CHANGES[what]:
        ns = {"@": one.ns, ">": elsewhere}.get(step[0], host.ns)
        # Beside an XDP program the kernel refuses some features of a veth.
        ns.run(*step.lstrip("@>").format(elsewhere=elsewhere.name, here=host.ns.name).split(), check="ethtool" not in step)
        if step.endswith(" down") or " netns " in step:
            continue
        one.reaches("10.0.0.2")
        one.reaches("10.0.0.2", size=1300)
        assert tcp(one.ns, two.ns, "10.0.0.2") and tcp(two.ns, one.ns, "10.0.0.1"), step
    wait_until(lambda: error(host, "vm1") == "" and "error" not in host.ask("show"), 5)


def tcp(sender, receiver, address, size=300_000):
    """Whether so many bytes arrive as they are within some seconds."""
    text = bytes(n % 251 for n in range(size))
    with receiver.socket(socket.AF_INET, socket.SOCK_STREAM) as server, sender.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        for end in (server, client):
            end.settimeout(10)
        server.bind((address, 0))
        server.listen(1)
        client.connect(server.getsockname())
        end, _ = server.accept()
        end.settimeout(10)
        writer = threading.Thread(target=lambda: (client.sendall(text), client.shutdown(socket.SHUT_WR)))
        writer.start()
        got = b"".join(iter(lambda: end.recv(65536), b""))
        writer.join()
        end.close()
    return got == text


def udp_frame(flow):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, 1, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return mac_bytes(DST) + mac_bytes(SRC) + b"\x08\0" + ip + struct.pack("!HHHH", 1000 + flow, 2000, 26, 0) + bytes(18)


# --- what a frame counts as ---

TUNSETIFF, TUNSETVNETHDRSZ, TUNSETOFFLOAD = 0x400454CA, 0x400454D8, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def test_gso_counts_as_on_the_wire(in_kernel, host):
    """Ten packets of ten segments each, from a tap with virtio headers, whose number of segments the kernel does not
    count: 100 frames, each with its headers. Same kind: in and out, IPv4 and IPv6; drops are a unit test's
    (KernelTunnelOut)."""
    host.ns.sysctl("net.ipv6.conf.all.disable_ipv6", 1)  # no listener reports of the host's among what is counted
    host.ns.ip("tuntap add dev tap1 mode tap vnet_hdr")
    host.ns.ip("link set tap1 up")
    with host.ns.entered():
        tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"tap1", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(tap, TUNSETOFFLOAD, 0x0F)
    try:
        other = host.guest("br0", "vm2", "10.0.0.2/24")
        host.add_port("br0", "tap1")
        other.send(frame(DST))
        host.wait_learned(DST, "vm2")
        mss, segments = 1000, 10
        before = counters(host, "tap1"), counters(host, "vm2")
        for v6 in (False, True):
            packet, head = tcp_packet(mss * segments, v6)
            gso = struct.pack("<BBHHHH", 1, 4 if v6 else 1, head, mss, head - 20, 16)
            for _ in range(5):
                os.write(tap, gso + packet)
        frames, data = 2 * 5 * segments, 5 * segments * ((mss + 54) + (mss + 74))

        def grown(port, at, was):
            now = counters(host, port)
            return tuple(b - a for a, b in zip(was[at:at + 2], now[at:at + 2]))
        wait_until(lambda: grown("tap1", 0, before[0]) == (frames, data), 5, "as many in")
        assert grown("vm2", 2, before[1]) == (frames, data)
    finally:
        os.close(tap)


def counters(host, port):
    """(packets in, bytes in, packets out, bytes out)"""
    row = next(line.split() for line in host.ask("port-stats").splitlines() if line.split()[:1] == [port])
    return tuple(int(n) for n in row[3:7])


def tcp_packet(payload, v6):
    """(an Ethernet frame to DST with a TCP segment of so many bytes, its headers' length)"""
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 1, 1, 0x50, 0x10, 100, 0, 0)
    if v6:
        ip = struct.pack("!IHBB", 6 << 28, 20 + payload, 6, 64) + bytes(15) + b"\1" + bytes(15) + b"\2"
    else:
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + payload, 1, 0x4000, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    head = mac_bytes(DST) + mac_bytes(SRC) + struct.pack("!H", 0x86DD if v6 else 0x0800) + ip + tcp
    return head + bytes(payload), len(head)


# --- the largest frames ---

@pytest.mark.parametrize("tags", [(), (0,), (20,), (20, 30), (0, 30)], ids=str)
def test_what_a_linux_bridge_passes_passes(host, tags):
    """1,500 bytes of payload behind no tag, a priority tag, one tag, two tags, between devices of MTU 1500, by the switch
    and by a Linux bridge. Same kind: known and unknown destinations, both datapaths."""
    inner = tags[-1:] if len(tags) == 2 else tags  # a device for VLANs puts the outer one of two
    data = mac_bytes(DST) + mac_bytes(SRC) + b"".join(struct.pack("!HH", 0x8100, tag) for tag in inner)
    data += struct.pack("!H", 0x88B5) + b"x" * 1500
    ours = [host.guest("br0", f"vm{n}") for n in (1, 2)]
    settle(host, "br0", ours)
    with linux_bridge(host) as theirs:
        outer = tags[0] if len(tags) == 2 else None
        assert arrives(*theirs, data, outer), "the bridge is the measure"
        ours = [End(guest.ns) for guest in ours]
        assert arrives(*ours, data, outer)
        ours[1].raw.send(frame(DST, vlan=outer if outer is not None else (tags[0] if tags else None)))
        host.wait_learned(DST, "vm2")
        assert arrives(*ours, data, outer), "to a known address"


@contextlib.contextmanager
def linux_bridge(host):
    """Two ends of a Linux bridge in a namespace of its own, as guests are."""
    middle = host.lab.namespace("lb")
    middle.ip("link add lb type bridge")
    middle.ip("link set lb up")
    ends = []
    for n in (1, 2):
        ns = Namespace(f"lb{n}")
        middle.ip(f"link add e{n} type veth peer name eth0 netns {ns.name}")
        middle.ip(f"link set e{n} up master lb")
        ns.ip("link set eth0 up")
        ends.append(ns)
    try:
        yield [End(ns) for ns in ends]
    finally:
        for ns in ends:
            ns.delete()


class End:
    """A guest's eth0, and devices for VLANs on it."""

    def __init__(self, ns):
        self.ns, self.raw = ns, ns.raw("eth0")
        self.vlans = {}

    def sender(self, vlan):
        if vlan is None:
            return self.raw
        if vlan not in self.vlans:
            if run("ip", "-n", self.ns.name, "link", "add", "link", "eth0", "name", f"q{vlan}", "type", "vlan", "proto", "802.1ad",
                   "id", vlan, check=False).returncode != 0:
                pytest.skip("this kernel has no vlan devices, by which alone the largest frame can have a second tag")
            self.ns.ip(f"link set q{vlan} up")
            self.vlans[vlan] = self.ns.raw(f"q{vlan}")
        return self.vlans[vlan]


def arrives(sender, receiver, data, vlan):
    """Priority tags may be taken off on the way."""
    for _ in range(20):
        receiver.raw.drain()
        sender.sender(vlan).send(data)
        got = receiver.raw.receive(0.2)
        while got is not None:
            if got[-1500:] == b"x" * 1500 and got[:12] == data[:12]:
                return True
            got = receiver.raw.receive(0.05)
    return False


# --- causes that go ---

def error(host, interface):
    text = host.get("Interface", interface, "error")
    return "" if text == "[]" else text


def test_errors_end_with_their_causes(host):
    """Nobody touches the configuration; the cause goes, and within seconds the port works. Same kind: a foreign vxlan
    device, a program on the UDP port, a foreign device by an internal port's name or by our vxlan device's, a foreign
    queueing discipline, a device in somebody's bridge."""
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    host.ns.ip("link add flannel type vxlan id 7 dstport 8472")
    host.ns.ip("link set flannel up")
    host.ns.ip("link add in1 type bridge")
    host.ns.ip("link add br9 type bridge")
    host.ns.ip("link add vm9 type veth peer name far9")
    host.ns.ip("link set vm9 up master br9")
    with host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("0.0.0.0", 4790))
        wrong = {}
        for name, columns in {
                "vx1": "type=vxlan options:remote_ip=198.18.9.9 options:dst_port=8472",
                "vx2": "type=vxlan options:remote_ip=198.18.9.9 options:dst_port=4790",
                "in1": "type=internal",
                "vm9": "",
        }.items():
            line = f"add-port br0 {name}" + (f" -- set Interface {name} {columns}" if columns else "")
            done = host.vsctl(line, check=False)
            wrong[name] = error(host, name)
            assert done.returncode == 1 and wrong[name] and name in done.stderr, (name, done.stderr)
    assert "8472" in wrong["vx1"] or "flannel" in wrong["vx1"]
    host.ns.ip("route add default dev vm1")
    host.ns.ip("link del flannel")
    host.ns.ip("link del in1")
    host.ns.ip("link set vm9 nomaster")
    host.ns.ip("addr add 198.18.9.1/24 dev vm1")
    for name in wrong:
        wait_until(lambda name=name: error(host, name) == "", 8, f"{name} is well without a change of the configuration")
        assert host.get("Interface", name, "ofport") != "-1"
    host.ns.ip("addr add 10.0.0.3/24 dev in1")
    guest.reaches("10.0.0.3")


def test_a_foreign_queueing_discipline_goes(in_kernel, host):
    host.guest("br0", "vm1")
    host.ns.run("tc", "qdisc", "replace", "dev", "vm1", "root", "handle", "7:", "pfifo", "limit", "10")
    done = host.vsctl("set", "Port", "vm1", "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb",
                      "other_config:max-rate=1000000000", check=False)
    assert done.returncode == 1 and "queueing discipline" in done.stderr
    host.ns.run("tc", "qdisc", "del", "dev", "vm1", "root")
    wait_until(lambda: error(host, "vm1") == "" and "htb" in host.ns.run("tc", "qdisc", "show", "dev", "vm1").stdout, 8)


def test_a_foreign_device_by_our_vxlan_devices_name_goes(in_kernel, host):
    host.ns.ip("link add hdvx4789 type bridge")
    done = host.vsctl("add-port br0 vx -- set Interface vx type=vxlan options:remote_ip=198.18.9.9", check=False)
    assert done.returncode == 1 and "hdvx4789" in done.stderr
    host.ns.ip("link del hdvx4789")
    wait_until(lambda: "hdvx4789" not in error(host, "vx"), 8)
    assert "hdvx4789" in host.ns.devices()


# --- reasons that were hidden ---

@FAMILIES
def test_a_tunnel_that_cannot_reach_its_remote_says_so(host, family):
    """No route, a foreign local_ip, the host's own address as remote: in vsctl's answer, in the row and in show; the
    error ends with its cause. Same kind: both families, a multipoint port with one such remote and with nothing else."""
    own, far, foreign = (("198.18.0.1", "198.18.0.9", "198.18.0.77"), ("2001:db8::1", "2001:db8::9", "2001:db8::77"))[family == 6]
    cases = {"no route": dict(remote_ip=far), "not an address of this host": dict(remote_ip=far, local_ip=foreign),
             "an address of this host": dict(remote_ip=own)}
    host.ns.ip("link add ul0 type veth peer name ul1")
    for n, (words, options) in enumerate(cases.items()):
        if n == 1:
            host.ns.ip("link set ul0 up")
            host.ns.ip("link set ul1 up")
            host.ns.ip(f"addr add {own}/{24 if family == 4 else 64} dev ul0" + (" nodad" if family == 6 else ""))
            wait_until(lambda: error(host, "vx0") == "", 5, "the route came")
        columns = " ".join(f'options:{k}="{v}"' for k, v in {**options, "key": n}.items())
        done = host.vsctl(f"add-port br0 vx{n} -- set Interface vx{n} type=vxlan {columns}", check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert words in error(host, f"vx{n}") and words in host.ask("show")
    host.vsctl(f'add-port br0 mp -- set Interface mp type=vxlan options:key=9 options:remote_ip=flow options:remotes="{own}"',
               check=False)
    assert "an address of this host" in error(host, "mp")
    host.vsctl(f'set Interface mp options:remotes="{own},{far}"')
    assert error(host, "mp") == "" and "an address of this host" in host.get("Interface", "mp", "status:unreachable")


def test_words_that_nobody_reads_are_named(host):
    """Options that do not exist, and values that are out of range. Same kind: tunnels, patch ports, devices, bridges."""
    for columns, word in (("type=vxlan options:remote_ip=198.18.9.9 options:remoteip=198.18.9.9", "options:remoteip"),
                          ("type=patch options:peer=other options:paer=x", "options:paer"),
                          ("type=internal options:speed=10", "options:speed")):
        done = host.vsctl(f"add-port br0 p1 -- set Interface p1 {columns}", check=False)
        assert word in done.stderr, done.stderr
        assert word in host.get("Interface", "p1", "status:no_effect") and word in host.ask("show")
        host.vsctl("del-port p1")
    for key, value in (("mac-aging-time", "soon"), ("mac-aging-time", "1"), ("mac-table-size", "0"), ("datapath-id", "xyz")):
        done = host.vsctl("set", "Bridge", "br0", f"other_config:{key}={value}")
        assert key in done.stderr and value in done.stderr, done.stderr
        assert f"{key}={value}" in host.get("Bridge", "br0", "status:warning") and f"{key}={value}" in host.ask("show")
        done = host.vsctl("remove", "Bridge", "br0", "other_config", key)
        assert done.stderr == "" and "warning" not in host.ask("show")


# --- statistics ---

def test_statistics_have_the_keys_that_scripts_ask_for(host):
    host.guest("br0", "vm1")
    keys = set(re.findall(r"(\w+)=\d+", host.ask("get Interface vm1 statistics")))
    assert keys >= {f"{way}_{what}" for way in ("rx", "tx") for what in ("packets", "bytes", "errors", "dropped")}
    assert keys >= {"collisions", "rx_crc_err", "rx_frame_err", "rx_over_err", "rx_missed_errors"}
    assert who_gets(host.guest("br0", "vm2"), [], SRC) == untagged()
