# SPDX-License-Identifier: Apache-2.0
"""fail_mode: a secure bridge waits for a controller and forwards nothing, a standalone bridge switches. flood_vlans:
VLANs without learning."""
import pytest
from lab import settle, untagged, wait_until, who_gets
from net import mac

SRC, DST = mac(1), mac(2)


@pytest.fixture
def host(bridged):
    return bridged


@pytest.fixture
def guests(host):
    guests = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2, 3)]
    settle(host, "br0", guests)
    return guests


def forwards(guests):
    return who_gets(guests[0], guests, SRC) == untagged(*guests[1:])


def assert_silent(host, guests):
    """No frame passes between guests; the drops have their reason, and no address is learned."""
    host.vsctl("fdb-flush")
    for g in guests:
        before = host.drops(g.device, "fail_secure")
        assert who_gets(g, guests, SRC) == {}
        assert who_gets(g, guests, SRC, DST) == {}
        wait_until(lambda g=g, before=before: host.drops(g.device, "fail_secure") >= before + 2, 5,
                   f"both frames of {g.device} are counted as fail_secure")
    assert host.entry(SRC) is None


@pytest.mark.core
def test_secure_and_back(host, guests):
    one = guests[0]
    one.reaches("10.0.0.2")
    host.vsctl("set-fail-mode br0 secure")
    assert host.ask("get-fail-mode br0") == "secure"
    assert not one.ping("10.0.0.2", timeout=0.3), "who was learned before is not reached either"
    assert_silent(host, guests)
    host.vsctl("set-fail-mode br0 standalone")
    assert forwards(guests)
    one.reaches("10.0.0.2")
    host.vsctl("set-fail-mode br0 secure")
    assert_silent(host, guests)
    host.vsctl("del-fail-mode br0")
    assert host.ask("get-fail-mode br0") == ""
    assert forwards(guests)


@pytest.mark.parametrize("mode", ["standalone", None])
def test_others_forward(host, mode):
    if mode:
        host.vsctl("set-fail-mode", "br0", mode)
    guests = [host.guest("br0", f"vm{n}") for n in (1, 2)]
    wait_until(lambda: forwards(guests), 10, "frames pass")
    assert sum(host.drops(g.device, "fail_secure") for g in guests) == 0


def test_secure_applies_to_one_bridge(host, guests):
    host.add_br("br1")
    others = [host.guest("br1", f"ot{n}") for n in (1, 2)]
    settle(host, "br1", others)
    host.vsctl("set-fail-mode br1 secure")
    assert_silent(host, others)
    assert forwards(guests)


def test_secure_applies_to_later_ports(host, guests):
    host.vsctl("set-fail-mode br0 secure")
    late = host.guest("br0", "late")
    assert_silent(host, [*guests, late])
    host.vsctl("del-fail-mode br0")
    assert who_gets(late, [*guests, late], SRC) == untagged(*guests)


def test_secure_shuts_out_the_host(host, guests):
    """The bridge's own port is a port like the others."""
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    host.ns.ip("link set br0 up")
    guests[0].reaches("10.0.0.9")
    host.vsctl("set-fail-mode br0 secure")
    assert not guests[0].ping("10.0.0.9", timeout=0.3)
    before = host.drops("br0", "fail_secure")
    host.ns.run("ping", "-c", "1", "-W", "0.3", "10.0.0.1", check=False)
    host.wait_drop("br0", "fail_secure", before)


def test_secure_after_a_restart(host, guests):
    host.vsctl("set-fail-mode br0 secure")
    host.kill()
    assert who_gets(guests[0], guests, SRC) == {}
    host.start()
    assert_silent(host, guests)
    assert host.stop() == 0
    host.start()
    assert_silent(host, guests)
    host.vsctl("set-fail-mode br0 standalone")
    host.kill()
    host.start()
    wait_until(lambda: forwards(guests), 10, "forwards again")


def test_secure_is_visible(host, guests):
    """An operator finds the reason why nothing passes."""
    done = host.vsctl("set-fail-mode br0 secure")
    told = host.log.read_text() + done.stderr
    assert "fail_mode" in told and "br0" in told and "del-fail-mode" in told


# --- flood_vlans ---

@pytest.fixture
def vlans(host):
    guests = {f"vm{n}": host.guest("br0", f"vm{n}", tag=tag) for n, tag in ((1, 10), (2, 10), (3, 10), (4, 20), (5, 20), (6, 20))}
    first, second = list(guests.values())[:3], list(guests.values())[3:]
    settle(host, "br0", first)
    settle(host, "br0", second)
    return first, second


def floods(host, three):
    """Frames to an address that was just seen are flooded, and no address is learned."""
    one, two, three = three
    who_gets(one, [two, three], DST)
    return who_gets(two, [one, three], SRC, DST) == untagged(one, three) and host.entry(DST) is None


def switches(host, three):
    one, two, three = three
    who_gets(one, [two, three], DST)
    host.wait_learned(DST, one.device)
    alone = who_gets(two, [one, three], SRC, DST) == untagged(one)
    host.vsctl("fdb-flush br0")
    return alone


def test_flood_vlans(host, vlans):
    first, second = vlans
    assert switches(host, first) and switches(host, second)
    host.vsctl("set Bridge br0 flood_vlans=10")
    assert floods(host, first) and switches(host, second)
    host.vsctl("set Bridge br0 flood_vlans=10,20")
    assert floods(host, first) and floods(host, second)
    host.vsctl("set Bridge br0 flood_vlans=20")
    assert switches(host, first) and floods(host, second)
    host.vsctl("clear Bridge br0 flood_vlans")
    assert switches(host, first) and switches(host, second)


def test_a_new_flood_vlan_removes_its_entries(host, vlans):
    (one, two, three), second = vlans
    who_gets(one, [two], DST)
    host.wait_learned(DST, "vm1", vlan=10)
    who_gets(second[0], [two], mac(3))
    host.wait_learned(mac(3), "vm4", vlan=20)
    host.vsctl("set Bridge br0 flood_vlans=10")
    assert host.entry(DST) is None and host.entry(mac(3))
    assert who_gets(two, [one, three], SRC, DST) == untagged(one, three)


@pytest.mark.parametrize("trunks", ["[]", "10,20"], ids=["all", "some"])
def test_flood_vlan_on_a_trunk(host, vlans, trunks):
    """The VLAN decides, not the port."""
    (one, two, three), _ = vlans
    host.vsctl("set", "Port", "vm3", "tag=[]", f"trunks={trunks}", "--", "set", "Bridge", "br0", "flood_vlans=10")
    who_gets(three, [one, two], DST, vlan=10)
    assert who_gets(one, [two, three], SRC, DST) == {"vm2": [None], "vm3": [10]}
    who_gets(three, [one, two], DST, vlan=20)
    host.wait_learned(DST, "vm3", vlan=20)
    assert host.entry(DST, vlan=10) is None


def test_flood_vlans_after_a_restart(host, vlans):
    host.vsctl("set Bridge br0 flood_vlans=10")
    host.kill()
    if host.lab.can("outlive its daemon"):
        one, two, three = vlans[0]
        who_gets(one, [two], DST)
        assert who_gets(two, [one, three], SRC, DST) == untagged(one, three)
    host.start()
    wait_until(lambda: floods(host, vlans[0]), 10, "floods again")
    assert switches(host, vlans[1])
