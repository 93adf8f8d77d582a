# SPDX-License-Identifier: Apache-2.0
"""The switches with which Heddle (heddle.py) is compared, and their common interface: start() on a host with guest
ports and optionally a VXLAN tunnel to the other host, and stop(). `pin`: the CPU for the packet thread, or None."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from lab import UNDERLAY_IP, run, undisturbed

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / "release" / "bin"
PEER = ROOT / "build" / "peer"
VNI = 10
FDB_RECORD = 16  # bytes of an entry in the bridge's table in sysfs


def other(host):
    return "h2" if host == "h1" else "h1"


def wait_for(what, condition, seconds=15, pace=0.02):
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise RuntimeError(f"{what}: not after {seconds} s")
        time.sleep(pace)


class Switch:
    """Owns processes and a scratch directory, and ends them."""

    name = ""
    underlay = "u0"  # the device with the host's underlay address
    tcp_needs_offloads_off = False
    rate_needs_gro = False  # frames that XDP sends into a veth need a program or GRO there
    restarts = False  # forwarding survives the daemon's death

    def __init__(self, lab):
        self.lab = lab
        self.processes = []
        self.started = 0  # number of started processes, for the names of their logs
        self.directory = None
        self.host = None

    def start(self, host, ports, tunnel, pin):
        self.host = host  # also for stop()
        self.directory = Path(tempfile.mkdtemp(prefix=f"heddle-bench-{self.name}-"))
        try:
            self.set_up(ports, tunnel, pin)
        except BaseException:
            self.stop()
            raise

    @undisturbed()
    def stop(self):
        if self.host is None:
            return
        self.before_end()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        for device in ("vx", "br0", "brphy"):  # taps and bridges outlive their creators
            run("ip", "-n", self.lab.ns(self.host), "link", "del", device, check=False)
        self.tear_down()
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None
        self.host = None

    def set_up(self, ports, tunnel, pin):
        raise NotImplementedError

    def before_end(self):
        """Called while the processes still run. Must not raise."""

    def tear_down(self):
        """Called after the processes have ended. Must not raise."""

    def spawn(self, command, pin=None, env=None):
        """Starts a process in the host's namespace; its output goes to a file in the scratch directory."""
        if pin is not None:
            command = ("taskset", "-c", str(pin), *command)
        log = open(self.directory / f"{self.started:02}.out", "w")
        self.started += 1
        whole = self.lab.inside(self.host, *map(str, command))
        process = subprocess.Popen(whole, stdout=log, stderr=subprocess.STDOUT, env=env, start_new_session=False)
        log.close()
        self.processes.append(process)
        return process

    def output(self):
        return "\n".join(p.read_text()[-2000:] for p in sorted(self.directory.glob("*.out")))

    def wait_alive(self, what, condition):
        def check():
            for process in self.processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{what}: ended with {process.returncode}: {self.output()}")
            return condition()

        wait_for(what, check)


class OpenVSwitch(Switch):
    """Debian's package, unpacked and not installed. One PMD; `type=afxdp` ports on a netdev bridge. A tunnel's underlay
    address is on a separate bridge, as Open vSwitch's user-space datapath requires. With two switches on one machine
    the polling threads would starve each other, so `relaxed` lets them sleep (pmd-maxsleep)."""

    name = "ovs"
    tcp_needs_offloads_off = True
    relaxed = False

    def set_up(self, ports, tunnel, pin):
        tree = PEER / "root"
        directory = self.directory
        self.env = dict(os.environ, OVS_RUNDIR=str(directory), OVS_LOGDIR=str(directory), OVS_DBDIR=str(directory),
                        OVS_SYSCONFDIR=str(directory), OVS_PKGDATADIR=str(tree / "usr/share/openvswitch"))
        self.database = f"unix:{directory}/db.sock"
        run(str(tree / "usr/bin/ovsdb-tool"), "create", str(directory / "conf.db"),
            str(tree / "usr/share/openvswitch/vswitch.ovsschema"))
        self.spawn_server()
        self.wait_alive("ovsdb-server", (directory / "db.sock").exists)
        core = 1 if pin is None else pin
        self.vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".", f"other_config:pmd-cpu-mask={1 << core:#x}")
        if self.relaxed:
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:pmd-maxsleep=50")
        self.spawn_switch()
        self.vsctl("add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=netdev")
        for port in ports:
            self.vsctl("add-port", "br0", port, "--", "set", "Interface", port, "type=afxdp")
        self.underlay = "u0"
        if tunnel:
            self.add_tunnel()

    def spawn_server(self):
        self.spawn((PEER / "root/usr/sbin/ovsdb-server", self.directory / "conf.db", f"--remote=p{self.database}",
                    f"--pidfile={self.directory}/ovsdb-server.pid", f"--unixctl={self.directory}/ovsdb.ctl"),
                   env=self.env)

    def spawn_switch(self):
        self.spawn((PEER / "root/usr/lib/openvswitch-switch/ovs-vswitchd", self.database,
                    f"--pidfile={self.directory}/ovs-vswitchd.pid", f"--unixctl={self.directory}/vswitchd.ctl"),
                   env=self.env)

    def add_tunnel(self):
        self.vsctl("add-br", "brphy", "--", "set", "Bridge", "brphy", "datapath_type=netdev",
                   f"other_config:hwaddr={self.lab.mac(self.host, 'u0')}")
        self.vsctl("add-port", "brphy", "u0", "--", "set", "Interface", "u0", "type=afxdp")
        self.lab.ip(self.host, "link", "set", "brphy", "mtu", "1600", "up")
        self.lab.set_underlay_ip(self.host, "brphy")
        self.underlay = "brphy"
        self.vsctl("add-port", "br0", "vx", "--", "set", "Interface", "vx", "type=vxlan",
                   f"options:remote_ip={UNDERLAY_IP[other(self.host)]}", f"options:key={VNI}")

    def vsctl(self, *words):
        run(str(PEER / "root/usr/bin/ovs-vsctl"), f"--db={self.database}", "--timeout=15", *words)

    @staticmethod
    def fetch():
        """Downloads and unpacks the packages on first use."""
        if (PEER / "root/usr/lib/openvswitch-switch/ovs-vswitchd").exists():
            return
        print("fetching Open vSwitch to compare with", flush=True)
        PEER.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["apt-get", "download", "openvswitch-switch", "openvswitch-common"], cwd=PEER,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"apt-get download: {done.stderr.strip()}; does apt-get update help?")
        for package in PEER.glob("*.deb"):
            run("dpkg", "-x", str(package), str(PEER / "root"))


class Floor(Switch):
    """The bare forwarder. For a tunnel it prepends 50 constant bytes in one direction and strips them in the other."""

    name = "floor"
    tcp_needs_offloads_off = True  # the forwarder does not complete checksums

    def set_up(self, ports, tunnel, pin):
        self.lab.set_underlay_ip(self.host, self.underlay if tunnel else None)
        pair = (ports[0], "u0") if tunnel else ports[:2]
        words = [self.lab.device(self.host, port) for port in pair] + (["--wrap"] if tunnel else [])
        self.spawn((BIN / "heddle-floor", *words), pin)
        self.wait_alive("heddle-floor", lambda: "ready" in self.output())


class LinuxBridge(Switch):
    """The kernel's bridge with VLAN filtering off (the default), and the vxlan device. Both work in the sender's
    context, on the sender's CPU."""

    name = "bridge"
    rate_needs_gro = True

    def set_up(self, ports, tunnel, pin):
        self.lab.set_underlay_ip(self.host, self.underlay if tunnel else None)
        self.lab.ip(self.host, "link", "add", "br0", "type", "bridge")
        self.lab.ip(self.host, "link", "set", "br0", "up")
        if tunnel:
            self.lab.ip(self.host, "link", "add", "vx", "type", "vxlan", "id", str(VNI), "dstport", "4789", "local",
                        UNDERLAY_IP[self.host], "remote", UNDERLAY_IP[other(self.host)], "dev", "u0")
            self.lab.ip(self.host, "link", "set", "vx", "up")
        for port in [*ports, *(["vx"] if tunnel else [])]:
            self.lab.ip(self.host, "link", "set", port, "master", "br0")

    # For the fdb row.

    def make_room(self, entries):
        """The bridge's table has no limit."""

    def fdb_entries(self):
        return len(self.read_fdb(0)) // FDB_RECORD

    def knows(self, entries):
        return bool(self.read_fdb(entries - 1, "count=1"))

    def read_fdb(self, skip, *more):
        """Records of the bridge's table from number `skip` on (struct __fdb_entry, linux/if_bridge.h)."""
        words = ("dd", "if=/sys/class/net/br0/brforward", f"bs={FDB_RECORD}", f"skip={skip}", "status=none", *more)
        return subprocess.run(self.lab.inside(self.host, *words), capture_output=True, check=True).stdout

    def memory(self):
        """Bytes by kind: all slabs of the kernel, which has no separate account for entries; needs a quiet machine."""
        slab = re.search(r"^SUnreclaim:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE).group(1)
        return {"slab": int(slab) * 1024}
