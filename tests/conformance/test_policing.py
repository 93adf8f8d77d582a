# SPDX-License-Identifier: Apache-2.0
"""ingress_policing_*: limits on a port's ingress. Passed frames are compared with the token bucket's bound, not with a
clock."""
import pytest
from bursts import OVERSHOOT, burst
from lab import transfer, untagged, wait_until, who_gets
from net import TIME_SCALE, mac

SRC = mac(1)
KBIT = 1000
LOST = ("policed", "rx_queue_full", "no_frame", "tx_queue_full", "mailbox_full")


def police(host, interface="vm1", **columns):
    """ingress_policing_rate, _burst (kbit/s, kbit) and _kpkts_rate, _kpkts_burst."""
    host.vsctl("set", "Interface", interface, *[f"ingress_policing_{k}={v}" for k, v in columns.items()])


@pytest.fixture
def host(bridged):
    return bridged


@pytest.fixture
def guests(pair):
    return pair


def lost(host):
    return {reason: host.drops("", reason) for reason in LOST}


def accounted(host, result, before):
    """Every missing frame is counted as policed (or was lost in the kernel's backlog)."""
    missing = result.sent - result.received

    def all_told():
        now = lost(host)
        return missing - result.backlog <= sum(now.values()) - sum(before.values()) <= missing
    wait_until(all_told, 5, f"{missing} frames are counted as lost; before {before}, now {lost(host)}")
    return host.drops("vm1", "policed") - before["policed"]


@pytest.mark.core
def test_rate_and_burst(host, guests):
    police(host, rate=1000, burst=400)
    before = lost(host)
    result = burst(*guests, 400)
    result.within(1000 * KBIT, 400 * KBIT)
    policed = accounted(host, result, before)
    assert policed > 0
    assert result.bits(result.received) * OVERSHOOT >= 400 * KBIT, "a full bucket lets its burst through"
    assert host.drops("vm2", "policed") == 0, "counted at the port that brought them"


def test_the_average_holds(host, guests):
    """More than twice the burst passes in the end: the bucket refills."""
    police(host, rate=2000, burst=200)
    passed = 0

    def three_bursts():
        nonlocal passed
        result = burst(*guests, 50, quiet=0.1)
        result.within(2000 * KBIT, 200 * KBIT)
        passed += result.bits(result.received)
        return passed > 3 * 200 * KBIT
    wait_until(three_bursts, 20, "three times the burst")


def test_frame_longer_than_the_burst(host, guests):
    """The frame passes when the bucket is not empty, and overdraws it."""
    police(host, rate=100, burst=2)

    def passes():
        return burst(*guests, 1, size=1500, quiet=0.2).received == 1
    wait_until(passes, 10, "a frame passes")
    result = burst(*guests, 50, size=1500)
    result.within(100 * KBIT, 2 * KBIT)
    assert result.received < 50


def test_burst_of_zero_is_the_default(host, guests):
    """8,000 kbit when the column is 0 (ovs-vswitchd.conf.db(5))."""
    police(host, rate=1000)
    result = burst(*guests, 700)  # 5,600 kbit
    result.is_whole()
    result = burst(*guests, 1000)
    assert 0 < result.received < 1000


def test_packets(host, guests):
    police(host, kpkts_rate=1, kpkts_burst=1)
    before = lost(host)
    result = burst(*guests, 3000, size=60)
    for n, (when, _) in enumerate(result.came, 1):
        assert n <= (1000 + 1000 * when) * OVERSHOOT + 1
    assert result.received >= 900
    assert accounted(host, result, before) > 0


def test_both_kinds(host, guests):
    """Either empty bucket drops."""
    police(host, rate=100000, burst=100000, kpkts_rate=1, kpkts_burst=1)
    assert burst(*guests, 1500, size=60).received < 1500
    police(host, rate=100, burst=100, kpkts_rate=1000, kpkts_burst=1000)
    result = burst(*guests, 100)
    assert result.received < 100
    result.within(100 * KBIT, 100 * KBIT)


def test_removed(host, guests):
    police(host, rate=100, burst=100)
    assert burst(*guests, 100).received < 100
    police(host, rate=0)
    before = host.drops("vm1", "policed")
    burst(*guests, 300).is_whole()
    assert host.drops("vm1", "policed") == before


def test_changed_live(host, guests):
    police(host, rate=100, burst=100)
    assert burst(*guests, 100).received < 100
    police(host, rate=1000000, burst=80000)
    burst(*guests, 500).is_whole()


def test_other_ports_and_the_other_direction_are_not_limited(host, guests):
    one, two = guests
    police(host, rate=100, burst=100)
    burst(two, one, 300).is_whole()


def test_after_a_restart(host, guests):
    police(host, rate=100, burst=100)
    host.kill()
    if host.lab.can("outlive its daemon"):
        assert burst(*guests, 100).received < 100
    host.start()
    guests[1].reaches("10.0.0.1")
    result = burst(*guests, 100)
    result.within(100 * KBIT, 100 * KBIT)
    police(host, rate=0)
    host.kill()
    host.start()
    guests[1].reaches("10.0.0.1")
    burst(*guests, 100).is_whole()


def test_tcp_keeps_to_it(host, guests):
    """A 64 kB GSO packet counts with its bytes on the wire."""
    rate, size = 20_000 * KBIT, 2_000 * KBIT
    police(host, rate=rate // KBIT, burst=size // KBIT)
    one, two = guests
    one.reaches("10.0.0.2")
    megabytes = max(1, round(3 / TIME_SCALE))
    seconds = transfer(one, two, "10.0.0.2", megabytes)
    assert (megabytes << 20) * 8 <= (size + rate * seconds) * OVERSHOOT
    fast = transfer(two, one, "10.0.0.1", megabytes)
    print(f"{seconds:.2f} s policed, {fast:.2f} s the other way")


def test_a_gso_packet_counts_its_segments(host, guests):
    rate = 1000
    police(host, kpkts_rate=1, kpkts_burst=1)
    one, two = guests
    one.reaches("10.0.0.2")
    seconds = transfer(one, two, "10.0.0.2", 3)
    assert (3 << 20) // 1448 <= (1000 + rate * seconds) * OVERSHOOT


def test_of_the_host(host, guests):
    """The bridge's own port is a port like the others: the host's frames are policed."""
    two = guests[1]
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    host.ns.ip("link set br0 up")
    two.reaches("10.0.0.9")
    police(host, "br0", rate=8000, burst=800)
    seconds = transfer(host, two, "10.0.0.2", 1)
    assert (1 << 20) * 8 <= (800 * KBIT + 8000 * KBIT * seconds) * OVERSHOOT
    assert host.drops("br0", "policed") > 0


def test_of_a_tunnel(lab):
    """Frames from the other host are policed after decapsulation."""
    (_, b), guests = lab.overlay()
    guests[0].reaches("10.0.0.2")
    police(b, "vx", rate=1000, burst=100)
    result = burst(*guests, 200)
    result.within(1000 * KBIT, 100 * KBIT)
    b.wait_drop("vx", "policed")
    assert burst(*reversed(guests), 200).received == 200


def test_of_a_patch_port(host):
    host.add_br("br1")
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br1", "vm2", "10.0.0.2/24")
    host.vsctl("add-port br0 patch0 -- set Interface patch0 type=patch options:peer=patch1 -- "
               "add-port br1 patch1 -- set Interface patch1 type=patch options:peer=patch0")
    wait_until(lambda: who_gets(one, [two], SRC) == untagged(two), 10, "frames pass")
    one.reaches("10.0.0.2")
    police(host, "patch1", rate=1000, burst=100)
    result = burst(one, two, 200)
    result.within(1000 * KBIT, 100 * KBIT)
    host.wait_drop("patch1", "policed")
    burst(two, one, 200).is_whole()
