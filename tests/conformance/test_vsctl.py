# SPDX-License-Identifier: Apache-2.0
"""vsctl as a replacement of ovs-vsctl: the same output and exit status for the same command lines, and the calls of
existing programs in their form. The switch is always Heddle; the tests compare the command line tools."""
import json
import os
import re
import shlex
import subprocess

import pytest
from lab import BIN, SOURCE
from net import mac, run
from vsctl_lines import LINES

ABOVE_DATAPATH = True  # see conftest.py
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def in_any_order(argv, out):
    """Debian's ovs-vsctl prints records in the order of its hash table, vsctl by name."""
    if "show" in argv:
        return sorted(out.splitlines())
    if {"list", "find"} & set(argv):
        return sorted(out.rstrip("\n").split("\n\n"))
    return out


class Clients:
    """Debian's ovs-vsctl, and vsctl under that name."""

    def __init__(self, stock_bin, directory):
        self.stock = stock_bin / "ovs-vsctl"
        self.ours = directory / "bin" / "ovs-vsctl"
        self.ours.parent.mkdir()
        self.ours.symlink_to(BIN / "vsctl")

    @staticmethod
    def call(program, host, argv):
        limit = [] if any(a.startswith(("-t", "--t")) for a in argv) else ["--timeout=20"]
        env = {**os.environ, "VSWITCH_RUNDIR": str(host.rundir)}
        return run(program, f"--db=unix:{host.rundir}/db.sock", *limit, *argv, check=False, env=env)


@pytest.fixture
def clients(stock, tmp_path):
    return Clients(stock, tmp_path)


def test_same_line_same_output(clients, lab):
    theirs, ours = lab.host("s").start(), lab.host("h").start()
    differences = []
    for line in filter(None, LINES.splitlines()):
        same = line.startswith("! ")
        argv = shlex.split(line.removeprefix("! "))
        a = clients.call(clients.stock, theirs, argv)
        b = clients.call(clients.ours, theirs if same else ours, argv)
        outs = [a.stdout, b.stdout] if same else [UUID.sub("UUID", x.stdout) for x in (a, b)]
        if "show" in argv:  # vsctl prints lines more: docs/compatibility.md
            outs[1] = re.sub(r"^ *(no_effect|warning): .*\n", "", outs[1], flags=re.M)
        if (a.returncode, in_any_order(argv, outs[0])) != (b.returncode, in_any_order(argv, outs[1])):
            differences.append(f"{line}\n  ovs-vsctl {a.returncode} {outs[0]!r} {a.stderr!r}\n"
                               f"  vsctl     {b.returncode} {outs[1]!r} {b.stderr!r}")
    assert not differences, "\n".join(differences)


def test_over_tcp_and_with_retry(stock, lab, tmp_path):
    """With Debian's ovsdb-server and Open vSwitch's schema."""
    ns = lab.namespace("tcp")
    schema = stock.parents[1] / "usr/share/openvswitch/vswitch.ovsschema"
    run(stock / "ovsdb-tool", "create", tmp_path / "peer.db", schema)
    in_ns = ["ip", "netns", "exec", ns.name]
    vsctl = [*in_ns, str(BIN / "vsctl"), "--db=tcp:127.0.0.1:6640", "--timeout=20", "--no-wait"]
    refused = run(*vsctl, "list-br", check=False)
    assert refused.returncode == 1 and "tcp:127.0.0.1:6640: Connection refused" in refused.stderr
    waiting = subprocess.Popen([*vsctl, "--retry", "add-br", "br0", "--", "list-br"], stdout=subprocess.PIPE, text=True)
    server = subprocess.Popen([*in_ns, str(stock.parents[1] / "usr/sbin/ovsdb-server"), str(tmp_path / "peer.db"),
                               "--remote=ptcp:6640:127.0.0.1", f"--unixctl={tmp_path}/peer.ctl", "-vconsole:off", "-vsyslog:off"])
    try:
        assert waiting.communicate(timeout=30)[0] == "br0\n"
        assert waiting.returncode == 0
        uuid = "0fe0c1b0-24a7-4c2b-9d1a-8f1f0f3e1a2b"
        assert run(*vsctl, f"--id={uuid}", "create", "Queue", "dscp=3").stdout == uuid + "\n"
        assert run(*vsctl, "get", "Queue", "0fe0", "dscp").stdout == "3\n"
    finally:
        for process in (waiting, server):
            process.terminate()
            process.wait()


@pytest.fixture
def host(bridged):
    return bridged


@pytest.fixture
def ovs(host, tmp_path):
    """vsctl under the name that programs call."""
    program = tmp_path / "bin" / "ovs-vsctl"
    program.parent.mkdir()
    program.symlink_to(BIN / "vsctl")

    def call(*argv, status=0):
        env = {**os.environ, "VSWITCH_RUNDIR": str(host.rundir)}
        done = run(program, *argv, check=False, env=env)
        assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout
    call.program = program
    return call


def veth(host, name):
    host.ns.ip(f"link add {name} type veth peer name {name}x")
    host.ns.ip(f"link set {name} up")
    host.ns.ip(f"link set {name}x up")


def test_libvirt(host, ovs):
    """The calls of libvirt 9.0 for a guest (recorded in test_libvirt.py), and those for migration and vhost-user."""
    veth(host, "vnet0")
    vm, iface = "c7a5fdbd-edaf-9455-926a-d65c16db1809", "0b4d8a7e-9f9d-4a2b-8f6b-2f1f6d3f7c11"
    ovs("--timeout=5", "--", "--may-exist", "add-port", "br0", "vnet0", "tag=5", "trunk=5,6", "vlan_mode=native-untagged",
        "--", "set", "Interface", "vnet0", 'external-ids:attached-mac="52:54:00:00:00:01"',
        "--", "set", "Interface", "vnet0", f'external-ids:iface-id="{iface}"',
        "--", "set", "Interface", "vnet0", f'external-ids:vm-id="{vm}"',
        "--", "set", "Interface", "vnet0", "external-ids:iface-status=active")
    assert ovs("get", "Port", "vnet0", "tag", "trunks", "vlan_mode") == "5\n[5, 6]\nnative-untagged\n"
    assert ovs("--timeout=5", "iface-to-br", "vnet0") == "br0\n"
    assert ovs("--timeout=5", "--if-exists", "get", "Interface", "vnet0", "external_ids:PortData") == "\n"
    ovs("--timeout=5", "set", "Interface", "vnet0", "external_ids:PortData=some_state")
    assert ovs("--timeout=5", "--if-exists", "get", "Interface", "vnet0", "external_ids:PortData") == "some_state\n"
    counted = ovs("--timeout=5", "--if-exists", "--format=list", "--data=json", "--no-headings", "--columns=statistics",
                  "list", "Interface", "vnet0")
    kind, pairs = json.loads(counted)
    assert kind == "map" and {"rx_bytes", "tx_bytes", "rx_packets", "tx_dropped"} <= {key for key, _ in pairs}
    clear = [w for c in ("tag", "trunk", "vlan_mode") for w in ("--", "--if-exists", "clear", "Port", "vnet0", c)]
    ovs("--timeout=5", *clear, "--", "--if-exists", "set", "Port", "vnet0", "vlan_mode=native-tagged", "tag=7", "trunk=7,8")
    assert ovs("get", "Port", "vnet0", "tag", "trunks", "vlan_mode") == "7\n[7, 8]\nnative-tagged\n"
    ovs("--timeout=5", *clear, "--", "--if-exists", "set", "Port", "vnet0", "tag=9")
    assert ovs("get", "Port", "vnet0", "tag", "trunks", "vlan_mode") == "9\n[]\n[]\n"


def test_bandwidth_of_libvirt(host, ovs):
    veth(host, "vnet0")
    ovs("add-port", "br0", "vnet0")
    ids = ['external-ids:vm-id="c7a5fdbd-edaf-9455-926a-d65c16db1809"', 'external-ids:ifname="vnet0"']

    def found(table):
        return ovs("--timeout=5", "--no-heading", "--columns=_uuid", "find", table, *ids)
    assert found("queue") + found("qos") == ""
    rates = ["other_config:min-rate=8000000", "other_config:burst=8388608", "other_config:max-rate=40000000"]
    ovs("--timeout=5", "set", "port", "vnet0", "qos=@qos1", *ids,
        "--", "--id=@qos1", "create", "qos", "type=linux-htb", *rates, "queues:0=@queue0", *ids,
        "--", "--id=@queue0", "create", "queue", *rates, *ids)
    ovs("--timeout=5", "set", "Interface", "vnet0", "ingress_policing_rate=8000", "ingress_policing_burst=1000")
    queue, qos = found("queue").strip(), found("qos").strip()
    assert UUID.fullmatch(queue) and UUID.fullmatch(qos)
    for table, record in (("queue", queue), ("qos", qos)):
        ovs("--timeout=5", "set", table, record, "other_config:min-rate=24000000", *ids)
    # One of the two named ports exists; the other is the name of a column.
    assert UUID.fullmatch(ovs("--timeout=5", "--no-heading", "--columns=_uuid", "--if-exists", "list", "port", "vnet0",
                              "qos").strip())
    ovs("--timeout=5", "remove", "port", "vnet0", "qos", qos)
    ovs("--timeout=5", "destroy", "qos", qos)
    ovs("--timeout=5", "destroy", "queue", queue)
    assert ovs("list", "QoS") + ovs("list", "Queue") == ""
    ovs("--timeout=5", "set", "Interface", "vnet0", "ingress_policing_rate=0", "ingress_policing_burst=0")
    ovs("--timeout=5", "--", "--if-exists", "del-port", "vnet0")
    ovs("--timeout=5", "--", "--if-exists", "del-port", "vnet0")


def test_neutron_agent(host, ovs):
    ovs("--timeout=10", "--id=@manager", "create", "Manager", 'target="ptcp:16640:127.0.0.1"', "--", "add", "Open_vSwitch", ".",
        "manager_options", "@manager")
    assert ovs("get-manager") == "ptcp:16640:127.0.0.1\n"
    ovs("--may-exist", "add-br", "br-int", "--", "set", "Bridge", "br-int", f"datapath_type={host.lab.datapath_type}",
        "--", "set-fail-mode", "br-int", "secure")
    ovs("--may-exist", "add-port", "br-int", "qr-1", "--", "set", "Interface", "qr-1", "type=internal",
        "external_ids:iface-id=u1", "external_ids:iface-status=active", 'external_ids:attached-mac="fa:16:3e:00:00:01"')
    ovs("set", "Port", "qr-1", "tag=4095", "vlan_mode=trunk", "trunks=4095", "other_config:net_uuid=n1")
    ovs("set", "Port", "qr-1", "tag=1", "--", "clear", "Port", "qr-1", "trunks", "vlan_mode")
    assert ovs("--columns=name,other_config,tag", "--format=json", "list", "Port", "qr-1") == (
        '{"data":[["qr-1",["map",[["net_uuid","n1"]]],1]],"headings":["name","other_config","tag"]}\n')
    assert ovs("--bare", "--columns=name", "find", "Interface", "external_ids:iface-id=u1") == "qr-1\n"
    assert int(ovs("get", "Interface", "qr-1", "ofport")) > 0
    ovs("del-manager")


def test_proxmox(host, ovs):
    veth(host, "tap100i0")
    ovs("br-exists", "br0")
    assert ovs("br-exists", "vmbr9", status=2) == ""
    ovs("add-port", "br0", "tap100i0", "tag=12", "vlan_mode=dot1q-tunnel", "other-config:qinq-ethtype=802.1q", "--", "set",
        "Interface", "tap100i0", "mtu_request=1500")
    ovs("del-port", "br0", "tap100i0")
    ovs("add-port", "br0", "tap100i0", "tag=1", "trunks=2,3,10-12", "vlan_mode=native-untagged", "--", "set", "Interface",
        "tap100i0", "mtu_request=1500")
    assert ovs("get", "Port", "tap100i0", "trunks") == "[2, 3, 10, 11, 12]\n"
    assert int(ovs("get", "Interface", "tap100i0", "ofport")) > 0
    ovs("add-port", "br0", "fwln100o0", "--", "set", "Interface", "fwln100o0", "type=internal")
    assert ovs("list-ports", "br0") == "fwln100o0\ntap100i0\n"
    ovs("del-port", "br0", "tap100i0")


def test_mininet(host, ovs):
    for name in ("s1-eth1", "s1-eth2"):
        veth(host, name)
    version = ovs("--version")
    first = re.findall(r"\d+\.\d+", version)[0]
    assert tuple(map(int, first.split("."))) >= (1, 10)  # Mininet handles older versions differently
    ovs("--", "--id=@s1c0", "create", "Controller", 'target="tcp:127.0.0.1:6653"', "max_backoff=1000",
        "--", "--id=@s1-listen", "create", "Controller", 'target="ptcp:6654"', "max_backoff=1000",
        "--", "--if-exists", "del-br", "s1", "--", "add-br", "s1", "--", "set", "bridge", "s1", "controller=[@s1c0,@s1-listen]",
        "other_config:datapath-id=0000000000000001", "fail_mode=standalone", "protocols=OpenFlow13", "stp_enable=true",
        f"datapath_type={host.lab.datapath_type}", "other-config:disable-in-band=true",
        "--", "add-port", "s1", "s1-eth1", "--", "set", "Interface", "s1-eth1", "ofport_request=1",
        "--", "add-port", "s1", "s1-eth2", "--", "set", "Interface", "s1-eth2", "ofport_request=2")
    assert ovs("get", "Interface", "s1-eth2", "ofport") == "2\n"
    assert ovs("get-controller", "s1") == "ptcp:6654\ntcp:127.0.0.1:6653\n"
    assert ovs("get", "Bridge", "s1", "datapath_id") == '"0000000000000001"\n'
    assert ovs("get", "Bridge", "s1", "status:no_effect").split()[0].strip('"') == "controller"
    controllers = ovs("--columns=_uuid", "--no-headings", "--bare", "list", "Controller").split()
    ovs("--if-exists", "del-br", "s1", *[w for c in controllers for w in ("--", "--if-exists", "destroy", "Controller", c)])
    assert ovs("list-br") == "br0\n"


def test_columns_without_effect_are_never_silent(host):
    done = host.vsctl("set", "Bridge", "br0", "stp_enable=true", "other_config:stp-priority=1", "external_ids:mine=1")
    assert "does not act on stp_enable, other_config:stp-priority" in done.stderr
    assert "no_effect: stp_enable other_config:stp-priority" in host.vsctl("show").stdout
    assert host.ask("get", "Bridge", "br0", "status:no_effect") == '"stp_enable other_config:stp-priority"'
    assert "bridge br0: these columns are set and have no effect: stp_enable" in host.log.read_text()
    assert host.vsctl("set", "Bridge", "br0", "external_ids:mine=2").stderr == ""
    host.vsctl("add-port", "br0", "i1", "--", "set", "Interface", "i1", "type=internal")
    assert "does not act on qos" in host.vsctl("set", "Port", "i1", "qos=@q", "--", "--id=@q", "create", "QoS",
                                               "type=linux-sfq").stderr
    host.vsctl("clear", "Port", "i1", "qos")
    host.vsctl("set", "Bridge", "br0", "stp_enable=false", "--", "clear", "Bridge", "br0", "other_config")
    assert "no_effect" not in host.vsctl("show").stdout


def test_bash_completion(host):
    """The completions, requested in bash's way."""
    host.vsctl("add-port", "br0", "i1", "--", "set", "Interface", "i1", "type=internal")
    completion = SOURCE / "cli/vsctl.bash"

    def offered(*line):
        text = " ".join(f"'{w}'" for w in ("vsctl", *line))
        asked = (f"PATH={BIN}:$PATH; source {completion}; COMP_WORDS=({text}); COMP_CWORD={len(line)}; _vsctl;"
                 " printf '%s\\n' \"${COMPREPLY[@]}\"")
        env = {**os.environ, "VSWITCH_RUNDIR": str(host.rundir)}
        return set(run("bash", "-c", asked, env=env).stdout.split())
    assert {"del-br", "del-port", "del-controller"} <= offered("del-")
    assert offered("emer") == {"emer-reset"}
    assert "--may-exist" in offered("--m")
    assert offered("list-ports", "b") == {"br0"}
    assert offered("del-port", "br0", "i") == {"i1"}
    assert {"Interface", "IPFIX"} <= offered("list", "I")
    assert offered("set", "Port", "i") == {"i1"}
    assert offered("set", "Port", "i1", "vlan") == {"vlan_mode="}
    assert offered("get", "Mirror", "m", "select_a") == {"select_all"}
    assert offered("list-br", "--", "set-fail-mode", "br0", "st") == {"standalone"}
    host.vxlan("br0", "vx", remote_ip="flow", remotes='"192.0.2.2,192.0.2.3"', check=False)
    address = re.findall(":|[^:]+", mac(1))  # bash parts words at colons
    assert offered("fdb-add", "br0", "vx", "0", *address, "192") == {"192.0.2.2", "192.0.2.3"}
    assert offered("fdb-add", "br0", "i1", "0", *address, "1") == set()


def test_a_fake_bridge_is_a_vlan(host):
    host.vsctl("add-br", "fk", "br0", "10")
    inside = host.guest("fk", "vm1", "10.0.10.1/24")
    also_inside = host.guest("br0", "vm2", "10.0.10.2/24", tag=10)
    outside = host.guest("br0", "vm3", "10.0.10.3/24")
    host.ns.ip("addr add 10.0.10.100/24 dev fk")
    host.ns.ip("link set fk up")
    inside.reaches("10.0.10.100")
    inside.reaches(also_inside.address)
    assert not outside.ping("10.0.10.100", timeout=0.3) and not outside.ping(inside.address, timeout=0.3)
    assert host.ask("list-ports", "fk").split() == ["vm1", "vm2"]
    host.vsctl("del-br", "fk")
    assert host.ask("list-ports", "br0") == "vm3"
