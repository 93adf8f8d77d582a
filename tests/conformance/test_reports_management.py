# SPDX-License-Identifier: Apache-2.0
"""Faults of configuration and management that users of other switches reported, tried here. docs/testing.md says how a
report becomes a test; beside each test stand the cases of the same kind that were looked for."""
import contextlib
import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from lab import BIN, settle
from lives import cleanup, left_overs, two_daemons
from net import run, wait_until


@pytest.fixture
def host(bridged):
    return bridged


def error(host, interface):
    text = host.get("Interface", interface, "error")
    return "" if text == "[]" else text


# --- one device, one port ---

def test_internal_ports_whose_devices_would_have_one_name(host):
    """The hash of both names is the same. The first goes on as before; the second works as well or says what is in the
    way, and its end takes nothing from the first. Same kind: a restart, del-port of the second and then of the first."""
    names = ("tap42799c05-4a", "tap81da22ac-1c")
    host.add_br("br1")
    guest, other = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br1", "vm2", "10.0.1.1/24")
    for bridge, name, n in (("br0", names[0], 0), ("br1", names[1], 1)):
        host.vsctl(f"add-port {bridge} {name} -- set Interface {name} type=internal", check=False)
        if error(host, name):
            assert n == 1 and names[0] in error(host, name)
            continue
        host.ns.ip(f"addr add 10.0.{n}.2/24 dev {name}")

    def as_before():
        guest.reaches("10.0.0.2")
        if not error(host, names[1]):
            other.reaches("10.0.1.2")
    as_before()
    assert host.stop() == 0
    host.start()
    as_before()
    host.vsctl("del-port", names[1])
    as_before_first = guest.ping("10.0.0.2", count=3)
    assert as_before_first
    host.vsctl("del-port", names[0])
    assert not set(names) & set(host.ns.devices())


def test_a_port_by_another_name_of_its_device(host):
    """The device has an alternative name; a port of that name is refused, or has no effect on the first. Same kind:
    del-port of the second, a restart."""
    guests = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2)]
    guests[0].reaches("10.0.0.2")
    host.ns.ip("link property add dev vm1 altname guest-one")
    done = host.vsctl("add-port br0 guest-one", check=False)
    assert done.returncode == 1 and "guest-one" in done.stderr and error(host, "guest-one")
    assert guests[0].ping("10.0.0.2", count=3)
    host.vsctl("del-port guest-one")
    assert guests[0].ping("10.0.0.2", count=3)
    assert host.stop() == 0
    host.start()
    guests[0].reaches("10.0.0.2")


def test_a_device_that_another_daemon_has(lab):
    """Two daemons in one namespace: the second says that the device is taken, and takes nothing from the first. When the
    first lets go, the second has it. Same kind: both datapaths."""
    with two_daemons(lab) as (host, second):
        guests = [host.guest("br0", f"vm{n}", f"10.0.0.{n}/24") for n in (1, 2)]
        guests[0].reaches("10.0.0.2")
        done = second.vsctl("add-port br1 vm1", check=False)
        assert done.returncode == 1 and "vm1" in done.stderr, done.stderr
        assert error(second, "vm1")
        assert guests[0].ping("10.0.0.2", count=3)
        host.vsctl("del-port vm1")
        wait_until(lambda: error(second, "vm1") == "", 10, "the second daemon has it then")
        second.stop()


# --- name servers that do not answer ---

def test_the_end_does_not_wait_for_a_name_server(host):
    """A Manager that is called by name, and no name server answers: the daemon ends at once, and vsctl at its time-out.
    Same kind: several managers, one that is taken away, tcp and ssl."""
    directory = Path("/etc/netns") / host.ns.name
    made = not directory.parent.exists()
    directory.mkdir(parents=True)
    try:
        (directory / "resolv.conf").write_text("nameserver 198.18.53.53\noptions timeout:30 attempts:5\n")
        host.ns.ip("link add dns type veth peer name nobody")
        host.ns.ip("link set dns up")
        host.ns.ip("link set nobody up")
        host.ns.ip("addr add 198.18.53.1/24 dev dns")
        host.stop()
        host.start()
        host.vsctl("set-manager tcp:manager.example:6640 ssl:other.example:6640")
        wait_until(lambda: host.get("Manager", "tcp:manager.example:6640", "status:state") == "CONNECTING", 5)
        host.vsctl("del-manager")
        host.vsctl("set-manager tcp:third.example:6640")
        wait_until(lambda: host.get("Manager", "tcp:third.example:6640", "status:state") == "CONNECTING", 5)
        assert host.stop(timeout=3) == 0
        host.start()
        done = host.ns.run(BIN / "vsctl", "--db=tcp:manager.example:6640", "-t1", "show", check=False, timeout=10)
        assert done.returncode == 1 and "manager.example" in done.stderr
    finally:
        (directory / "resolv.conf").unlink(missing_ok=True)
        directory.rmdir()
        if made:
            directory.parent.rmdir()


# --- vsctl and a server that is restarted ---

def test_retry_goes_on_after_a_restart(host):
    """A wait for a condition, through a restart of the daemon."""
    argv = [BIN / "vsctl", f"--rundir={host.rundir}", "--retry", "-t30", "wait-until", "Bridge", "br9", "external_ids:x=1"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as waiting:
        wait_until(lambda: "1" in host.ask("clients-show"), 5)
        for _ in range(2):
            host.stop()
            host.start()
        assert waiting.poll() is None
        host.add_br("br9")
        host.vsctl("set Bridge br9 external_ids:x=1")
        assert waiting.wait(20) == 0, waiting.stderr.read()


def test_a_commit_outlives_its_server(stock, lab, tmp_path):
    """The change is committed and nobody has applied it yet, when the server is restarted: with --retry vsctl goes on
    waiting for that, and without it says that the change is committed."""
    ns = lab.namespace("db")
    schema = stock.parents[1] / "usr/share/openvswitch/vswitch.ovsschema"
    run(stock / "ovsdb-tool", "create", tmp_path / "peer.db", schema)
    at = f"unix:{tmp_path}/peer.sock"

    def server():
        started = subprocess.Popen(["ip", "netns", "exec", ns.name, str(stock.parents[1] / "usr/sbin/ovsdb-server"),
                                    str(tmp_path / "peer.db"), f"--remote=p{at}", f"--unixctl={tmp_path}/peer.ctl",
                                    "-vconsole:off", "-vsyslog:off"])
        wait_until(lambda: run(BIN / "vsctl", f"--db={at}", "--no-wait", "list-br", check=False).returncode == 0, 10)
        return started
    process = server()
    with contextlib.ExitStack() as stack:
        try:
            run(BIN / "vsctl", f"--db={at}", "--no-wait", "init")
            calls = {}
            for name, options in (("br0", ["--retry"]), ("br1", [])):
                calls[name] = stack.enter_context(subprocess.Popen([BIN / "vsctl", f"--db={at}", "-t60", *options, "add-br", name],
                                                                   stderr=subprocess.PIPE, text=True))
                wait_until(lambda name=name: name in run(BIN / "vsctl", f"--db={at}", "--no-wait", "list-br").stdout, 10)
            process.terminate()
            process.wait()
            assert calls["br1"].wait(10) == 1
            assert "the change is committed" in calls["br1"].stderr.read()
            process = server()
            assert calls["br0"].poll() is None
            run(stock / "ovsdb-client", "transact", at, json.dumps(["Open_vSwitch", {
                "op": "update", "table": "Open_vSwitch", "where": [], "row": {"cur_cfg": 99}}]))
            assert calls["br0"].wait(20) == 0, calls["br0"].stderr.read()
        finally:
            process.terminate()
            process.wait()


# --- vsctl in ovs-vsctl's place ---

def test_ports_that_share_an_interface(host):
    """Two Port records with one Interface: each can be taken out, and the bridge. Same kind: del-port, del-br, a port in
    two bridges."""
    def share():
        host.vsctl("add-port br0 p1 -- set Interface p1 type=internal")
        interface = host.ask("get Interface p1 _uuid")
        host.vsctl("--", "--id=@p", "create", "Port", "name=p2", f"interfaces={interface}", "--", "add", "Bridge", "br0", "ports", "@p",
                   check=False)
    share()
    host.vsctl("del-port p1")
    assert host.ask("list-ports br0") == "p2" and host.ask("get Interface p1 name") == "p1"
    host.vsctl("del-port p2")
    assert host.ask("list-ports br0") == "" and host.vsctl("get Interface p1 name", check=False).returncode == 1
    share()
    host.add_br("br1")
    port = host.ask("get Port p2 _uuid")
    host.vsctl("add", "Bridge", "br1", "ports", port, check=False)
    host.vsctl("del-br br0")
    host.vsctl("del-br br1")
    assert host.ask("list-br") == "" and "p1" not in host.ask("list Interface")


def test_several_servers(host, tmp_path):
    """--db with a list: the first that answers. Same kind: a path with a comma, none that answers, a word that is none."""
    odd = tmp_path / "a,b.sock"
    odd.symlink_to(host.rundir / "db.sock")
    for servers in (f"tcp:127.0.0.1:1,unix:{host.rundir}/db.sock", f"unix:{odd}", f"unix:/nowhere,unix:{odd}"):
        assert run(BIN / "vsctl", f"--db={servers}", "list-br").stdout == "br0\n"
    refused = run(BIN / "vsctl", "--db=unix:/nowhere,tcp:127.0.0.1:1", "list-br", check=False)
    assert refused.returncode == 1 and "/nowhere" in refused.stderr and "127.0.0.1:1" in refused.stderr


def test_the_directory_that_ovs_vsctl_reads(host, tmp_path):
    """OVS_RUNDIR counts when vsctl is called as ovs-vsctl, and only then."""
    ours = tmp_path / "ovs-vsctl"
    ours.symlink_to(BIN / "vsctl")
    env = {**os.environ, "OVS_RUNDIR": str(host.rundir)}
    env.pop("VSWITCH_RUNDIR", None)
    assert run(ours, "-t5", "list-br", env=env).stdout == "br0\n"
    assert str(host.rundir) not in run(BIN / "vsctl", "-t5", "list-br", env=env, check=False).stderr


def test_a_hint_can_be_pasted(host):
    """A name with characters that a shell would act on is quoted in the command that takes it out again."""
    done = host.vsctl("add-port", "br0", "a;b $c", check=False)
    hint = done.stderr.splitlines()[-1]
    assert "vsctl del-port" in hint
    words = shlex.split(hint[hint.index("vsctl del-port"):])
    assert words == ["vsctl", "del-port", "br0", "a;b $c"]
    host.vsctl(*words[1:])


# --- coming from Open vSwitch ---

@pytest.mark.core
def test_a_database_of_open_vswitch(stock, host, tmp_path):
    """One command takes over the configuration in an Open vSwitch's conf.db. Same kind: a file to which several commits
    were appended, rows with status that Open vSwitch keeps, a backup of ours."""
    schema = stock.parents[1] / "usr/share/openvswitch/vswitch.ovsschema"
    conf = tmp_path / "conf.db"
    run(stock / "ovsdb-tool", "create", conf, schema)
    at = f"unix:{tmp_path}/peer.sock"
    server = subprocess.Popen([stock.parents[1] / "usr/sbin/ovsdb-server", conf, f"--remote=p{at}", f"--unixctl={tmp_path}/peer.ctl",
                               "-vconsole:off", "-vsyslog:off"])
    try:
        wait_until(lambda: run(stock / "ovs-vsctl", f"--db={at}", "-t2", "--no-wait", "init", check=False).returncode == 0, 10)
        run(stock / "ovs-vsctl", f"--db={at}", "--no-wait", "add-br", "br5", "--", "set", "Bridge", "br5",
            f"datapath_type={host.lab.datapath_type}", "--", "add-port", "br5", "in5", "tag=7", "--", "set", "Interface", "in5",
            "type=internal", "--", "set", "Interface", "in5", "error=old")
    finally:
        server.terminate()
        server.wait()
    restore = [stock / "ovsdb-client", "restore", f"unix:{host.rundir}/db.sock", "Open_vSwitch"]
    with open(conf, encoding="utf-8") as file:
        subprocess.run(restore, stdin=file, check=True, timeout=20)
    wait_until(lambda: "in5" in host.ns.devices(), 10, "the bridge of the other switch stands")
    assert host.ask("list-br") == "br5" and host.ask("get Port in5 tag") == "7"
    wait_until(lambda: error(host, "in5") == "", 5, "an old error goes")
    backup = run(stock / "ovsdb-client", "backup", f"unix:{host.rundir}/db.sock", "Open_vSwitch").stdout
    (tmp_path / "backup").write_text(backup)
    host.add_br("br6")
    with open(tmp_path / "backup", encoding="utf-8") as file:
        subprocess.run(restore, stdin=file, check=True, timeout=20)
    wait_until(lambda: "br6" not in host.ns.devices(), 10, "as it was at the backup")
    assert host.ask("list-br") == "br5"


# --- cleaning up ---

def test_cleanup_says_what_it_did(host):
    """What was there is named, and nothing else; nothing is made. Same kind: a directory that does not exist, twice."""
    settle(host, "br0", [host.guest("br0", "vm1"), host.guest("br0", "vm2")])
    assert host.stop() == 0
    assert "removed" in cleanup(host).stdout
    assert left_overs(host) == {}
    assert cleanup(host).stdout == "nothing was left\n"
    nowhere = host.dir / "nowhere"
    done = host.ns.run(BIN / "vswitchd", "--rundir", nowhere, "--bpffs", host.bpffs, "--cleanup")
    assert done.stdout == "nothing was left\n" and not nowhere.exists()
    host.start()
