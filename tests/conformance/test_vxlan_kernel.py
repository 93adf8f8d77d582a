# SPDX-License-Identifier: Apache-2.0
"""VXLAN (RFC 7348) with the Linux kernel's vxlan device at the far end of the tunnel."""
import fcntl
import os
import socket
import struct

import pytest
from far_end import KernelVtep, next_outer, vxlan_header, watch
from kernel import need_open_vxlan_header
from lab import wait_until, who_gets
from net import TIME_SCALE, Failure, checksum, frame, mac

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["over-ipv4", "over-ipv6"])
MAX_VNI = 2**24 - 1


def pair(lab, family, vni=10, mtu=1550, kernel="", guest_mtu=1500, dst_port=4789,
         device="ul0", **options):
    """A Heddle host with a guest (10.0.0.1, fd00::1) and a kernel VTEP (10.0.0.2) over an underlay of `family`."""
    host, far = lab.host("h"), KernelVtep(lab, "far")
    lab.underlay(host, far, mtu=mtu)
    host.start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", "10.0.0.1/24", mtu=guest_mtu)
    if dst_port != 4789:
        options["dst_port"] = dst_port
    host.vxlan("br0", "vx", remote_ip=far.address[family], key=vni, **options)
    far.mac = far.vxlan("vx", vni, "10.0.0.2/24", far.address[family], host.address[family], dst_port, kernel,
                         device)
    return host, far, guest


@pytest.mark.core
@FAMILIES
@pytest.mark.parametrize("vni", [0, 10, MAX_VNI])
def test_unicast(lab, family, vni):
    host, far, guest = pair(lab, family, vni)
    guest.reaches("10.0.0.2")
    host.wait_learned(guest.mac, "vm1")
    host.wait_learned(far.mac, "vx")
    assert far.ns.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "10.0.0.1").returncode == 0


@pytest.mark.core
@FAMILIES
@pytest.mark.parametrize("ours", [False, True], ids=["we-send-none", "we-send-checksums"])
@pytest.mark.parametrize("theirs", [False, True], ids=["kernel-sends-none", "kernel-sends-checksums"])
def test_udp_checksum(lab, family, ours, theirs):
    """Over a veth underlay the kernel's outer checksum is partial, which is no reason to drop a packet."""
    if family == 4:
        kernel = "udpcsum" if theirs else "noudpcsum"
    else:
        kernel = "udp6zerocsumrx " + ("noudp6zerocsumtx" if theirs else "udp6zerocsumtx")
    host, far, guest = pair(lab, family, kernel=kernel, csum=str(ours).lower())
    sock = watch(far.ns)
    guest.reaches("10.0.0.2")
    assert (next_outer(sock).udp_checksum != 0) == ours
    guest.reaches("10.0.0.2", size=1400)
    assert host.drops("vx", "bad_udp_checksum") == 0


@FAMILIES
def test_other_udp_port(lab, family):
    host, far, guest = pair(lab, family, dst_port=8472)
    sock = watch(far.ns)
    guest.reaches("10.0.0.2")
    assert next_outer(sock, port=8472).vni == 10


@FAMILIES
def test_outer_header_is_as_configured(lab, family):
    host, far, guest = pair(lab, family, tos=0x28, ttl=17, df_default="false")
    sock = watch(far.ns)
    guest.reaches("10.0.0.2")
    outer = next_outer(sock)
    assert (outer.version, outer.tos, outer.ttl, outer.vni, outer.flags) == (family, 0x28, 17, 10, 0x08)
    if family == 4:
        assert not outer.df
        host.vsctl("remove", "Interface", "vx", "options", "df_default")
        wait_until(lambda: guest.ping("10.0.0.2") and next_outer(sock, timeout=1).df, 5, "df_default is true again")


def test_udp_source_port_is_the_flow(lab):
    """RFC 7348 section 5: a hash of the inner headers in 49152 to 65535; a flow keeps its port."""
    host, far, guest = pair(lab, 4)
    guest.reaches("10.0.0.2")
    sock = watch(far.ns)
    with guest.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        ports = {}
        for flow in range(20):
            for _ in range(3):
                text = b"flow-%04d" % flow
                sender.sendto(text, ("10.0.0.2", 7000 + flow))
                ports.setdefault(flow, set()).add(next_outer(sock, lambda o: text in o.inner).udp_source)
    assert all(len(p) == 1 for p in ports.values()), ports
    assert len(set.union(*ports.values())) > 10
    assert all(49152 <= p <= 65535 for p in set.union(*ports.values()))


def tap_sender(host, device):
    """A guest that writes to the tap device `device` itself."""
    with host.ns.entered():  # also for open(): the device belongs to the namespace that it was called in
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH", device.encode(), 0x0002 | 0x1000))  # TUNSETIFF: IFF_TAP, IFF_NO_PI
    host.ns.ip(f"link set {device} up")
    return fd


def flow_packet(src, flow, version=4, fragment=0, size=60):
    """A UDP packet of one of many flows; `fragment`: the fragment word of its IPv4 header."""
    text = b"flow-%04d" % flow
    body = struct.pack("!HHHH", 7000 + flow, 9, 8 + len(text), 0) + text
    if version == 6:
        net = bytes([0xFD] + [0] * 14)
        head = struct.pack("!IHBB", 0x60000000, len(body), 17, 64) + net + b"\1" + net + b"\2"
        return frame(src, payload=head + body, ethertype=0x86DD, size=size)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, fragment, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return frame(src, payload=head + body, ethertype=0x0800, size=size)


def with_tag(data, vlan):
    return data[:12] + struct.pack("!HH", 0x8100, vlan) + data[12:]


@pytest.mark.parametrize("tunnel", ["access", "trunk"])
@pytest.mark.parametrize("guest", ["access", "tagged", "two-tags", "tap", "tap-tagged"])
@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_flows_of_a_vlan_have_many_source_ports(lab, guest, tunnel, version):
    """By whatever port they come and with whatever tags they leave: routers and network cards spread by the source port."""
    host, far = lab.host("h"), KernelVtep(lab, "far")
    lab.underlay(host, far)
    host.start()
    host.add_br("br0")
    columns = {"tag": 20} if guest in ("access", "tap") else {"trunks": "20"}
    fd = None
    if guest.startswith("tap"):
        host.ns.ip("tuntap add dev vm1 mode tap")
        fd = tap_sender(host, "vm1")
        host.add_port("br0", "vm1", **columns)
    else:
        sender = host.guest("br0", "vm1", **columns)
    host.vxlan("br0", "vx", columns={"tag": 20} if tunnel == "access" else {"trunks": "20"}, remote_ip=far.address[4], key=10)
    far.vxlan("vx", 10, "10.0.0.2/24", far.address[4], host.address[4])
    sock = watch(far.ns)

    def send(flow, **how):
        data = flow_packet(mac(1), flow, version, **how)
        if guest == "two-tags":
            data = with_tag(data, 7)
        if guest in ("tagged", "two-tags", "tap-tagged"):
            data = with_tag(data, 20)
        if fd is None:
            sender.send(data)
        else:
            os.write(fd, data)

    def port_of(flow, **how):
        send(flow, **how)
        return next_outer(sock, lambda o: b"flow-%04d" % flow in o.inner).udp_source

    def arrives():
        send(0)
        return next_outer(sock, lambda o: b"flow-0000" in o.inner, timeout=0.5)
    try:
        wait_until(arrives, 10, "the first frame is on the underlay")
        sock.drain()
        ports = [port_of(flow) for flow in range(1, 33)]
        assert len(set(ports)) > 16, sorted(set(ports))
        assert [port_of(flow) for flow in range(1, 5)] == ports[:4], "a flow keeps its port"
        if version == 4 and guest == "access":  # the parts of one packet keep together
            assert port_of(40, fragment=0x2000) == port_of(41, fragment=0x2000) == port_of(42, fragment=0x0008)
    finally:
        if fd is not None:
            os.close(fd)


@FAMILIES
def test_multipoint_with_static_entries(lab, family):
    """The kernel's side has no default remote and does not learn, so its table is static. The switch has a flood
    list."""
    host, b, c = lab.host("h"), KernelVtep(lab, "b"), KernelVtep(lab, "c")
    lab.underlay(host, b, c)
    for n, far in enumerate((b, c), 2):
        far.mac = far.vxlan("vx", 10, f"10.0.0.{n}/24", far.address[family], options="nolearning")
    host.start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    remotes = ",".join([b.address[family], c.address[family]])
    host.vxlan("br0", "vx", remote_ip="flow", key=10, local_ip=host.address[family], remotes=f'"{remotes}"')
    for far, other in ((b, c), (c, b)):
        far.static("vx", guest.mac, host.address[family])
        far.static("vx", other.mac, other.address[family])
        far.flood("vx", host.address[family])
    guest.reaches("10.0.0.2")
    guest.reaches("10.0.0.3")
    host.wait_learned(b.mac, "vx", remote=b.address[family])
    host.wait_learned(c.mac, "vx", remote=c.address[family])
    at_c = watch(c.ns)
    at_c.drain()
    known = frame(guest.mac, b.mac, b"only-for-b")
    everyone = frame(guest.mac, payload=b"for-everyone")
    at_b = watch(b.ns)
    guest.send(known)
    guest.send(everyone)
    next_outer(at_b, lambda o: b"for-everyone" in o.inner)
    # Frames stay in order on one path: after the second frame, the first one cannot arrive any more.
    assert b"for-everyone" in next_outer(at_c, lambda o: b"for-everyone" in o.inner or b"only-for-b" in o.inner).inner


@FAMILIES
def test_largest_guest_packet(lab, family):
    """A guest MTU of 1500 needs an underlay MTU of 1550 (1570 for IPv6)."""
    overhead = 50 if family == 4 else 70
    host, far, guest = pair(lab, family, mtu=1500 + overhead)
    guest.reaches("10.0.0.2")
    assert guest.ping("10.0.0.2", size=1472, df=True)
    assert wait_until(lambda: "1500" in host.get("Interface", "vx", "status"), 5, "status tells 1500"), "guest MTU"


@FAMILIES
def test_unknown_vni_is_counted(lab, family):
    host, far, guest = pair(lab, family)
    guest.reaches("10.0.0.2")
    mac_11 = far.vxlan("vx11", 11, "10.0.1.2/24", far.address[family], host.address[family])
    guest.raw.drain()
    far.ns.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "0.2", "10.0.1.9", check=False)
    host.wait_drop("", "unknown_vni")
    assert host.entry(mac_11) is None
    with pytest.raises(Failure):
        guest.raw.wait_for(lambda f: f[6:12].hex(":") == mac_11, timeout=0.3)


@pytest.mark.parametrize("what,reason", [("no-i-flag", "bad_vxlan"), ("cut-short", "truncated"), ("empty", "truncated")])
def test_bad_packets_are_counted(lab, what, reason):
    host, far, guest = pair(lab, 4)
    guest.reaches("10.0.0.2")
    inner = frame(mac(7), payload=b"bad-packet")
    data = {"no-i-flag": vxlan_header(10, flags=0) + inner, "cut-short": vxlan_header(10) + inner[:9],
            "empty": vxlan_header(10)[:5]}[what]
    guest.raw.drain()
    with far.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, (host.address[4], 4789))
    if lab.can(f"count {reason}"):
        host.wait_drop("", reason)
    guest.reaches("10.0.0.2")
    assert host.entry(mac(7)) is None


@FAMILIES
@pytest.mark.parametrize("what", ["group-policy", "other-flags", "reserved-24", "reserved-8", "all"])
def test_reserved_bits_are_ignored(lab, what, family):
    """RFC 7348 section 5: senders with extensions (group policy, and others) set bits that we do not know."""
    need_open_vxlan_header(lab)
    host, far, guest = pair(lab, family)
    guest.reaches("10.0.0.2")
    flags, r24, r8 = {"group-policy": (0x88, 0x00002A, 0), "other-flags": (0x7F, 0, 0), "reserved-24": (0x08, 0xFFFFFF, 0),
                      "reserved-8": (0x08, 0, 0x01), "all": (0xFF, 0xFFFFFF, 0xFF)}[what]
    inner = frame(mac(7), payload=b"reserved-bits", size=80)
    guest.raw.drain()
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with far.ns.socket(kind, socket.SOCK_DGRAM) as sender:
        sender.sendto(struct.pack("!II", flags << 24 | r24, 10 << 8 | r8) + inner, (host.address[family], 4789))
    guest.raw.wait_for(lambda f: b"reserved-bits" in f)
    host.wait_learned(mac(7), "vx")
    assert all(host.drops("", reason) == 0 for reason in ("ecn_invalid", "bad_vxlan"))


def test_far_end_changes_its_mac(lab):
    """The switch follows the underlay's neighbour table."""
    host, far, guest = pair(lab, 4)
    guest.reaches("10.0.0.2")
    far.ns.ip("link set ul0 down")
    far.ns.ip("link set ul0 address 02:00:00:00:77:77")
    far.ns.ip("link set ul0 up")
    far.ns.run("ping", "-c", "1", "-W", "1", host.address[4], check=False)  # updates the kernel's neighbour entry
    guest.reaches("10.0.0.2", timeout=30)


def test_route_change_is_followed(lab):
    """The remote's address moves to a second underlay, for one of the two directions."""
    host, far, guest = pair(lab, 4, device=None, rp_filter="loose")
    lab.underlay(host, far, name="ul1")
    for ns in (host.ns, far.ns):
        ns.sysctl("net.ipv4.conf.all.rp_filter", 0)
        ns.sysctl("net.ipv4.conf.ul0.rp_filter", 0)
        ns.sysctl("net.ipv4.conf.ul1.rp_filter", 0)
    guest.reaches("10.0.0.2")
    host.ns.ip("route add 192.0.2.2/32 via 198.18.2.2 dev ul1")
    sock = watch(far.ns, "ul1")
    wait_until(lambda: guest.ping("10.0.0.2", timeout=0.3) and next_outer(sock, timeout=0.3).ok, 10,
               "the tunnel goes by the new route")
    host.ns.ip("route del 192.0.2.2/32")
    sock0 = watch(far.ns, "ul0")
    wait_until(lambda: guest.ping("10.0.0.2", timeout=0.3) and next_outer(sock0, timeout=0.3).ok, 10,
               "and by the old one again")


@pytest.mark.core
def test_underlay_stays_with_the_host(lab):
    """A VXLAN port does not disturb the host's own traffic on the underlay."""
    host, far, guest = pair(lab, 4)
    guest.reaches("10.0.0.2")
    for address in (far.address[4], far.address[6]):
        host.ns.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", address)
    with far.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((host.address[4], 4790))
        sink.settimeout(3 * TIME_SCALE)
        sender.sendto(b"not for the tunnel", (host.address[4], 4790))
        assert sink.recv(100) == b"not for the tunnel"


def test_first_packets_wait_for_the_neighbour(lab):
    """No frame is lost while ARP resolves the remote VTEP."""
    host, far, guest = pair(lab, 4)
    guest.reaches("10.0.0.2")
    host.ns.ip("neigh flush dev ul0")
    guest.raw.drain()
    sock = watch(far.ns)
    sock.drain()
    guest.send(frame(guest.mac, far.mac, b"the-first-one"))
    next_outer(sock, lambda o: b"the-first-one" in o.inner)


@pytest.mark.core
def test_vlan_tag_is_removed_and_added(lab):
    """An access tunnel port joins VNI and VLAN: no tag on the wire (RFC 7348 section 6.1)."""
    host, far = lab.host("h"), KernelVtep(lab, "far")
    lab.underlay(host, far)
    host.start()
    host.add_br("br0")
    tagged, other = host.guest("br0", "vm1", trunks="20"), host.guest("br0", "vm2", tag=30)
    host.vxlan("br0", "vx", columns={"tag": 20}, remote_ip=far.address[4], key=10)
    far.mac = far.vxlan("vx", 10, "10.0.0.2/24", far.address[4], host.address[4])
    sock = watch(far.ns)
    inner = frame(mac(5), payload=b"from-vlan-20", size=80)

    def sent():
        tagged.send(frame(mac(5), payload=b"from-vlan-20", vlan=20, size=84))
        return next_outer(sock, lambda o: b"from-vlan-20" in o.inner, timeout=0.5)
    outer = wait_until(sent, 10, "the frame is on the underlay")
    assert outer.inner[:len(inner)] == inner
    back = far.ns.raw("vx")
    back.send(frame(far.mac, payload=b"back"))
    assert tagged.raw.wait_for(lambda f: b"back" in f)[12:16] == b"\x81\x00\x00\x14"
    assert who_gets(other, [tagged], mac(6)) == {}


def ip_frame(far, tos, text):
    """A broadcast frame with an IPv4 header with this TOS and `text`."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(text), 1, 0, 64, 253, 0, b"\x0a\0\0\2", b"\x0a\0\0\xff")
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return frame(far.mac, payload=head + text, ethertype=0x0800)


@pytest.mark.parametrize("inner,outer,arrives", [(0, 0, 0), (2, 0, 2), (2, 3, 3), (1, 3, 3), (3, 0, 3), (0, 3, None)])
def test_congestion_marks(lab, inner, outer, arrives):
    """RFC 6040 section 4.2: a mark on the outer header is copied to the inner one, or the packet is dropped."""
    host, far, guest = pair(lab, 4)
    guest.reaches("10.0.0.2")
    guest.raw.drain()
    with far.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, outer)
        sender.sendto(vxlan_header(10) + ip_frame(far, inner, b"marked-packet"), (host.address[4], 4789))
    if arrives is None:
        host.wait_drop("vx" if lab.can("count ecn_invalid by port") else "", "ecn_invalid")
        return
    got = guest.raw.wait_for(lambda f: b"marked-packet" in f)
    assert got[15] & 3 == arrives
    assert checksum(got[14:34]) == 0
