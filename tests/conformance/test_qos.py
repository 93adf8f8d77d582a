# SPDX-License-Identifier: Apache-2.0
"""Egress QoS of type linux-htb: frames wait until the port's rate allows them, and are not lost while the queue has
room. Passed frames are compared with the token bucket's bound, not with a clock."""
import re

import pytest
from bursts import OVERSHOOT, burst, in_order
from lab import make_known, settle, transfer, wait_until
from net import TIME_SCALE, frame

MBIT = 1_000_000
BURST = 500_000  # bits that may leave at once: a shaper's default at these rates


def shape(host, port, rate, queue=None, number=0, check=True):
    """Like ovs-vsctl(8) and libvirt: a QoS with one queue, both with @names. `rate`: bit/s; None: no limit."""
    words = ["set", "Port", port, "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb"]
    if rate:
        words.append(f"other-config:max-rate={rate}")
    if queue is not None:
        words += [f"queues:{number}=@q0", "--", "--id=@q0", "create", "Queue", *[f"other-config:{k.replace('_', '-')}={v}"
                                                                             for k, v in queue.items()]]
    return host.vsctl(*words, check=check)


def unshape(host, port):
    host.vsctl("clear", "Port", port, "qos")


@pytest.fixture
def host(bridged):
    return bridged


@pytest.fixture
def guests(pair):
    return pair


def fill(source, sink, count=300):
    """Leaves this number of frames waiting at a slow port."""
    for _ in range(count):
        source.send(frame(source.mac, sink.mac, size=1000))


def error(host, port):
    text = host.get("Interface", port, "error")
    return "" if text == "[]" else text


def shaped(result, rate, size=BURST):
    """All frames arrived, in order, and not faster than allowed."""
    result.is_whole()
    assert in_order(result)
    result.within(rate, size)
    assert result.seconds >= (result.bits(result.sent) / OVERSHOOT - size) / rate


# --- waiting frames ---

def test_burst_is_stretched_and_nothing_lost(host, guests):
    shape(host, "vm2", 8 * MBIT, {"max_rate": 8 * MBIT})
    shaped(burst(*guests, 600), 8 * MBIT)
    assert host.drops("", "shaped") == host.drops("", "tx_queue_full") == 0


def test_rate_of_the_port_alone(host, guests):
    """Without queues, all frames use the default queue."""
    shape(host, "vm2", 8 * MBIT)
    shaped(burst(*guests, 600), 8 * MBIT)


def test_rate_of_queue_0(host, guests):
    """The queue's rate is lower than the port's."""
    shape(host, "vm2", 1000 * MBIT, {"max_rate": 8 * MBIT})
    shaped(burst(*guests, 600), 8 * MBIT)


def test_rate_of_the_port_is_the_limit(host, guests):
    shape(host, "vm2", 8 * MBIT, {"max_rate": 1000 * MBIT})
    shaped(burst(*guests, 600), 8 * MBIT)


def test_configured_burst(host, guests):
    """The bucket is not larger than the configured burst."""
    shape(host, "vm2", 2 * MBIT, {"max_rate": 2 * MBIT, "burst": 100_000})
    shaped(burst(*guests, 150), 2 * MBIT, 100_000 + BURST // 4)


def test_queue_that_is_not_0(host, guests):
    """Frames without a queue by policy are limited by the port's rate only."""
    shape(host, "vm2", 1000 * MBIT, {"max_rate": 1 * MBIT}, number=5)
    result = burst(*guests, 300)
    result.is_whole()
    assert result.seconds < 300 * 8000 / MBIT / 2, "2.4 s if queue 5 were theirs"


def test_queue_that_is_full(host, guests):
    """Frames that find the queue full are dropped and counted."""
    shape(host, "vm2", 1 * MBIT, {"max_rate": 1 * MBIT})
    result = burst(*guests, 1800, size=200, quiet=1)
    missing = result.sent - result.received
    assert missing > 0 and result.received >= 500
    assert in_order(result)
    result.within(1 * MBIT, BURST)
    counted = wait_until(lambda: sum(host.drops("vm2", r) for r in ("shaped", "tx_queue_full", "tx_error")), 5, "drops are counted")
    print(f"{missing} frames lost, {counted} counted at vm2")


def test_the_other_direction_and_other_ports_are_not_limited(host, guests):
    one, two = guests
    third = host.guest("br0", "vm3")
    settle(host, "br0", [one, two, third])
    make_known(host, one, two, third)
    shape(host, "vm2", 1 * MBIT, {"max_rate": 1 * MBIT})
    for source, sink in ((two, one), (one, third)):
        result = burst(source, sink, 300)
        result.is_whole()
        assert result.bits(300) > BURST + MBIT * result.seconds, "faster than the shaped port"


def test_tcp(host, guests):
    """With the guests' offloads: the rate is observed and used."""
    one, two = guests
    one.reaches("10.0.0.2")
    shape(host, "vm2", 40 * MBIT, {"max_rate": 40 * MBIT})
    megabytes = max(2, round(6 / TIME_SCALE))
    seconds = transfer(one, two, "10.0.0.2", megabytes)
    assert (megabytes << 23) <= (BURST * 4 + 40 * MBIT * seconds) * OVERSHOOT
    print(f"{(megabytes << 23) / seconds / MBIT:.1f} of 40 Mbit/s")


@pytest.mark.parametrize("way", ["to-the-host", "from-the-host"])
def test_the_bridges_own_port(host, guests, way):
    """The port's egress is the host's ingress."""
    one, _ = guests
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    host.ns.ip("link set br0 up")
    one.reaches("10.0.0.9")
    shape(host, "br0" if way == "to-the-host" else "vm1", 20 * MBIT, {"max_rate": 20 * MBIT})
    source, sink, address = (one, host, "10.0.0.9") if way == "to-the-host" else (host, one, "10.0.0.1")
    seconds = transfer(source, sink, address, 3)
    assert (3 << 23) <= (BURST * 4 + 20 * MBIT * seconds) * OVERSHOOT
    unshape(host, "br0" if way == "to-the-host" else "vm1")
    transfer(source, sink, address, 3)


# --- changes ---

def test_changed_and_removed_live(host, guests):
    shape(host, "vm2", 1 * MBIT, {"max_rate": 1 * MBIT})
    shaped(burst(*guests, 100), 1 * MBIT)
    queue = host.ask("--bare --columns=_uuid list Queue")
    qos = host.ask("--bare --columns=_uuid list QoS")
    host.vsctl(f"set Queue {queue} other-config:max-rate={8 * MBIT} -- set QoS {qos} other-config:max-rate={8 * MBIT}")
    result = burst(*guests, 600)
    shaped(result, 8 * MBIT)
    assert result.bits(600) > BURST + MBIT * result.seconds, "faster than before"
    unshape(host, "vm2")
    result = burst(*guests, 600)
    result.is_whole()
    assert result.bits(600) > BURST + 8 * MBIT * result.seconds, "faster than before"


def test_port_is_removed_while_frames_wait(host, guests):
    """And added again, without a backlog."""
    one, two = guests
    for _ in range(3):
        shape(host, "vm2", 100_000, {"max_rate": 100_000})
        fill(one, two)
        host.vsctl("del-port vm2 -- add-port br0 vm2")
        make_known(host, two)
        burst(one, two, 100).is_whole()


def test_qos_is_removed_while_frames_wait(host, guests):
    one, two = guests
    shape(host, "vm2", 100_000, {"max_rate": 100_000})
    fill(one, two)
    unshape(host, "vm2")
    result = burst(one, two, 100)
    result.is_whole()
    assert result.bits(100) > BURST + 100_000 * result.seconds


def test_device_that_returns_is_shaped_again(host, guests):
    one, two = guests
    shape(host, "vm2", 1 * MBIT, {"max_rate": 1 * MBIT})
    two.unplug()
    two.plug()
    two.ns.ip("addr replace 10.0.0.2/24 dev eth0")
    one.reaches("10.0.0.2")
    make_known(host, two)
    shaped(burst(one, two, 150), 1 * MBIT)


@pytest.mark.core
def test_after_a_restart(host, guests):
    shape(host, "vm2", 1 * MBIT, {"max_rate": 1 * MBIT})
    host.kill()
    if host.lab.can("outlive its daemon"):
        shaped(burst(*guests, 150), 1 * MBIT)
    host.start()
    guests[0].reaches("10.0.0.2")
    make_known(host, *guests)
    shaped(burst(*guests, 150), 1 * MBIT)
    assert host.stop() == 0
    host.start()
    guests[0].reaches("10.0.0.2")
    unshape(host, "vm2")
    make_known(host, *guests)
    result = burst(*guests, 300)
    result.is_whole()
    assert result.bits(300) > BURST + MBIT * result.seconds


# --- state in the kernel and in the rows ---

def root_qdisc(host, device):
    """The line of tc for the device's root qdisc, without counters."""
    return [line for line in host.ns.run("tc", "qdisc", "show", "dev", device).stdout.splitlines()
            if "clsact" not in line and "ingress" not in line]


def queue_counters(host, port):
    """{queue: (packets, bytes, dropped)} of qos-show."""
    rows = [line.split() for line in host.ask("qos-show", port).splitlines()[2:]]
    return {int(row[0]): tuple(map(int, row[-3:])) for row in rows}


def test_queues_are_counted(host, guests):
    assert "no QoS" in host.ask("qos-show vm2")
    shape(host, "vm2", 8 * MBIT, {"min_rate": MBIT, "max_rate": 4 * MBIT})
    shown = host.ask("qos-show vm2")
    assert f"at most {8 * MBIT} bit/s" in shown and str(4 * MBIT) in shown and str(MBIT) in shown
    packets, octets, dropped = queue_counters(host, "vm2")[0]
    result = burst(*guests, 50)
    after = queue_counters(host, "vm2")[0]
    result.is_whole()
    assert 50 <= after[0] - packets <= 55, "a kernel of a guest may say something of its own"
    assert 50 * 1000 <= after[1] - octets <= 50 * 1030 + 5 * 100, "with or without what the link adds"
    assert after[2] == dropped


@pytest.mark.core
def test_the_kernels_configuration(in_kernel, host, guests):
    before = root_qdisc(host, "vm2")
    shape(host, "vm2", 9 * MBIT, {"min_rate": 2 * MBIT, "max_rate": 7 * MBIT, "priority": 3})
    assert any("htb" in line for line in root_qdisc(host, "vm2"))
    classes = host.ns.run("tc", "-s", "class", "show", "dev", "vm2").stdout
    assert re.search(r"rate 9Mbit ceil 9Mbit", classes), classes
    assert re.search(r"prio 3 rate 2Mbit ceil 7Mbit", classes), classes
    burst(*guests, 20)
    counted = max(int(n) for n in re.findall(r"Sent \d+ bytes (\d+) pkt", host.ns.run("tc", "-s", "class", "show", "dev", "vm2").stdout))
    assert counted >= 20
    unshape(host, "vm2")
    assert root_qdisc(host, "vm2") == before
    shape(host, "vm2", 9 * MBIT)
    host.vsctl("del-port vm2")
    assert root_qdisc(host, "vm2") == before, "the device is as it was"


def test_cleanup_removes_the_qdisc(in_kernel, host, guests):
    """exit --cleanup also removes the qdisc."""
    before = root_qdisc(host, "vm2")
    shape(host, "vm2", 9 * MBIT, {"max_rate": 9 * MBIT})
    host.vsctl("exit --cleanup")
    host.process.wait(10 * TIME_SCALE)
    host.process = None
    assert root_qdisc(host, "vm2") == before


def test_a_foreign_qdisc_stays(in_kernel, host, guests):
    host.ns.run("tc", "qdisc", "add", "dev", "vm2", "root", "handle", "7:", "pfifo", "limit", "50")
    theirs = root_qdisc(host, "vm2")
    assert shape(host, "vm2", 9 * MBIT, {"max_rate": 9 * MBIT}, check=False).returncode == 1
    wait_until(lambda: all(w in error(host, "vm2") for w in ("vm2", "pfifo", "tc qdisc del")), 5, "the error names it and the remedy")
    assert root_qdisc(host, "vm2") == theirs
    assert burst(*guests, 20).received == 20, "the port forwards all the same"
    host.ns.run("tc", "qdisc", "del", "dev", "vm2", "root")
    unshape(host, "vm2")
    shape(host, "vm2", 9 * MBIT, {"max_rate": 9 * MBIT})
    assert error(host, "vm2") == ""
    assert any("htb" in line for line in root_qdisc(host, "vm2"))


def test_ports_without_a_device_are_refused(lab, host, guests):
    """A tunnel has no queue of its own; its underlay's device has."""
    host.ns.ip("addr add 192.0.2.1/24 dev br0")  # a route
    host.vxlan("br0", "vx", remote_ip="192.0.2.99", key=10)
    host.vsctl("add-port br0 patch0 -- set Interface patch0 type=patch options:peer=patch1")
    for port in ("vx", "patch0"):
        assert shape(host, port, 9 * MBIT, {"max_rate": 9 * MBIT}, check=False).returncode == 1
        wait_until(lambda port=port: "QoS of port" in error(host, port) and "no queues of its own" in error(host, port), 5,
                   f"{port} has an error")
        unshape(host, port)
        wait_until(lambda port=port: error(host, port) == "", 5, "without it there is none")


def test_types_without_effect_are_reported(host, guests):
    host.vsctl("set Port vm2 qos=@q -- --id=@q create QoS type=linux-sfq")
    wait_until(lambda: "linux-sfq" in host.log.read_text() and "linux-htb" in host.log.read_text(), 5, "the log says so")
    burst(*guests, 300).is_whole()
    host.vsctl("set Port vm2 qos=@q -- --id=@q create QoS type=linux-noop")
    assert error(host, "vm2") == ""


def test_an_invalid_rate(host, guests):
    host.vsctl("set Port vm2 qos=@q -- --id=@q create QoS type=linux-htb other-config:max-rate=much")
    wait_until(lambda: "max-rate=much" in host.log.read_text() and "vm2" in host.log.read_text(), 5, "the log says so")
    burst(*guests, 300).is_whole()
