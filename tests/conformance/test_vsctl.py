"""vsctl in the place of ovs-vsctl: the same words to both, the same output and exit status; and the calls of the programs
that people have, as they issue them. The switch is Heddle's in all of it; what is compared is the command line."""
import json
import os
import re
import shlex
import subprocess

import pytest
from lab import BIN, SOURCE
from net import run
from test_clients import stock  # noqa: F401  (a fixture)

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# Each line goes to Debian's ovs-vsctl on one switch and to ours on another; "!" before it: to both on the same one, for
# exactly the same output, UUIDs too. One transaction builds on the one before.
LINES = """
init
add-br br0
add-br br0
--may-exist add-br br0
add-br br1 -- add-port br1 i0 -- set Interface i0 type=internal
--real list-br
br-exists br0
br-exists nope
add-port br0 i1 tag=20 -- set Interface i1 type=internal
add-port br0 i1
--may-exist add-port br0 i1
--may-exist add-port br1 i1
add-port br9 i9
add-port br0 br1
add-br i1
add-port br0 i2 trunks=1-5,9 vlan_mode=trunk -- set Interface i2 type=internal external_ids:a=b
! list-ports br0
! list-ifaces br0
list-ports br9
port-to-br i1
port-to-br br0
iface-to-br i1
iface-to-br nope
br-to-vlan br0
br-to-parent br0
br-set-external-id br0 a 1
br-set-external-id br0 b 2
! br-get-external-id br0
br-get-external-id br0 a
br-set-external-id br0 a
br-get-external-id br0
add-br fk br0 10
add-br fk br0 10
--may-exist add-br fk br0 10
--may-exist add-br fk br0 11
--may-exist add-br fk
--may-exist add-br br0 br1 3
add-br f2 br0 10
add-br f2 fk 12
add-br f2 br9 12
add-br f2 br0 4096
add-br f2 br0
list-br
--fake list-br
--real --fake list-br
br-to-vlan fk
br-to-parent fk
add-port fk i3 -- set Interface i3 type=internal
! list-ports fk
! list-ports br0
port-to-br i3
get Port i3 tag
br-set-external-id fk x y
br-get-external-id fk
get Port fk external_ids fake_bridge tag
get-controller fk
set-fail-mode fk secure
del-port br0 i3
del-port fk i3
del-port fk
del-br fk
del-br fk
--if-exists del-br fk
--if-exists del-port nope
--if-exists del-port br9 nope
del-port nope
--if-exists del-port br1 i1
del-port br0
add-bond br0 b0 e1 e2
add-bond br0 b0 e1 e2
--may-exist add-bond br0 b0 e2 e1
--may-exist add-bond br0 b0 e2 e3
--fake-iface add-bond br0 b1 e4 e5 lacp=active
get Port b1 bond_fake_iface lacp
add-bond-iface b0 e6
add-bond-iface b0 e6
--may-exist add-bond-iface b0 e4
del-bond-iface b0 e6
--if-exists del-bond-iface b0 e6
del-bond-iface e2
del-bond-iface e1
! list-ports br0
list-ifaces br0
--may-exist add-port br0 b1
--with-iface del-port br0 e4
--if-exists --with-iface del-port e99
--with-iface del-port e99
del-port b0
set-controller br0 tcp:127.0.0.1:6653 tcp:[::1]:6653
get-controller br0
--inactivity-probe=5000 set-controller br0 tcp:127.0.0.1:6654
get Controller br0 target inactivity_probe
set-fail-mode br0 secure
get-fail-mode br0
set-fail-mode br0 open
! show
del-fail-mode br0
del-controller br0
get-controller br0
! list Controller
set-ssl /k /c /ca
--bootstrap set-ssl /k2 /c2 /ca2
get-ssl
del-ssl
get-ssl
set-ssl /k /c
add-aa-mapping br0 100 20
add-aa-mapping br0 x 20
get-aa-mapping br0
del-aa-mapping br0 100 20
get-aa-mapping br0
add-zone-tp netdev zone=1 icmp_first=30
list-zone-tp netdev
list-dp-cap netdev
-- --id=@d create Datapath datapath_version=1 capabilities:x=true capabilities:y=2 -- set Open_vSwitch . datapaths:netdev=@d
add-zone-tp netdev zone=1 icmp_first=30 icmp_reply=60
add-zone-tp netdev zone=1 icmp_first=30
--may-exist add-zone-tp netdev zone=1 icmp_first=30
add-zone-tp netdev zone=2
add-zone-tp netdev zone=3 bogus=3
list-zone-tp netdev
list-dp-cap netdev
del-zone-tp netdev zone=1
del-zone-tp netdev zone=1
--if-exists del-zone-tp netdev zone=1
clear Open_vSwitch . datapaths
! --columns=name,tag,trunks,external_ids list Port
! --columns=name,tag,trunks list port i2
! -f table --columns=name,tag,trunks list Port i2 i1
! -f table --no-headings --columns=name,trunks list Port i2
! -f table --max-column-width=3 --columns=name,trunks,fake_bridge list Port i2
! -f csv --columns=name,trunks list Port i2
! -f html --columns=_uuid,name,interfaces,trunks list Port i2
! -f html -d bare --no-headings --columns=name,trunks list Port i2
! -f json --columns=_uuid,name,tag,trunks,external_ids list Port i2
! -f json --pretty --columns=name,tag,trunks list Port i2
! -d json --columns=name,trunks list Port i2
! -d bare --columns=name,trunks list Port i2
! --bare list Port i2
! --oneline --columns=name,tag list Port i2
! --columns=name list Port nope
! --if-exists --columns=name list Port nope i1
! list nosuch
! list o
! --columns=t list Port
! -f bogus list Port
! -f table --columns=name find Port tag=99
! -f html --columns=name find Port tag=99
! --columns=name find Port tag=20
! --columns=name find Port trunks{>=}1-5
! --columns=name find Port trunks{=}1,2,3,4,5,9
! --columns=name find Port trunks{<}1-9
! --columns=name find Port trunks{in}1-9
! --columns=name find Port trunks{not-in}4
! --columns=name find Port tag!=20
! --columns=name find Port tag>10
! --columns=name find Port tag<=10
! --columns=name find Port tag=[]
! --columns=name find Port tag
! --columns=name find Bridge external_ids:b=2
! --columns=name find Bridge external_ids:none!=1
! --columns=name find Bridge external_ids:none{!=}1
! --columns=name find Interface type=
! get Bridge br0
! get Bridge br0 name external_ids external_ids:b
! get Bridge br0 external_ids:none
! --if-exists get Bridge br0 external_ids:none
! --if-exists get Bridge nope name
! get Bridge nope name
! get Bridge br0 name:x
! --if-exists --id=@x get Bridge br0 name
! --id=x get Bridge br0 name
! get open . external_ids
--id=@x get Bridge br0 -- set Bridge br0 external_ids:me=5
set Bridge nope datapath_type=x
--if-exists set Bridge nope datapath_type=x
set Bridge br0 name=x
set Bridge br0 _uuid=5
set Bridge br0 external_ids=
set Bridge br0 fail_mode=open
set Bridge br0 stp_enable=maybe
set Bridge br0 other_config:mac-aging-time="60"
get Bridge br0 other_config
set Port i2 trunks=4096
set Port i2 tag=1,2
set Port i2 trunks=3,3
set Port i2 trunks=[3
set Port i2 trunks=[3,1,2]
add Port i2 trunks 7 8-9
remove Port i2 trunks 7 77
get Port i2 trunks
add Port i2 tag 5
add Port i2 tag 6
remove Port i2 tag 5
get Port i2 tag
add Bridge br0 external_ids k=v
add Bridge br0 external_ids zz
remove Bridge br0 external_ids b k=other
get Bridge br0 external_ids
clear Port i2 trunks vlan_mode
clear Port i2 interfaces
clear Port nope tag
--if-exists clear Port nope tag
set Interface i2 options:a='"x y"' options:b='""' options:c=true options:d=1a options:e=a/b
get Interface i2 options
set Port i2 qos=@q -- --id=@q create qos type=linux-htb other-config:max-rate=1000000 queues:0=@q0 queues=1=@q1,0=@q0 -- --id=@q0 create queue other-config:min-rate=1 -- --id=@q1 create queue dscp=3
get QoS i2 type other_config
get QoS nope type
set Port i2 qos=@nope
set Port i2 qos=abc
destroy QoS i2 -- clear Port i2 qos
--all destroy Queue
--all destroy Queue x
destroy Queue
destroy Queue nope
--if-exists destroy Queue nope
! list Queue
create Mirror name=x
! list Mirror
set Bridge br0 mirrors=@m -- --id=@m create Mirror name=m0 select_all=true output_port=@p -- --id=@p get Port i2
get Mirror m0 select_all
destroy Mirror m0
remove Bridge br0 mirrors @m -- --id=@m get Mirror m0
--id=@m get Mirror m0 -- remove Bridge br0 mirrors @m
--id=@f create Flow_Table name=t0 flow_limit=4 -- set Bridge br0 flow_tables:5=@f
get Flow_Table t0 flow_limit
--id=@i create IPFIX sampling=4 targets='"1.2.3.4:5"' -- set Bridge br0 ipfix=@i
get IPFIX br0 sampling targets
emer-reset
get Bridge br0 ipfix other_config
comment hello world
wait-until Bridge br0
wait-until Bridge br0 name=br0 -- list-br
-t 1 wait-until Bridge nope
-t 1 wait-until Bridge br0 fail_mode=secure
wait-until nosuch x
--oneline list-br -- get Bridge br0 name external_ids -- set Bridge br0 external_ids:z=1
--no-wait --dry-run add-br dry -- list-br
list-br -- list-br --
list-br -- bogus
bogus
add-br
add-br a b c d
list-br x
--if del-br nope
--time=5 --onel list-br
--col=name list Port i2
--no list-br
--no-syslog -vconsole:off --verbose=vsctl:console:off list-br
--timeout=-5 list-br
-t abc list-br
--may-exist list-br
list-br --format=table
del-br br0 -- del-br br1
list-br
"""

# Where we differ on purpose, the reason is in docs/compatibility.md; none of these is in LINES.


def in_any_order(argv, out):
    """Stock prints records in the order of its hash table, we by name."""
    if "show" in argv:
        return sorted(out.splitlines())
    if {"list", "find"} & set(argv):
        return sorted(out.rstrip("\n").split("\n\n"))
    return out


class Clients:
    """Debian's ovs-vsctl, and ours under that name."""

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
def clients(stock, tmp_path):  # noqa: F811
    return Clients(stock, tmp_path)


def test_same_words_same_answer(clients, lab):
    theirs, ours = lab.host("s").start(), lab.host("h").start()
    differences = []
    for line in filter(None, LINES.splitlines()):
        same = line.startswith("! ")
        argv = shlex.split(line.removeprefix("! "))
        a = clients.call(clients.stock, theirs, argv)
        b = clients.call(clients.ours, theirs if same else ours, argv)
        outs = [a.stdout, b.stdout] if same else [UUID.sub("UUID", x.stdout) for x in (a, b)]
        if "show" in argv:  # one line more is promised: docs/compatibility.md
            outs[1] = re.sub(r"^ *no_effect: .*\n", "", outs[1], flags=re.M)
        if (a.returncode, in_any_order(argv, outs[0])) != (b.returncode, in_any_order(argv, outs[1])):
            differences.append(f"{line}\n  ovs-vsctl {a.returncode} {outs[0]!r} {a.stderr!r}\n"
                               f"  vsctl     {b.returncode} {outs[1]!r} {b.stderr!r}")
    assert not differences, "\n".join(differences)


def test_over_tcp_and_with_retry(stock, lab, tmp_path):  # noqa: F811
    """Against Debian's ovsdb-server: what it serves is Open vSwitch's own schema."""
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
def host(lab):
    host = lab.host("h").start()
    host.add_br("br0")
    return host


@pytest.fixture
def ovs(host, tmp_path):
    """Our vsctl under the name that programs call."""
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
    veth(host, "vnet0")
    vm, iface = "c7a5fdbd-edaf-9455-926a-d65c16db1809", "0b4d8a7e-9f9d-4a2b-8f6b-2f1f6d3f7c11"
    ovs("--timeout=5", "--", "--if-exists", "del-port", "vnet0", "--", "add-port", "br0", "vnet0", "tag=5", "trunk=5,6",
        "vlan_mode=native-untagged",
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
    ids = [f'external-ids:vm-id="{vm}"', 'external-ids:ifname="vnet0"']
    ovs("--timeout=5", "set", "port", "vnet0", "qos=@qos1", *ids,
        "--", "--id=@qos1", "create", "qos", "type=linux-htb", "other_config:max-rate=8000000", *ids, "queues:0=@queue0",
        "--", "--id=@queue0", "create", "queue", "other_config:max-rate=8000000", "other_config:burst=1000", *ids)
    ovs("--timeout=5", "set", "Interface", "vnet0", "ingress_policing_rate=8000", "ingress_policing_burst=1000")
    queue = ovs("--timeout=5", "--no-headings", "--columns=_uuid", "find", "queue", *ids).strip()
    assert UUID.fullmatch(queue)
    ovs("--timeout=5", "clear", "port", "vnet0", "qos")
    qos = ovs("--timeout=5", "--no-headings", "--columns=_uuid", "find", "qos", *ids).strip()
    ovs("--timeout=5", "--if-exists", "destroy", "qos", qos, "--", "--if-exists", "destroy", "queue", queue)
    assert ovs("list", "QoS") + ovs("list", "Queue") == ""
    ovs("--timeout=5", "--", "clear", "Port", "vnet0", "tag", "--", "clear", "Port", "vnet0", "trunk", "--", "clear", "Port",
        "vnet0", "vlan_mode")
    assert ovs("get", "Port", "vnet0", "tag", "trunks", "vlan_mode") == "[]\n[]\n[]\n"
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
    assert tuple(map(int, first.split("."))) >= (1, 10)  # older ones get another, long-winded treatment
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


def test_debians_ifupdown_script(stock, host, ovs):  # noqa: F811
    """The script of Debian's package itself, as ifup and ifdown run it."""
    script = stock.parents[1] / "usr/share/openvswitch/scripts/ifupdown.sh"
    # It would start Debian's service if it found one; a `service` that knows none keeps it from that.
    service = ovs.program.parent / "service"
    service.write_text("#!/bin/sh\nexit 1\n")
    service.chmod(0o755)
    veth(host, "eth7")

    def script_run(mode, iface, **variables):
        env = {**os.environ, "PATH": f"{ovs.program.parent}:{os.environ['PATH']}", "VSWITCH_RUNDIR": str(host.rundir),
               "MODE": mode, "IFACE": iface, **{f"IF_OVS_{k}": v for k, v in variables.items()}}
        done = subprocess.run(["ip", "netns", "exec", host.ns.name, "sh", script], env=env, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    script_run("start", "vmbr0", TYPE="OVSBridge", EXTRA=f"set Bridge vmbr0 datapath_type={host.lab.datapath_type}")
    script_run("start", "eth7", TYPE="OVSPort", BRIDGE="vmbr0", OPTIONS="tag=7")
    script_run("start", "mgmt", TYPE="OVSIntPort", BRIDGE="vmbr0", OPTIONS="vlan_mode=access", EXTRA="set Port ${IFACE} tag=8")
    assert ovs("list-ports", "vmbr0") == "eth7\nmgmt\n"
    assert ovs("get", "Port", "eth7", "tag") + ovs("get", "Port", "mgmt", "tag") == "7\n8\n"
    assert int(ovs("get", "Interface", "eth7", "ofport")) > 0
    script_run("stop", "eth7", TYPE="OVSPort", BRIDGE="vmbr0")
    script_run("stop", "mgmt", TYPE="OVSIntPort", BRIDGE="vmbr0")
    assert ovs("list-ports", "vmbr0") == ""
    script_run("stop", "vmbr0", TYPE="OVSBridge")
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
                                               "type=linux-htb").stderr
    host.vsctl("clear", "Port", "i1", "qos")
    host.vsctl("set", "Bridge", "br0", "stp_enable=false", "--", "clear", "Bridge", "br0", "other_config")
    assert "no_effect" not in host.vsctl("show").stdout


def test_bash_completion(host):
    """What the shell offers, asked as the shell would ask."""
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
