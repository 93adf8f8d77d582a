# SPDX-License-Identifier: Apache-2.0
"""The devices of the kernel datapath: its own devices when other programs change them or after the daemon was killed,
and ports' devices that other programs also use."""
import json

import pytest
from far_end import KernelVtep
from lab import untagged, wait_until, who_gets
from lives import cleanup, known, left_overs
from net import mac, run

SRC = mac(1)
LARGEST_MTU = 65535


@pytest.fixture
def host(in_kernel):
    host = in_kernel.host("h").start()
    host.add_br("br0")
    return host


@pytest.fixture
def tunnel(in_kernel):
    """A host for configure(), and the kernel's VTEP (10.0.0.2) in network 10."""
    host, far = in_kernel.host("h"), KernelVtep(in_kernel, "far")
    in_kernel.underlay(host, far)
    far.mac = far.vxlan("vx", 10, "10.0.0.2/24", far.address[4], host.address[4])
    return host, far


def configure(host, far):
    """Starts the switch; returns its guest (10.0.0.1), which reaches the far end through the port vx."""
    host.start()
    host.add_br("br0")
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    host.vxlan("br0", "vx", remote_ip=far.address[4], key=10)
    guest.reaches("10.0.0.2")
    return guest


def device(namespace, name):
    """The kernel's data of a device, or None."""
    done = namespace.run("ip", "-j", "-d", "-s", "link", "show", name, check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


def back_name(port):
    """The name of the switch's end of an internal port's pair: FNV-1a (32 bits) of the port's name."""
    value = 2166136261
    for c in port.encode():
        value = (value ^ c) * 16777619 & 0xFFFFFFFF
    return f"hd{value:08x}"


def error(host, interface):
    text = host.get("Interface", interface, "error")
    return "" if text == "[]" else text


def wait_error(host, interface, *words):
    return wait_until(lambda: all(w in error(host, interface) for w in words), 5,
                      f"{interface} has an error with {', '.join(words)}")


def wait_well(host, interface):
    wait_until(lambda: error(host, interface) == "", 5, f"{interface} has no error")


# --- without a BPF file system ---

@pytest.mark.core
def test_without_a_bpf_file_system(tunnel):
    """Nothing can be pinned: forwarding ends with the daemon, and the remaining vxlan device passes no frame of any
    network to the host."""
    host, far = tunnel
    run("umount", host.bpffs)
    host.bpffs.rmdir()
    host.bpffs.write_text("not a directory")
    guest = configure(host, far)
    assert "no BPF file system" in host.log.read_text() and "forwarding will stop" in host.log.read_text()
    # The host's own address through a VNI without a port, as a foreign VTEP could try.
    far.vxlan("stray", 999, "10.9.9.2/24", far.address[4], host.address[4])
    far.ns.ip("route add 203.0.113.7/32 dev stray")
    host.ns.ip("addr add 203.0.113.7/32 dev lo")
    host.ns.ip("route add 10.9.9.0/24 via 192.0.2.2")

    def received():
        return device(host.ns, "hdvx4789")["stats64"]["rx"]["packets"]

    def host_answers():
        before = received()
        far.ns.run("ip", "neigh", "flush", "dev", "stray")
        done = far.ns.run("ping", "-n", "-c", "2", "-i", "0.1", "-W", "0.3", "203.0.113.7", check=False)
        wait_until(lambda: received() > before, 5, "the frames come as far as the vxlan device")
        return done.returncode == 0
    assert not host_answers()
    by_tcx = host.get("Interface", "vm1", "status:tc_hook") == "tcx"
    host.kill()
    if by_tcx:  # clsact filters, the only kind on older kernels, stay with their devices
        assert not guest.ping("10.0.0.2", timeout=0.3), "nothing forwards any more"
    assert not host_answers()
    host.start()
    guest.reaches("10.0.0.2")
    assert not host_answers()
    assert set(host.programs().values()) == {1}, "no program twice"
    host.kill()
    host.ns.run("tc", "filter", "del", "dev", "hdvx4789", "ingress")
    assert host_answers(), "it was the program that kept them out"
    host.start()
    guest.reaches("10.0.0.2")
    assert host.stop() == 0
    cleanup(host)
    assert {k: v for k, v in left_overs(host).items() if k != "pins"} == {}


# --- the vxlan device ---

@pytest.mark.core
def test_vxlan_device_that_is_set_down(tunnel):
    host, far = tunnel
    guest = configure(host, far)
    index = device(host.ns, "hdvx4789")["ifindex"]
    for _ in range(3):
        host.ns.ip("link set hdvx4789 down")
        guest.reaches("10.0.0.2")
    assert device(host.ns, "hdvx4789")["ifindex"] == index, "set up, not made anew"
    assert error(host, "vx") == ""


def test_vxlan_device_that_is_deleted(tunnel):
    host, far = tunnel
    guest = configure(host, far)
    host.vxlan("br0", "vx11", remote_ip=far.address[4], key=11)
    indexes = {device(host.ns, "hdvx4789")["ifindex"]}
    for n in range(1, 4):
        host.ns.ip("link del hdvx4789")
        guest.reaches("10.0.0.2")
        indexes.add(device(host.ns, "hdvx4789")["ifindex"])
        assert len(indexes) == n + 1
    assert error(host, "vx") == error(host, "vx11") == ""
    assert host.programs()["hdvx4789"] == 1
    host.kill()
    host.start()
    guest.reaches("10.0.0.2")
    assert device(host.ns, "hdvx4789")["ifindex"] in indexes, "what was made anew is taken over"


# --- a device without alias after the daemon was killed ---

@pytest.mark.parametrize("what", ["vxlan", "pair"])
def test_killed_while_adding_a_device(tunnel, what):
    """The device exists under its name, down, without an alias: the next start completes it."""
    host, far = tunnel
    guest = configure(host, far)
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    guest.reaches("10.0.0.9")
    back = back_name("br0")
    owner = device(host.ns, "hdvx4789")["ifalias"]
    assert device(host.ns, back)["ifalias"] == device(host.ns, "br0")["ifalias"] == owner
    host.kill()
    host.ns.ip("link del hdvx4789" if what == "vxlan" else f"link del {back}")
    if what == "vxlan":
        names = ["hdvx4789"]
        host.ns.ip("link add hdvx4789 type vxlan external dstport 4789 nolearning udp6zerocsumrx")
    else:
        names = ["br0", back]
        host.ns.ip(f"link add br0 type veth peer name {back}")
    made = {n: device(host.ns, n)["ifindex"] for n in names}
    host.start()
    if what == "pair":
        host.ns.ip("addr replace 10.0.0.9/24 dev br0")
    guest.reaches("10.0.0.2")
    guest.reaches("10.0.0.9")
    assert {n: device(host.ns, n)["ifindex"] for n in names} == made
    assert {device(host.ns, n)["ifalias"] for n in names} == {owner}
    assert error(host, "vx") == error(host, "br0") == ""
    assert host.stop() == 0
    cleanup(host)
    assert left_overs(host) == {}


# --- internal ports that move ---

def test_internal_port_in_a_container(host):
    """Its device then belongs to the container: neither settings nor restarts change it, or another device of its name. What
    is set and cannot be had there is an error."""
    guest = host.guest("br0", "vm1", "10.0.0.1/24")
    host.vsctl("add-port br0 p1 -- set Interface p1 type=internal mtu_request=1400")
    box = host.lab.namespace("box")
    back = back_name("p1")
    host.ns.ip(f"link set p1 netns {box.name}")
    box.ip("addr add 10.0.0.7/24 dev p1")
    box.ip("link set p1 mtu 1500 up")
    address = box.mac("p1")
    guest.reaches("10.0.0.7")
    wait_until(lambda: "namespace" in host.get("Interface", "p1", "status"), 10, "the status tells where it is")

    def unharmed():
        now, end = device(box, "p1"), device(host.ns, back)
        assert (now["mtu"], now["address"]) == (1500, address)
        assert end["mtu"] == LARGEST_MTU and "UP" in end["flags"] and end["address"] == near["address"]
        assert guest.ping("10.0.0.7", size=1472, df=True)
    near = device(host.ns, back)
    unharmed()

    def says_what_cannot_be_had():
        return "mtu 1500 instead of 1300" in error(host, "p1") and "02:00:00:00:00:77" in error(host, "p1")
    assert host.vsctl("set", "Interface", "p1", "mtu_request=1300", 'mac="02:00:00:00:00:77"', check=False).returncode == 1
    unharmed()
    assert says_what_cannot_be_had()

    host.ns.ip("link add p1 type veth peer name other")
    host.ns.ip("link set p1 up")
    stranger = device(host.ns, "p1")
    host.kill()
    guest.reaches("10.0.0.7")
    host.start()
    guest.reaches("10.0.0.7")
    unharmed()
    assert says_what_cannot_be_had()
    assert "p1" not in host.programs()
    for key in ("ifindex", "mtu", "address", "flags"):
        assert device(host.ns, "p1")[key] == stranger[key], key
    host.ns.ip("link del p1")

    box.ip(f"link set p1 netns {host.ns.name}")
    host.ns.ip("link set p1 up")
    host.ns.ip("addr add 10.0.0.7/24 dev p1")
    guest.ns.ip("neigh flush dev eth0")  # the address may have been set while the device was away
    guest.reaches("10.0.0.7")
    wait_until(lambda: "namespace" not in host.get("Interface", "p1", "status"), 10, "the status tells that it is back")
    host.vsctl("set", "Interface", "p1", "mtu_request=1350")
    wait_until(lambda: device(host.ns, "p1")["mtu"] == 1350, 5, "settings have an effect again")
    assert device(host.ns, "p1")["address"] == "02:00:00:00:00:77"
    guest.reaches("10.0.0.7")
    host.vsctl("del-port p1")
    assert device(host.ns, "p1") is None and device(host.ns, back) is None


# --- a port's device that another program takes ---

def test_device_that_is_enslaved_later(host):
    one, two = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    known(one, two)
    host.ns.ip("link add other type bridge")
    host.ns.ip("link set vm2 master other")
    wait_error(host, "vm2", "vm2", "nomaster")
    assert "vm2" not in host.programs() and host.entry(two.mac) is None
    assert who_gets(one, [two], SRC) == {} and who_gets(two, [one], SRC) == {}
    host.kill()
    host.start()
    wait_error(host, "vm2", "vm2", "nomaster")
    host.ns.ip("link set vm2 nomaster")
    wait_well(host, "vm2")
    assert who_gets(one, [two], SRC) == untagged(two)
    one.reaches("10.0.0.2")
