# SPDX-License-Identifier: Apache-2.0
"""Malformed frames from a guest and from the underlay: truncated, with contradicting lengths, with nested headers."""
import random
import socket
import struct

import pytest
from far_end import KernelVtep, vxlan_header
from lab import untagged, wait_until, who_gets
from net import BROADCAST, Failure, checksum, frame, mac


def ipv4(payload, protocol=17, options=b"", fragment=0, total=None):
    size = 20 + len(options)
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | size // 4, 0, total or size + len(payload), 7, fragment, 64, protocol, 0,
                       b"\x0a\0\0\1", b"\x0a\0\0\2") + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(payload, next_header=17):
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + payload


def udp(payload, length=None, csum=0):
    return struct.pack("!HHHH", 1000, 2000, length or 8 + len(payload), csum) + payload


TCP = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 2, 100, 0, 0)
SEEDS = [(kind, data) for kind, data in (
    (0x0800, ipv4(udp(b"hello"))), (0x0800, ipv4(TCP, 6)), (0x0800, ipv4(udp(b"options"), options=b"\1" * 40)),
    (0x0800, ipv4(udp(b"fragment"), fragment=0x2000)), (0x0800, ipv4(udp(b"last fragment"), fragment=0x00ff)),
    (0x86DD, ipv6(udp(b"six"))), (0x86DD, ipv6(TCP, 6)),
    (0x86DD, ipv6(b"".join(bytes([60, 0]) + bytes(6) for _ in range(20)) + udp(b"x"), 60)),
    (0x8100, b"\0\x0a\x08\0" + ipv4(udp(b"tagged"))), (0x88A8, b"\0\x0a\x81\0\0\x14\x08\0" + ipv4(TCP, 6)),
    (0x0806, bytes.fromhex("0001080006040001") + bytes(20)),
    (0x0800, ipv4(udp(b"udp too long", length=9999))), (0x0800, ipv4(udp(b"x"), total=9999)), (0x0800, ipv4(b"", 6)),
)]


def lies(count, seed):
    """Well-formed frames with some bytes changed or the tail cut off, determined by the seed."""
    rng = random.Random(seed)
    for n in range(count):
        kind, data = SEEDS[n % len(SEEDS)]
        whole = bytearray(frame(mac(0x5000 + n % 50), BROADCAST if n % 3 else mac(0x77), data, ethertype=kind, size=0))
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            whole[rng.randrange(12, len(whole))] = rng.choice([0, 1, 0x45, 0x4F, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        yield bytes(whole[:rng.randrange(14, len(whole) + 1)] if rng.random() < 0.5 else whole)


def test_from_a_guest(lab):
    host = lab.host("h").start()
    host.add_br("br0")
    bad = host.guest("br0", "vm1")
    good = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (2, 3)]
    good[0].reaches("10.0.0.3")
    for data in lies(5000, 1):
        bad.send(data)
    good[0].reaches("10.0.0.3")
    if lab.can("count truncated"):
        assert host.drops("vm1", "truncated") > 0
    wait_until(lambda: who_gets(bad, good, mac(1)) == untagged(*good), 5, "the port still works")


@pytest.mark.parametrize("family", [4, 6], ids=["over-ipv4", "over-ipv6"])
def test_from_the_underlay(lab, family):
    """The same frames inside VXLAN, and malformed VXLAN headers."""
    host, far = lab.host("h"), KernelVtep(lab, "far")
    lab.underlay(host, far)
    host.start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    host.vxlan("br0", "vx", remote_ip=far.address[family], key=10)
    far.vxlan("vx", 10, "10.0.0.2/24", far.address[family], host.address[family])
    guest.reaches("10.0.0.2")
    rng = random.Random(2)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with far.ns.socket(kind, socket.SOCK_DGRAM) as sender:
        for data in lies(3000, 3):
            head = vxlan_header(10 if rng.random() < 0.9 else rng.randrange(1 << 24), rng.choice([8, 8, 8, 8, 0, 255]))
            sender.sendto((head + data)[:rng.randrange(0, 200)], (host.address[family], 4789))
    guest.reaches("10.0.0.2")
    for reason in ("truncated", "bad_vxlan"):
        if lab.can(f"count {reason}"):
            host.wait_drop("", reason)


def test_endless_new_sources_do_not_starve_the_others(lab):
    """A guest with a new source address in every frame: other traffic passes, and new addresses on other ports are
    learned."""
    host = lab.host("h").start()
    host.add_br("br0", mac_table_size="512")
    bad = host.guest("br0", "vm1")
    good = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (2, 3)]
    good[0].reaches("10.0.0.3")
    lost = 0
    for turn in range(20):
        for n in range(500):
            bad.send(frame(mac(0x100000 + turn * 500 + n)))
        lost += not good[0].ping("10.0.0.3")
        new = mac(0x900000 + turn)
        good[1].send(frame(new))
        try:
            host.wait_learned(new, "vm3")
        except Failure as e:
            raise Failure(f"turn {turn}: a new address on a quiet port is not learned under attack") from e
    assert lost <= 1
    assert len(host.fdb()) <= 512
