# SPDX-License-Identifier: Apache-2.0
"""Ports that are added and removed, devices that vanish, large frames, packets that do not fit, and the guests' UDP."""
import hashlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from far_end import KernelVtep
from kernel import need_frames_in_pieces
from lab import Guest, settle, untagged, wait_until, who_gets
from net import TIME_SCALE, Failure, frame, mac

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
SRC, DST = mac(1), mac(2)


@pytest.fixture
def host(bridged):
    return bridged


class Stream:
    """Numbered frames from one guest to another, each sent after the arrival of the previous one: none may be lost."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.sent = self.lost = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            self.sent += 1
            text = b"numbered-%08d" % self.sent
            self.source.send(frame(self.source.mac, self.sink.mac, text))
            try:
                self.sink.raw.wait_for(lambda f: text in f, timeout=1)
            except Failure:
                self.lost += 1

    def __enter__(self):
        settle(self.source.host, "br0", [self.source, self.sink])
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def test_ports_come_and_go_under_load(host):
    """Changes of other ports do not disturb the traffic between two ports."""
    one, two = host.guest("br0", "vm1"), host.guest("br0", "vm2")
    others = [host.guest("br0", f"ot{i}") for i in range(4)]
    with Stream(one, two) as stream:
        for _ in range(5):
            for o in others:
                host.vsctl("del-port", "br0", o.device)
            for o in others:
                host.vsctl("add-port", "br0", o.device)
    assert stream.sent > 100
    assert stream.lost == 0, f"{stream.lost} of {stream.sent} frames lost"
    wait_until(lambda: set(who_gets(one, others, SRC)) == {o.device for o in others}, 5, "ports that came back work")


def test_bridges_come_and_go_under_load(host):
    one, two = host.guest("br0", "vm1"), host.guest("br0", "vm2")
    with Stream(one, two) as stream:
        for n in range(5):
            host.vsctl(f"add-br tmp{n} -- add-br tmp{n}b")
            host.vsctl(f"del-br tmp{n} -- del-br tmp{n}b")
    assert stream.lost == 0, f"{stream.lost} of {stream.sent} frames lost"
    assert "tmp" not in host.ns.ip("-br link")


@pytest.mark.core
def test_removed_port_releases_its_device(host):
    one, two, three = (host.guest("br0", f"vm{i}") for i in (1, 2, 3))
    settle(host, "br0", [one, two, three])
    who_gets(two, [one], DST)
    host.wait_learned(DST, "vm2")
    host.vsctl("del-port", "vm2")
    assert host.entry(DST) is None
    assert "vm2" not in host.xdp_devices() and "vm2" not in host.programs()
    assert who_gets(one, [two, three], SRC, DST) == untagged(three)
    host.vsctl("add-port", "br0", "vm2")
    wait_until(lambda: who_gets(one, [two, three], SRC) == untagged(two, three), 5, "the port is back")


@pytest.mark.core
def test_device_that_returns_is_used_again(host):
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    one.reaches("10.0.0.2")
    number = host.get("Interface", "vm2", "ofport")
    for _ in range(3):
        two.unplug()
        wait_until(lambda: "vm2" in host.get("Interface", "vm2", "error"), 5, "the error names the device")
        two.plug()
        two.ns.ip("addr replace 10.0.0.2/24 dev eth0")
        one.reaches("10.0.0.2")
        wait_until(lambda: host.get("Interface", "vm2", "error") in ("", "[]"), 5, "the error is gone")
    assert host.get("Interface", "vm2", "ofport") == number


@pytest.mark.core
def test_device_that_is_renamed_is_no_longer_the_port(host):
    one = host.guest("br0", "vm1", "10.0.0.1/24")
    host.guest("br0", "vm2", "10.0.0.2/24")
    one.reaches("10.0.0.2")
    number = host.get("Interface", "vm2", "ofport")
    for old, new in (("vm2", "other"), ("other", "vm2")):
        host.ns.ip(f"link set {old} down")
        host.ns.ip(f"link set {old} name {new}")
        host.ns.ip(f"link set {new} up")
        if new == "other":
            wait_until(lambda: "vm2" in host.get("Interface", "vm2", "error"), 5, "the error names the device")
            assert "other" not in host.xdp_devices()
            assert not one.ping("10.0.0.2", timeout=0.3)
    one.reaches("10.0.0.2")
    wait_until(lambda: host.get("Interface", "vm2", "error") in ("", "[]"), 5, "the error is gone")
    assert host.get("Interface", "vm2", "ofport") == number


def test_port_before_its_device(host):
    one = host.guest("br0", "vm1", "10.0.0.1/24")
    late = host.vsctl("add-port", "br0", "late", check=False)
    assert late.returncode != 0 and "late" in late.stderr
    guest = Guest(host, "late", "10.0.0.2/24")
    host.lab.namespaces.append(guest.ns)
    one.reaches("10.0.0.2")
    assert int(host.get("Interface", "late", "ofport")) > 0


def test_link_state_is_reported(host):
    guest = host.guest("br0", "vm1")
    wait_until(lambda: host.get("Interface", "vm1", "link_state") == "up", 5, "link up")
    guest.ns.ip("link set eth0 down")
    wait_until(lambda: host.get("Interface", "vm1", "link_state") == "down", 5, "link down")
    guest.ns.ip("link set eth0 up")
    wait_until(lambda: host.get("Interface", "vm1", "link_state") == "up", 5, "link up again")
    assert host.get("Interface", "vm1", "mac_in_use") == host.ns.mac("vm1")
    assert host.get("Interface", "vm1", "mtu") == "1500"


def row_error(host, interface):
    text = host.get("Interface", interface, "error")
    return "" if text == "[]" else text


def device_mtu(host, device):
    return int(host.ns.run("cat", f"/sys/class/net/{device}/mtu").stdout)


@pytest.mark.core
@pytest.mark.parametrize("mtu", [1400, 2000])
def test_mtu_request_of_a_foreign_device(host, mtu):
    guest = host.guest("br0", "vm1")
    host.vsctl(f"set Interface vm1 mtu_request={mtu}")
    assert device_mtu(host, "vm1") == mtu
    wait_until(lambda: host.get("Interface", "vm1", "mtu") == str(mtu), 5, "the row follows")
    assert row_error(host, "vm1") == ""
    guest.unplug()
    guest.plug()
    wait_until(lambda: device_mtu(host, "vm1") == mtu, 5, "another device of that name gets it, too")
    host.vsctl("clear Interface vm1 mtu_request")
    assert device_mtu(host, "vm1") == mtu, "not wanted any more is not unwanted"


def test_impossible_mtu_request(host):
    one, two = host.guest("br0", "vm1"), host.guest("br0", "vm2")
    settle(host, "br0", [one, two])
    host.vsctl("set Interface vm1 mtu_request=70000", check=False)
    wait_until(lambda: "mtu_request" in row_error(host, "vm1") and "70000" in row_error(host, "vm1"), 5, "the error says what")
    assert device_mtu(host, "vm1") == 1500
    assert who_gets(one, [two], SRC) == untagged(two), "the port forwards all the same"
    host.vsctl("set Interface vm1 mtu_request=1500")
    wait_until(lambda: row_error(host, "vm1") == "", 5, "put right")


@pytest.mark.parametrize("kind", ["internal", "tap"])
def test_mtu_request_of_internal_devices(host, kind):
    host.vsctl(f"add-port br0 own0 -- set Interface own0 type={kind} mtu_request=1400")
    assert device_mtu(host, "own0") == 1400
    host.vsctl("set Interface own0 mtu_request=1450")
    wait_until(lambda: device_mtu(host, "own0") == 1450 and host.get("Interface", "own0", "mtu") == "1450", 5, "changed live")


def test_statistics_count(host):
    one, two = host.guest("br0", "vm1"), host.guest("br0", "vm2")
    host.vsctl("set", "Open_vSwitch", ".", "other_config:stats-update-interval=1000")
    settle(host, "br0", [one, two])
    who_gets(two, [one], DST)
    host.wait_learned(DST, "vm2")

    def statistic(port, key):
        return int(host.get("Interface", port, f"statistics:{key}"))

    def live(port):
        """Packets in and out of the datapath's counters, which the database follows."""
        row = next(line.split() for line in host.ask("port-stats").splitlines() if line.split()[:1] == [port])
        return int(row[3]), int(row[5])
    rx, tx = live("vm1")[0], live("vm2")[1]
    for _ in range(100):
        one.send(frame(SRC, DST, size=100))
    wait_until(lambda: statistic("vm1", "rx_packets") - rx >= 100 and statistic("vm2", "tx_packets") - tx >= 100, 10,
               "100 frames in and out are counted")


@pytest.mark.core
@pytest.mark.parametrize("size", [1514, 2000, 4000, 4096, 8000, 9014])
def test_jumbo_frames(host, size):
    if size > 3800:
        need_frames_in_pieces(host.lab)
    guests = [host.guest("br0", f"vm{i}", mtu=9000) for i in (1, 2, 3)]
    settle(host, "br0", guests)
    assert who_gets(guests[0], guests, SRC, size=size) == untagged(*guests[1:])
    who_gets(guests[1], guests, DST)
    host.wait_learned(DST, "vm2")
    assert who_gets(guests[0], guests, SRC, DST, size=size) == untagged(guests[1])


def test_jumbo_through_vxlan(lab):
    need_frames_in_pieces(lab)
    a, b = lab.host("a"), lab.host("b")
    lab.underlay(a, b, mtu=9100)
    guests = []
    for host, other in ((a, b), (b, a)):
        host.start()
        host.add_br("br0")
        host.vxlan("br0", "vx", remote_ip=other.address[4], key=10)
        guests.append(host.guest("br0", f"vm-{host.short}", mtu=9000))
    wait_until(lambda: who_gets(guests[0], guests, SRC) == untagged(guests[1]), 10, "the tunnel is up")
    for size in (1514, 4000, 4096, 9014):
        assert who_gets(guests[0], guests, SRC, size=size) == untagged(guests[1])


def test_frame_larger_than_a_port_takes_is_counted(host):
    need_frames_in_pieces(host.lab)
    big, small = host.guest("br0", "vm1", mtu=9000), host.guest("br0", "vm2", mtu=1500)
    other = host.guest("br0", "vm3", mtu=9000)
    settle(host, "br0", [big, small, other])
    before = host.drops("vm2", "oversize")
    assert who_gets(big, [small, other], SRC, size=5000) == untagged(other)
    host.wait_drop("vm2", "oversize", before)


@FAMILIES
def test_too_big_for_the_tunnel_is_answered(lab, family):
    """Underlay MTU 1500 leaves 1450 for the guest (RFC 7348 section 4.3), which gets an ICMP error."""
    host, far = lab.host("h"), KernelVtep(lab, "far")
    lab.underlay(host, far, mtu=1500)
    host.start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", ["10.0.0.1/24", "fd00::1/64"])
    host.vxlan("br0", "vx", remote_ip=far.address[4], key=10)
    far.vxlan("vx", 10, "fd00::2/64", far.address[4], host.address[4])
    far.ns.ip("addr add 10.0.0.2/24 dev vx")
    to, header = ("10.0.0.2", 28) if family == 4 else ("fd00::2", 48)
    guest.reaches(to)
    assert guest.ping(to, size=1450 - header, df=True)
    assert host.get("Interface", "vx", "status:guest_mtu") == "1450"
    before = host.drops("vx", "tunnel_mtu")

    def told():
        out = guest.ping_output(to, size=1451 - header, df=True)
        return "1450" in out.stdout + out.stderr
    wait_until(told, 5, "the guest hears of MTU 1450")
    host.wait_drop("vx", "tunnel_mtu", before)
    assert "1450" in guest.ns.ip(f"route get {to}")
    assert guest.ping(to, size=1400 - header, df=True)


@pytest.mark.core
@FAMILIES
@pytest.mark.parametrize("path", ["local", "vxlan"])
def test_udp_with_partial_checksums(lab, family, path):
    """Guests' kernels leave UDP checksums to the device; the receiver's kernel drops wrong ones."""
    a = lab.host("a")
    hosts = [a]
    if path == "vxlan":
        hosts.append(lab.host("b"))
        lab.underlay(*hosts)
    for h in hosts:
        h.start()
        h.add_br("br0")
    if path == "vxlan":
        for h, other in (hosts, hosts[::-1]):
            h.vxlan("br0", "vx", remote_ip=other.address[4], key=10)
    one = hosts[0].guest("br0", "vm1", ["10.0.0.1/24", "fd00::1/64"])
    two = hosts[-1].guest("br0", "vm2", ["10.0.0.2/24", "fd00::2/64"])
    to = "10.0.0.2" if family == 4 else "fd00::2"
    one.reaches(to)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with one.ns.socket(kind, socket.SOCK_DGRAM) as sender, two.ns.socket(kind, socket.SOCK_DGRAM) as sink:
        sink.bind((to, 6000))
        sink.settimeout(3 * TIME_SCALE)
        for size in (0, 1, 2, 3, 31, 32, 100, 999, 1000, 1400, 3000):  # the last is sent in fragments
            data = hashlib.sha512(str(size).encode()).digest() * 60
            sender.sendto(data[:size], (to, 6000))
            assert sink.recv(65536) == data[:size], f"{size} bytes"


def test_idle_means_idle(host):
    """Eight ports and no traffic: under 2 % of one core."""
    guests = [host.guest("br0", f"vm{i}") for i in range(8)]
    settle(host, "br0", guests)

    def cpu_seconds():
        fields = Path(f"/proc/{host.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def share():
        before, begin = cpu_seconds(), time.monotonic()
        with pytest.raises(subprocess.TimeoutExpired):  # it must not end within three seconds
            host.process.wait(3)
        return (cpu_seconds() - before) / (time.monotonic() - begin)
    wait_until(lambda: share() < 0.02, 12, "the daemon uses less than 2 % of a core")
