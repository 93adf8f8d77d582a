# SPDX-License-Identifier: Apache-2.0
"""By which device a tunnel takes a remote's packets: a guest must not send in the name of a remote VTEP (RFC 7348
section 7 leaves that to the underlay, which a guest is not to reach)."""
import contextlib
import socket
import struct

import pytest
from far_end import KernelVtep, vxlan_header
from net import BROADCAST, checksum, frame, mac, mac_bytes, wait_until

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["over-ipv4", "over-ipv6"])
KINDS = pytest.mark.parametrize("kind", ["strict", "loose", "multipoint"])
PORT = 4789
VICTIM = mac(0x77)
BRIDGE = {4: "10.9.0.1", 6: "2001:db8:9::1"}  # the host on the tenant's bridge


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def inner(text):
    return frame(mac(0x66), VICTIM, payload=text, size=120)


def outer(payload, src, dst, extra=b"", fragment=(0, False)):
    """An IP packet of `payload`, which is UDP or a later fragment of it. `extra`: IPv4 options, or IPv6 headers whose
    last names UDP. `fragment`: offset and whether more follow."""
    at, more = fragment
    if ":" not in src:
        head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(extra) // 4, 0, 20 + len(extra) + len(payload), 7, more << 13 | at // 8,
                           64, 17, 0, packed(src), packed(dst)) + extra
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload
    first = 60 if extra else 17
    if at or more:
        first, extra = 44, struct.pack("!BBHI", first, 0, at | more, 7) + extra
    return struct.pack("!IHBB16s16s", 6 << 28, len(extra) + len(payload), first, 64, packed(src), packed(dst)) + extra + payload


def udp(text):
    data = vxlan_header(10) + inner(text)
    return struct.pack("!HHHH", 50000, PORT, 8 + len(data), 0) + data


def ethernet(src, dst, packet):
    return mac_bytes(dst) + mac_bytes(src) + (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def options(headers):
    """So many IPv6 headers of destination options with padding."""
    return b"".join(bytes([17 if n == headers - 1 else 60, 0, 1, 4, 0, 0, 0, 0]) for n in range(headers))


def attacks(host, far, family, text):
    """(frames, what is tried) from a guest of br1."""
    src, bridge = far.address[family], host.ns.mac("br1")
    group = {4: "224.0.0.1", 6: "ff02::1"}[family]
    group_mac = {4: "01:00:5e:00:00:01", 6: "33:33:00:00:00:01"}[family]
    part = udp(text)
    yield [(bridge, outer(part, src, BRIDGE[family]))], "to the host's address on the bridge"
    yield [(bridge, outer(part, src, host.address[family]))], "to the host's address on the underlay"
    yield [(group_mac, outer(part, src, group))], "to all hosts"
    yield [(bridge, outer(part[:64], src, BRIDGE[family], fragment=(0, True))),
           (bridge, outer(part[64:], src, BRIDGE[family], fragment=(64, False)))], "in fragments"
    if family == 4:
        yield [(BROADCAST, outer(part, src, "10.9.0.255"))], "to the network's broadcast address"
        yield [(BROADCAST, outer(part, src, "255.255.255.255"))], "to the broadcast address"
        yield [(bridge, outer(part, src, BRIDGE[4], extra=b"\1" * 40))], "behind IPv4 options"
    else:
        yield [(bridge, outer(part, src, BRIDGE[6], extra=options(1)))], "behind an IPv6 header"
        yield [(bridge, outer(part, src, BRIDGE[6], extra=options(9)))], "behind more IPv6 headers than are looked at"


def send_as(far, source, text, to):
    """The VTEP's own packet, by its kernel's routes."""
    with far.ns.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        sender.sendto(vxlan_header(10) + inner(text), (to, PORT))


def takes(victim, send, text, evil=None):
    """The victim gets the frame with `text`, sent again and again until then, and none with `evil` before."""
    seen = []

    def arrived():
        send()
        with contextlib.suppress(AssertionError):
            victim.raw.wait_for(lambda f: seen.append(f) or text in f, timeout=0.5)
        return any(text in f for f in seen)
    wait_until(arrived, 10, f"{text} arrives")
    assert evil is None or not any(evil in f for f in seen)


def start(lab, host, far, family, kind):
    for what in ("all", "default"):
        host.ns.sysctl(f"net.ipv4.conf.{what}.rp_filter", 0)
    host.start()
    host.add_br("br0")
    remote = {"remote_ip": far.address[family]}
    if kind == "multipoint":
        remote = {"remote_ip": "flow", "remotes": f'"{far.address[family]}"'}
    elif kind == "loose":
        remote["rp_filter"] = "loose"
    host.vxlan("br0", "vx", key=10, **remote)
    return host.guest("br0", "vm1", mac_address=VICTIM)


def bridge_of_tenant(host):
    host.add_br("br1")
    host.ns.ip("link set br1 up")
    host.ns.ip(f"addr add {BRIDGE[4]}/24 dev br1")
    host.ns.ip(f"addr add {BRIDGE[6]}/64 dev br1 nodad")
    return host.guest("br1", "bad")


@pytest.mark.core
@FAMILIES
@KINDS
@pytest.mark.parametrize("routes", [False, True], ids=["no-router", "router"])
def test_a_guest_sends_in_the_name_of_a_remote(lab, family, kind, routes):
    """The host has an address on another tenant's bridge. Same kind: the host's other addresses, broadcast, multicast,
    fragments, options and IPv6 headers, a bridge that came after the tunnel, a port with QoS, a new daemon."""
    host, far = lab.host("h"), lab.host("far")
    lab.underlay(host, far)
    victim = start(lab, host, far, family, kind)
    bad = bridge_of_tenant(host)
    host.ns.sysctl("net.ipv4.ip_forward", int(routes))
    host.ns.sysctl("net.ipv6.conf.all.forwarding", int(routes))

    def honest():
        send_as(far, far.address[family], b"honest", host.address[family])
    takes(victim, honest, b"honest")

    def refused(rounds):
        for frames, what in rounds:
            before = host.drops("", "wrong_ingress")
            for to, packet in frames:
                bad.send(ethernet(bad.mac, to, packet))
            wait_until(lambda n=before: host.drops("", "wrong_ingress") > n, 5, f"{what}: it is refused")
        takes(victim, honest, b"honest", evil=b"evil")
    refused(attacks(host, far, family, b"evil"))
    first = list(attacks(host, far, family, b"evil"))[:1]
    if lab.datapath == "kernel":
        assert host.drops("bad", "wrong_ingress") == host.drops("", "wrong_ingress")
        host.vsctl("set Port br1 qos=@q -- --id=@q create QoS type=linux-htb other-config:max-rate=1000000000")
        refused(first)
        host.stop()
        bad.send(ethernet(bad.mac, *first[0][0][0]))
        takes(victim, honest, b"honest", evil=b"evil")
        host.start()
        refused(first)
    # Its own overlay is the tenant's affair, as far as it does not end at the host.
    other = host.guest("br1", "vm2")
    other.raw.drain()
    own = ethernet(bad.mac, other.mac, outer(udp(b"its own"), {4: "10.9.0.5", 6: "2001:db8:9::5"}[family],
                                             {4: "10.9.0.6", 6: "2001:db8:9::6"}[family]))
    bad.send(own)
    other.raw.wait_for(lambda f: b"its own" in f)


@FAMILIES
@KINDS
def test_the_underlay_is_an_internal_port(lab, family, kind):
    """The network card is a port of br-ex and the host's underlay address on its internal port, as OpenStack has it. Same
    kind: the internal port has QoS, the tunnel came first, another daemon takes over."""
    host, far = lab.host("h"), KernelVtep(lab, "far")
    lab.underlay(host, far)
    host.ns.ip("link set ul0 down")
    host.start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    host.add_br("br-ex")
    remote = {"remote_ip": far.address[family]}
    if kind != "strict":
        remote = {"loose": {**remote, "rp_filter": "loose"},
                  "multipoint": {"remote_ip": "flow", "remotes": f'"{far.address[family]}"'}}[kind]
    host.vxlan("br0", "vx", key=10, check=False, **remote)  # no route yet
    host.ns.ip("addr flush dev ul0")
    host.vsctl("set", "Interface", "br-ex", "mtu_request=1600")
    host.add_port("br-ex", "ul0")
    for device in ("ul0", "br-ex"):
        host.ns.ip(f"link set {device} up")
    host.ns.ip(f"addr add {host.address[family]}/{24 if family == 4 else 64} dev br-ex" + (" nodad" if family == 6 else ""))
    far.vxlan("vx", 10, "10.0.0.2/24", far.address[family], host.address[family])
    guest.reaches("10.0.0.2", timeout=20)
    far.ns.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "10.0.0.1")
    if lab.datapath == "kernel":
        host.vsctl("set Port br-ex qos=@q -- --id=@q create QoS type=linux-htb other-config:max-rate=1000000000")
        guest.reaches("10.0.0.2")
    host.stop()
    host.start()
    guest.reaches("10.0.0.2", timeout=20)
    assert host.drops("", "wrong_ingress") == 0


@FAMILIES
def test_a_remote_is_reached_by_several_devices(lab, family):
    """Any device of an ECMP route will do; when the route has one, the other will not, until rp_filter is loose."""
    host, far = lab.host("h"), lab.host("far")
    lab.underlay(host, far, name="ul1")
    second = far.address[family], host.address[family]
    lab.underlay(host, far)
    first = far.address[family], host.address[family]
    remote, prefix = ("203.0.113.9", "32") if family == 4 else ("2001:db8:f::9", "128")
    far.ns.ip(f"addr add {remote}/{prefix} dev ul0" + (" nodad" if family == 6 else ""))
    ip = "" if family == 4 else "-6 "
    host.ns.ip(f"{ip}route add {remote} nexthop via {first[0]} dev ul0 nexthop via {second[0]} dev ul1")
    far.address = {family: remote}
    victim = start(lab, host, far, family, "strict")

    def by(link):
        return lambda: send_as(far, remote, f"by-{link}".encode(), (first, second)[link][1])
    takes(victim, by(0), b"by-0")
    takes(victim, by(1), b"by-1")
    assert host.drops("", "wrong_ingress") == 0
    host.ns.ip(f"{ip}route replace {remote} via {first[0]} dev ul0")
    takes(victim, by(0), b"by-0")
    if lab.can("tell by which device a tunnel's packet came"):
        def refused():
            by(1)()
            return host.drops("", "wrong_ingress") > 0
        wait_until(refused, 5, "the second device does not lead to the remote any more")
        host.vsctl("set", "Interface", "vx", "options:rp_filter=loose")
    elif family == 4:  # what docs/configuration.md names instead
        host.ns.sysctl("net.ipv4.conf.ul1.rp_filter", 1)
        victim.raw.drain()
        by(1)()
        takes(victim, by(0), b"by-0", evil=b"by-1")
        host.ns.sysctl("net.ipv4.conf.ul1.rp_filter", 0)
    takes(victim, by(1), b"by-1")


def test_rp_filter_is_strict_or_loose(lab):
    host = lab.host("h")
    host.start()
    host.add_br("br0")
    host.vxlan("br0", "vx", check=False, key=10, remote_ip="192.0.2.9", rp_filter="none")
    assert "options:rp_filter=none: must be strict or loose" in host.get("Interface", "vx", "error")
