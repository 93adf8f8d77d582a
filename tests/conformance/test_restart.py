# SPDX-License-Identifier: Apache-2.0
"""The daemon's life: kill and restart, orderly end, two daemons side by side, never two on one rundir."""
import signal
import time

import pytest
from lab import BIN, wait_until
from net import run
from rpc import Rpc


def configured(lab):
    host = lab.host("h").start()
    host.add_br("br0", mac_aging_time="120")
    guests = [host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24"),
              host.guest("br0", "vm3", "10.0.0.3/24", tag=20)]
    guests[0].reaches("10.0.0.2")
    return host, guests


def configuration(host):
    """The operator's configuration, without the columns that the daemon writes."""
    return [host.ask(*c.split()) for c in (
        "--columns=name,datapath_type,other_config list Bridge",
        "--columns=name,tag,trunks,vlan_mode list Port", "--columns=name,type,options list Interface")]


@pytest.mark.core
@pytest.mark.parametrize("times", [1, 3])
def test_killed_and_restarted(lab, times):
    host, guests = configured(lab)
    before = configuration(host)
    numbers = [host.get("Interface", g.device, "ofport") for g in guests]
    for _ in range(times):
        host.kill()
        host.start()
        assert configuration(host) == before
        guests[0].reaches("10.0.0.2")
        assert not guests[0].ping("10.0.0.3", timeout=0.3)  # still another VLAN
    assert [host.get("Interface", g.device, "ofport") for g in guests] == numbers
    assert list(host.rundir.glob("*.ctl")) == [host.rundir / f"vswitchd.{daemon_pid(host)}.ctl"]


def daemon_pid(host):
    return int((host.rundir / "vswitchd.pid").read_text())


def test_queries_and_changes_during_the_start(lab):
    """The database answers before the switch is ready. A change or a command waits until the switch applies it."""
    host, guests = configured(lab)
    host.kill()
    host.process = host.spawn()
    wait_until(host.serving, 15, "the database answers")
    host.vsctl("set Port vm3 tag=0")
    assert host.ask("get Interface vm3 error") == "[]"
    guests[0].reaches("10.0.0.3")
    host.kill()
    host.process = host.spawn()
    wait_until(host.serving, 15, "the database answers")
    assert "vm3" in host.ask("port-stats")
    assert host.ready()
    host.kill()
    host.process = host.spawn()
    wait_until(host.serving, 15, "the database answers")
    assert host.stop() == 0, "the signal to end, whenever it comes, is an order and no failure"
    host.start()
    guests[0].reaches("10.0.0.3")


def test_killed_in_the_middle_of_changes(lab):
    """Changes that vsctl reported as done stay done."""
    host, guests = configured(lab)
    for n in range(5):
        host.vsctl(f"add-br b{n}")
        host.kill()
        host.start()
        assert f"b{n}" in host.ask("list-br").split()
    guests[0].reaches("10.0.0.2")


@pytest.mark.core
def test_killed_with_a_tunnel(lab):
    (a, b), guests = lab.overlay()
    guests[0].reaches("10.0.0.2")
    a.kill()
    a.start()
    guests[0].reaches("10.0.0.2")
    a.ns.run("ping", "-c", "1", "-W", "1", b.address[4])


@pytest.mark.core
def test_address_of_the_bridge_survives(lab):
    host, guests = configured(lab)
    host.ns.ip("addr add 10.0.0.9/24 dev br0")
    host.ns.ip("link set br0 up")
    guests[0].reaches("10.0.0.9")
    address = host.ns.mac("br0")
    host.kill()
    host.start()
    guests[0].reaches("10.0.0.9")
    assert host.ns.mac("br0") == address
    assert host.stop() == 0
    host.start()
    guests[0].reaches("10.0.0.9")


def test_ends_in_good_order(lab):
    host, _ = configured(lab)
    assert host.stop() == 0
    left = sorted(p.name for p in host.rundir.iterdir() if p.name.endswith((".sock", ".ctl", ".pid")))
    assert left == []
    assert host.xdp_devices() == []
    host.start()


def test_second_daemon_on_the_same_rundir_is_refused(lab):
    host, guests = configured(lab)
    second = run("ip", "netns", "exec", host.ns.name, BIN / "vswitchd", "--rundir", host.rundir, "--db",
                 host.dir / "other.db", check=False, timeout=10)
    assert second.returncode != 0
    assert str(host.rundir) in second.stderr and str(daemon_pid(host)) in second.stderr
    guests[0].reaches("10.0.0.2")
    host.vsctl("list-br")


def test_two_daemons_side_by_side(lab):
    """In one namespace, with rundirs of their own."""
    host, guests = configured(lab)
    second = lab.host("second")
    original, second.ns = second.ns, host.ns
    second.start()
    second.add_br("other0")
    more = [second.guest("other0", f"ot{i}", f"10.0.1.{i}/24") for i in (1, 2)]
    more[0].reaches("10.0.1.2")
    guests[0].reaches("10.0.0.2")
    assert second.stop() == 0
    guests[0].reaches("10.0.0.2")
    second.ns = original


def test_detached(lab):
    """--detach returns when the daemon serves; the pid file names it."""
    host = lab.host("h")
    pidfile = host.dir / "own.pid"
    begin = time.monotonic()
    run("ip", "netns", "exec", host.ns.name, BIN / "vswitchd", "--rundir", host.rundir, "--db", host.db, "--bpffs",
        host.bpffs, "--detach", f"--pidfile={pidfile}", "--log-file", host.log, timeout=20)
    assert time.monotonic() - begin < 10
    host.vsctl("add-br br0")
    pid = int(pidfile.read_text())
    run("kill", "-TERM", pid)
    wait_until(lambda: run("kill", "-0", pid, check=False).returncode != 0, 10, "the daemon ends")
    assert not pidfile.exists()


@pytest.mark.parametrize("how", ["SIGHUP", "vlog/reopen"])
def test_log_rotation(lab, how):
    """The log goes on in a new file after the old one was renamed, and the daemon goes on forwarding."""
    host = lab.host("h")
    log, old = host.dir / "switch.log", host.dir / "switch.log.1"
    host.start("--log-file", log)
    host.add_br("br0")
    guests = [host.guest("br0", f"vm{i}", f"10.0.0.{i}/24") for i in (1, 2)]
    guests[0].reaches("10.0.0.2")
    log.rename(old)
    host.add_br("br1")
    assert "added bridge br1" in old.read_text() and not log.exists()

    def reopen():
        if how == "SIGHUP":
            host.process.send_signal(signal.SIGHUP)
        else:
            with Rpc(next(host.rundir.glob("vswitchd.*.ctl"))) as control:
                assert control.call("vlog/reopen")["error"] is None
    reopen()
    wait_until(log.exists, 10, "the log file is opened again")
    host.add_br("br2")
    assert "added bridge br2" in log.read_text() and "br2" not in old.read_text()
    # A directory in the file's place: the log goes on where it was.
    log.rename(host.dir / "switch.log.2")
    log.mkdir()
    if how == "SIGHUP":
        reopen()
        wait_until(lambda: "goes on in the former file" in (host.dir / "switch.log.2").read_text(), 10, "the failure is logged")
    host.add_br("br3")
    assert "added bridge br3" in (host.dir / "switch.log.2").read_text()
    assert host.process.poll() is None
    guests[0].reaches("10.0.0.2")


def test_hangup_without_a_log_file(lab):
    """A daemon whose log goes to stderr has nothing to open, and does not end."""
    host = lab.host("h").start()
    host.process.send_signal(signal.SIGHUP)
    host.add_br("br0")
    assert host.process.poll() is None
    with Rpc(next(host.rundir.glob("vswitchd.*.ctl"))) as control:
        refused = control.call("vlog/reopen")["error"]
    assert "stderr" in refused and refused.endswith("\n")


def test_detached_that_fails_says_so(lab):
    host = lab.host("h")
    (host.dir / "file").write_text("")
    done = run("ip", "netns", "exec", host.ns.name, BIN / "vswitchd", "--rundir", host.dir / "file/run", "--db", host.db,
               "--detach", check=False, timeout=20)
    assert done.returncode != 0 and "file/run" in done.stderr
