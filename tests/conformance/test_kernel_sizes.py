# SPDX-License-Identifier: Apache-2.0
"""Large packets in the kernel datapath: GSO packets stay whole, oversize packets are counted and answered by ICMP, and
changes of an MTU take effect."""
import struct

import pytest
from far_end import KernelVtep, next_outer, watch
from lab import transfer, untagged, wait_until, who_gets
from net import TIME_SCALE, checksum, frame, mac, mac_bytes

SRC, DST = mac(1), mac(2)
LARGEST_FRAME = 1514  # of MTU 1500, without a tag


@pytest.fixture
def host(in_kernel):
    host = in_kernel.host("h").start()
    host.add_br("br0")
    return host


@pytest.fixture
def pair(host):
    """Two guests with known addresses, so that frames take the direct path."""
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    one.reaches("10.0.0.2")
    for g in (one, two):
        host.wait_learned(g.mac, g.device)
    return one, two


def test_mtu_of_a_port_is_followed(host, pair):
    one, two = pair
    two.send(frame(DST))
    host.wait_learned(DST, "vm2")
    assert who_gets(one, [two], SRC, DST, size=LARGEST_FRAME) == untagged(two)
    for mtu in (1400, 1500, 1300):
        host.ns.ip(f"link set vm2 mtu {mtu}")
        wait_until(lambda m=str(mtu): host.get("Interface", "vm2", "mtu") == m, 5, f"the row has MTU {mtu}")
        before = host.drops("vm2", "oversize")
        # Four bytes more may be a tag in the frame, as the Linux bridge has it; guests cannot send them at their own MTU.
        assert who_gets(one, [two], SRC, DST, size=mtu + (18 if mtu < 1500 else 14)) == untagged(two)
        assert host.drops("vm2", "oversize") == before
        for n in range(1, 4 if mtu < 1500 else 1):
            assert who_gets(one, [two], SRC, DST, size=mtu + 19) == {}
            assert host.drops("vm2", "oversize") == before + n


# --- large packets ---

def largest(sock):
    """The longest of the waiting frames."""
    size = 0
    while (data := sock.receive()) is not None:
        size = max(size, len(data))
    return size


def test_gso_stays_whole_between_guests(host, pair):
    one, two = pair
    two.raw.drain()
    transfer(one, two, "10.0.0.2", round(20 / TIME_SCALE))
    assert largest(two.raw) > 3 * LARGEST_FRAME


def test_gso_stays_whole_through_the_tunnel(host):
    """To the kernel's vxlan device and back: neither the switch nor the underlay's devices segment them."""
    far = KernelVtep(host.lab, "far")
    host.lab.underlay(host, far)
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    host.vxlan("br0", "vx", remote_ip=far.address[4], key=10)
    far.vxlan("vx", 10, "10.0.0.2/24", far.address[4], host.address[4])
    guest.reaches("10.0.0.2")
    at_far, wire = far.ns.raw("vx"), watch(far.ns)
    transfer(guest, far, "10.0.0.2", round(20 / TIME_SCALE))
    assert largest(at_far) > 3 * LARGEST_FRAME and largest(wire) > 3 * LARGEST_FRAME
    guest.raw.drain()
    transfer(far, guest, "10.0.0.1", round(20 / TIME_SCALE))
    assert largest(guest.raw) > 3 * LARGEST_FRAME
    assert host.drops("vx", "tunnel_mtu") == 0


# --- packets that do not fit ---

@pytest.fixture
def narrow(host):
    """A trunk guest and a tunnel with room for 1450 bytes; also returns a socket on the underlay."""
    far = KernelVtep(host.lab, "far")
    host.lab.underlay(host, far, mtu=1500)
    guest = host.guest("br0", "vm1")
    host.vxlan("br0", "vx", remote_ip=far.address[4], key=10)
    host.ns.run("ping", "-n", "-c", "1", "-W", str(round(2 * TIME_SCALE)), far.address[4])  # resolves the neighbour
    wait_until(lambda: host.get("Interface", "vx", "status:guest_mtu") == "1450", 10, "the tunnel is ready")
    return guest, watch(far.ns)


def ip_packet(size, df, text):
    """An IPv4 packet with this number of bytes."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 1, 0x4000 if df else 0, 64, 253, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return (head[:10] + struct.pack("!H", checksum(head)) + head[12:] + text).ljust(size, b"\0")


@pytest.mark.parametrize("tags", [(), (0x8100,), (0x8100, 0x8100), (0x88A8, 0x8100)], ids=["none", "one", "two", "802.1ad"])
def test_reported_mtu_accounts_for_tags(host, narrow, tags):
    """RFC 7348 section 4.3: inner tags need room too. A packet of the reported MTU passes, one byte more does not."""
    guest, wire = narrow
    link = mac_bytes(DST) + mac_bytes(SRC) + b"".join(struct.pack("!HH", t, 20 + n) for n, t in enumerate(tags))
    link += struct.pack("!H", 0x0800)
    fits = 1450 - 4 * len(tags)

    def answer(size):
        """The MTU in the switch's ICMP error; None when the packet passes."""
        text = b"packet-of-%d" % size
        guest.raw.drain()
        wire.drain()
        before = host.drops("vx", "tunnel_mtu")
        guest.send(link + ip_packet(size, True, text))
        if size <= fits:
            assert len(next_outer(wire, lambda o: text in o.inner).inner) == len(link) + size
            assert host.drops("vx", "tunnel_mtu") == before
            return None
        told = guest.raw.wait_for(lambda f: f[:6] == mac_bytes(SRC) and text[:8] in f, what="the answer")
        assert host.drops("vx", "tunnel_mtu") == before + 1
        ip = told[len(link):]
        assert told[12:len(link)] == link[12:] and ip[9] == 1 and ip[20:22] == b"\x03\x04" and checksum(ip[20:]) == 0
        return struct.unpack("!H", ip[26:28])[0]
    assert answer(1480) == answer(fits + 1) == fits
    assert answer(fits) is None


def test_too_big_and_may_be_fragmented(host, narrow):
    """A switch does not fragment: counted, and not answered (RFC 1191 section 3: only with DF)."""
    guest, wire = narrow
    link = mac_bytes(DST) + mac_bytes(SRC) + struct.pack("!H", 0x0800)
    before = host.drops("vx", "tunnel_mtu")
    for n in range(1, 6):
        guest.send(link + ip_packet(1451, False, b"does-not-fit"))
        wait_until(lambda n=n: host.drops("vx", "tunnel_mtu") == before + n, 5, f"{n} packets are counted")
    guest.raw.drain()
    guest.send(link + ip_packet(1450, False, b"just-fits"))

    def fits(outer):  # the host's neighbour discovery may be on the wire too
        assert b"does-not-fit" not in outer.inner, "what does not fit is on the wire"
        return b"just-fits" in outer.inner
    next_outer(wire, fits)
    guest.send(link + ip_packet(1451, True, b"with-df"))
    first = guest.raw.wait_for(lambda f: f[:6] == mac_bytes(SRC), what="the answer")
    assert b"with-df" in first and b"does-not-fit" not in first
