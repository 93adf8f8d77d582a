# SPDX-License-Identifier: Apache-2.0
"""Programs from Debian's packages that configure Open vSwitch by ovs-vsctl: mininet, and ifupdown with the script of
openvswitch-switch."""
import os
import re

import pytest
from net import Failure
from sandbox import Sandbox
from stock import fetch, unpack

ABOVE_DATAPATH = True  # see conftest.py
# In a process namespace of its own, since it kills processes by name, and with the kernel's settings read-only.
MININET = r"""
exec unshare --pid --fork --kill-child --mount-proc sh -c '
  mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec /usr/bin/python3 {script}'
"""


def packages(*names):
    try:
        return unpack("-".join(names), names)
    except Failure as e:
        pytest.skip(str(e))


@pytest.fixture
def host(lab):
    return lab.host("h").start()


def run_mininet(host, program):
    """Runs a program of the Mininet API; returns the calls of ovs-vsctl and the printed text."""
    sandbox = Sandbox(host, "mininet", packages("mininet"))
    script = sandbox.dir / "program.py"
    script.write_text("from mininet.link import OVSLink\nfrom mininet.net import Mininet\nfrom mininet.node import OVSBridge\n"
                      "from mininet.topo import LinearTopo, SingleSwitchTopo\n" + program)
    done = sandbox.run(MININET.format(script=script), timeout=120)
    failed = [argv for status, argv in sandbox.calls() if status != 0]
    assert not failed, done.stderr
    return sandbox.calls(), done.stdout + done.stderr


def test_mininet(host):
    calls, said = run_mininet(host, """
net = Mininet(topo=SingleSwitchTopo(k=3), switch=OVSBridge, controller=None)
net.start()
print("lost", net.pingAll(timeout="2"))
print("connected", net["s1"].connected(), net["s1"].vsctl("list-ports s1").split())
net["s1"].detach("s1-eth3")
print("lost", net.ping([net["h1"], net["h3"]], timeout="1"))
net["s1"].attach("s1-eth3")
print("lost", net.ping([net["h1"], net["h3"]], timeout="2"))
net.stop()
""")
    assert re.findall(r"^lost (\S+)", said, re.M) == ["0.0", "100.0", "0.0"], said
    assert "connected True ['s1-eth1', 's1-eth2', 's1-eth3']" in said
    whole = next(argv for _, argv in calls if "add-br" in argv)
    assert whole.count("add-port") == 3 and whole[:3] == ["--", "--if-exists", "del-br"]
    assert host.ask("list-br") == "" and host.ask("list Controller") == ""


def test_mininet_starts_many_switches_at_once(host):
    calls, said = run_mininet(host, """
net = Mininet(topo=LinearTopo(k=4, sopts={"batch": True}), switch=OVSBridge, controller=None)
net.start()
print("lost", net.pingAll(timeout="2"))
net.stop()
""")
    assert "lost 0.0" in said, said
    assert sum(argv.count("add-br") for _, argv in calls) == 4 and len([argv for _, argv in calls if "add-br" in argv]) == 1
    assert host.ask("list-br") == ""


def test_mininet_joins_switches_by_patch_ports(host):
    calls, said = run_mininet(host, """
net = Mininet(topo=LinearTopo(k=3), switch=OVSBridge, link=OVSLink, controller=None)
net.start()
print("lost", net.pingAll(timeout="2"))
net.stop()
""")
    assert "lost 0.0" in said, said
    assert sum(argv.count("type=patch") for _, argv in calls) == 4


INTERFACES = """
auto vmbr0
iface vmbr0 inet static
    address 192.0.2.1/24
    ovs_type OVSBridge
    ovs_ports eth7 mgmt
    ovs_extra set Bridge vmbr0 datapath_type={datapath_type}
allow-vmbr0 eth7
iface eth7 inet manual
    ovs_bridge vmbr0
    ovs_type OVSPort
    ovs_options tag=7
allow-vmbr0 mgmt
iface mgmt inet static
    address 198.51.100.1/24
    ovs_bridge vmbr0
    ovs_type OVSIntPort
    ovs_options vlan_mode=access
    ovs_extra set Port ${{IFACE}} tag=8
"""
# The script would start Debian's service of Open vSwitch, if installed, unless the service seems to run.
IFUPDOWN = r"""
for program in systemctl service; do printf '#!/bin/sh\n' >/usr/bin/$program; chmod +x /usr/bin/$program; done
mkdir -p /run/network /etc/network/if-pre-up.d /etc/network/if-post-down.d
rm -f /etc/network/if-*.d/*
for when in pre-up post-down; do cp {script} /etc/network/if-$when.d/openvswitch; done
cp {interfaces} /etc/network/interfaces
ifup --allow=auto --all
ovs-vsctl list-ports vmbr0 -- get Port eth7 tag -- get Port mgmt tag
ip -o -4 addr show | grep -Eo '(vmbr0|mgmt) +inet [0-9.]+'
ifdown --allow=auto --all
ovs-vsctl list-br
"""


def test_ifupdown(host):
    """ifup and ifdown of a bridge with a port and an internal port, in the words of interfaces(5)."""
    try:
        script = fetch().parents[1] / "usr/share/openvswitch/scripts/ifupdown.sh"
    except Failure as e:
        pytest.skip(str(e))
    sandbox = Sandbox(host, "ifupdown", packages("ifupdown"))
    host.ns.ip("link add eth7 type veth peer name eth7x")
    interfaces = sandbox.dir / "interfaces"
    interfaces.write_text(INTERFACES.format(datapath_type=host.lab.datapath_type))
    done = sandbox.run(IFUPDOWN.format(script=script, interfaces=interfaces), env={**os.environ, "VERBOSITY": "0"})
    assert not [argv for status, argv in sandbox.calls() if status != 0], done.stderr
    assert done.stdout.split("\n") == ["eth7", "mgmt", "7", "8", "vmbr0    inet 192.0.2.1", "mgmt    inet 198.51.100.1", ""], (
        done.stderr)
