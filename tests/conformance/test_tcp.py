# SPDX-License-Identifier: Apache-2.0
"""TCP with the kernel's default offloads, without ethtool in the guest."""
import json
import shutil
import socket
import subprocess

import pytest
from far_end import KernelVtep
from kernel import need_frames_in_pieces, tells_vlan_tags
from lab import transfer, wait_until
from net import TIME_SCALE, Failure, run

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
MEGABYTES = round(100 / TIME_SCALE)


def addresses(n):
    return [f"10.0.0.{n}/24", f"fd00::{n}/64"]


def at(n, family):
    return f"10.0.0.{n}" if family == 4 else f"fd00::{n}"


def both_ways(one, two, family, megabytes=MEGABYTES):
    one.reaches(at(2, family))
    transfer(one, two, at(2, family), megabytes)
    transfer(two, one, at(1, family), megabytes // 4)


@pytest.mark.core
@FAMILIES
def test_between_guests(lab, family):
    host = lab.host("h").start()
    host.add_br("br0")
    one, two = (host.guest("br0", f"vm{n}", addresses(n)) for n in (1, 2))
    both_ways(one, two, family)


@FAMILIES
def test_guest_and_host(lab, family):
    """The host by the bridge's own device."""
    host = lab.host("h").start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", addresses(1))
    for a in addresses(2):
        host.ns.ip(f"addr add {a} dev br0" + (" nodad" if ":" in a else ""))
    host.ns.ip("link set br0 up")
    guest.reaches(at(2, family))
    transfer(guest, host, at(2, family), MEGABYTES)
    transfer(host, guest, at(1, family), MEGABYTES)


@FAMILIES
@pytest.mark.parametrize("underlay", [4, 6], ids=["over-ipv4", "over-ipv6"])
def test_through_vxlan(lab, family, underlay):
    a, b = lab.host("a"), lab.host("b")
    lab.underlay(a, b, mtu=1570)
    guests = []
    for n, (host, other) in enumerate(((a, b), (b, a)), 1):
        host.start()
        host.add_br("br0")
        host.vxlan("br0", "vx", remote_ip=other.address[underlay], key=10)
        guests.append(host.guest("br0", "vm1", addresses(n)))
    both_ways(*guests, family)


@pytest.mark.core
@FAMILIES
def test_through_vxlan_to_the_kernel(lab, family):
    """The kernel's vxlan device sends inner packets with partial checksums, and segments them."""
    host, far = lab.host("h"), KernelVtep(lab, "far")
    lab.underlay(host, far, mtu=1550)
    host.start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", addresses(1))
    host.vxlan("br0", "vx", remote_ip=far.address[4], key=10)
    far.vxlan("vx", 10, at(2, 6) + "/64", far.address[4], host.address[4])
    far.ns.ip(f"addr add {at(2, 4)}/24 dev vx")
    guest.reaches(at(2, family))
    transfer(guest, far, at(2, family), MEGABYTES)
    transfer(far, guest, at(1, family), MEGABYTES)


@FAMILIES
def test_mtu_smaller_than_the_guests(lab, family):
    """Underlay and guests with MTU 1500: the switch reports the fitting MTU to the guests, and TCP uses it."""
    a, b = lab.host("a"), lab.host("b")
    lab.underlay(a, b, mtu=1500)
    guests = []
    for n, (host, other) in enumerate(((a, b), (b, a)), 1):
        host.start()
        host.add_br("br0")
        host.vxlan("br0", "vx", remote_ip=other.address[4], key=10)
        guests.append(host.guest("br0", "vm1", addresses(n)))
    both_ways(*guests, family, megabytes=20)


@FAMILIES
def test_jumbo(lab, family):
    need_frames_in_pieces(lab)
    host = lab.host("h").start()
    host.add_br("br0")
    one, two = (host.guest("br0", f"vm{n}", addresses(n), mtu=9000) for n in (1, 2))
    both_ways(one, two, family)


_TAGGER = """
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
SEC("classifier/push") int push(struct __sk_buff *s) { bpf_skb_vlan_push(s, __builtin_bswap16(0x8100), 10); return TC_ACT_OK; }
SEC("classifier/pop") int pop(struct __sk_buff *s) { bpf_skb_vlan_pop(s); return TC_ACT_OK; }
char _license[] SEC("license") = "GPL";
"""


def make_tagged(guest, directory):
    """The work of a VLAN device in the guest, where the kernel has none: adds tags on egress as metadata of the packet,
    as 802.1Q devices do on a veth, and removes tags on ingress."""
    if not shutil.which("clang"):
        pytest.skip("needs clang to make the guest tag its packets")
    (directory / "tagger.c").write_text(_TAGGER)
    arch = run("gcc", "-print-multiarch", check=False).stdout.strip() or "x86_64-linux-gnu"
    run("clang", "-O2", "-target", "bpf", f"-I/usr/include/{arch}", "-c", directory / "tagger.c", "-o",
        directory / "tagger.o")
    guest.ns.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    for way, section in (("egress", "push"), ("ingress", "pop")):
        guest.ns.run("tc", "filter", "add", "dev", "eth0", way, "bpf", "da", "obj", directory / "tagger.o", "sec",
                     f"classifier/{section}")
    if guest.host.lab.datapath_type == "user" and not tells_vlan_tags():
        guest.ns.run("ethtool", "-K", "eth0", "txvlan", "off")  # the advice of docs/operations.md


@pytest.mark.core
@FAMILIES
@pytest.mark.parametrize("peer", ["access", "tagged"])
def test_tagged_guest(lab, family, peer, tmp_path):
    host = lab.host("h").start()
    host.add_br("br0")
    one = host.guest("br0", "vm1", addresses(1), trunks=10)
    make_tagged(one, tmp_path)
    two = host.guest("br0", "vm2", addresses(2), **({"tag": 10} if peer == "access" else {"trunks": 10}))
    if peer == "tagged":
        make_tagged(two, tmp_path)
    both_ways(one, two, family)


def test_iperf3_runs(lab):
    """Four streams at once for two seconds: no stall, and no endless retransmissions."""
    if not shutil.which("iperf3"):
        pytest.skip("iperf3 is not installed (apt-get install iperf3)")
    host = lab.host("h").start()
    host.add_br("br0")
    one, two = (host.guest("br0", f"vm{n}", addresses(n)) for n in (1, 2))
    one.reaches(at(2, 4))
    server = subprocess.Popen(["ip", "netns", "exec", two.ns.name, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: ":5201" in two.ns.run("ss", "-Hltn").stdout, 5, "iperf3 listens")
        report = json.loads(one.ns.run("iperf3", "-J", "-t", "2", "-P", "4", "-c", at(2, 4)).stdout)
    finally:
        server.terminate()
        server.wait()
    for stream in report["end"]["streams"]:
        if stream["receiver"]["bytes"] < 1_000_000:
            raise Failure(f"a stream starved: {stream}")


# A guest's own tunnel device, by kind: options of `ip link add`, and its overhead.
OVERLAYS = {
    "vxlan": "type vxlan id 7 remote {far} local {near} dstport 4789",
    "vxlan-checksums": "type vxlan id 7 remote {far} local {near} dstport 8472 udpcsum",
    "geneve": "type geneve id 7 remote {far}",
    "gretap": "type gretap remote {far} local {near} key 5",
    "gre": "type gre remote {far} local {near}",
    "ipip": "type ipip remote {far} local {near}",
}


def own_overlay(guest, kind, near, far, n):
    made = run("ip", "-n", guest.ns.name, *f"link add own mtu 1400 {OVERLAYS[kind].format(near=near, far=far)}".split(), check=False)
    if "Unknown device type" in made.stderr:
        pytest.skip(f"this kernel has no {kind} devices")
    assert made.returncode == 0, made.stderr
    guest.ns.ip(f"addr add 172.16.0.{n}/24 dev own")
    guest.ns.ip("link set own up")


def udp_answers(one, two, address, port=5002):
    """A datagram gets through: its checksum is right."""
    with two.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink, one.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        sink.bind((address, port))
        sink.settimeout(0.3)

        def arrives():
            source.sendto(b"datagram", (address, port))
            try:
                return sink.recv(100) == b"datagram"
            except TimeoutError:
                return False
        wait_until(arrives, 10, "a datagram in the guests' own overlay arrives")


@pytest.mark.parametrize("way", ["local", "tunnel"])
@pytest.mark.parametrize("kind", OVERLAYS)
def test_guests_with_an_overlay_of_their_own(lab, kind, way):
    """The guest leaves the checksum inside its tunnel to the device; the tunnel's own is computed as if that was done."""
    if way == "local":
        host = lab.host("h").start()
        host.add_br("br0")
        one, two = (host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2))
    else:
        hosts, guests = lab.overlay()
        one, two = guests
    one.reaches("10.0.0.2")
    own_overlay(one, kind, "10.0.0.1", "10.0.0.2", 1)
    own_overlay(two, kind, "10.0.0.2", "10.0.0.1", 2)
    udp_answers(one, two, "172.16.0.2")
    transfer(one, two, "172.16.0.2", MEGABYTES // 20)
    transfer(two, one, "172.16.0.1", MEGABYTES // 20)
