# SPDX-License-Identifier: Apache-2.0
"""Heddle as a compared switch, with the user-space or the kernel datapath."""

import json
import re
import socket
from pathlib import Path

import switches
from lab import UNDERLAY_IP, run
from switches import VNI, Switch, other


class Heddle(Switch):
    name = "heddle"
    datapath = "user"
    restarts = True

    @property
    def programs(self):
        """Where vswitchd and vsctl are."""
        return switches.BIN

    def set_up(self, ports, tunnel, pin):
        self.lab.set_underlay_ip(self.host, self.underlay if tunnel else None)
        self.pin = pin
        self.launch()
        self.wait_alive("vswitchd", (self.directory / "db.sock").exists)
        self.vsctl("add-br", "br0", "--", "set", "Bridge", "br0", f"datapath_type={self.datapath}")
        for port in ports:
            self.vsctl("add-port", "br0", port)
        if tunnel:
            remote = UNDERLAY_IP[other(self.host)]
            self.vsctl("add-port", "br0", "vx", "--", "set", "Interface", "vx", "type=vxlan",
                       f"options:remote_ip={remote}", f"options:key={VNI}")

    def launch(self):
        words = ("--rundir", self.directory, "--db", self.directory / "conf.db", *self.more_options())
        self.spawn((self.programs / "vswitchd", *words), self.pin)

    def more_options(self):
        return ()

    def kill(self):
        """kill -9, so without any clean-up."""
        self.processes[-1].kill()
        self.processes.pop().wait()

    def restart(self):
        """Starts a killed daemon again; returns when the daemon answers for its bridge."""
        self.launch()
        self.wait_alive("vswitchd, started again", lambda: self.fdb_entries() is not None)

    def vsctl(self, *words):
        run(str(self.programs / "vsctl"), "--rundir", str(self.directory), "--timeout=15", *words)

    def control(self, method, *params):
        """Sends a command to the control socket (JSON-RPC 1.0); None without an answer."""
        path = self.directory / f"vswitchd.{self.processes[-1].pid}.ctl"
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(str(path))
                s.sendall(json.dumps({"method": method, "params": params, "id": 0}).encode())
                text = ""
                while True:
                    piece = s.recv(65536).decode()
                    text += piece
                    try:
                        return json.loads(text)["result"]
                    except json.JSONDecodeError:
                        if not piece:
                            return None
            except OSError:
                return None

    def fdb_entries(self):
        found = re.search(r"^entries\s+(\d+)", self.control("fdb-stats", "br0") or "", re.MULTILINE)
        return int(found.group(1)) if found else None

    # For the fdb row.

    def make_room(self, entries):
        self.vsctl("set", "Bridge", "br0", f"other_config:mac-table-size={entries}")

    def knows(self, entries):
        known = self.fdb_entries()
        if known is None:
            raise RuntimeError(f"vswitchd does not answer fdb-stats: {self.output()}")
        return known >= entries

    def memory(self):
        """Bytes by kind: the daemon's resident memory, and its BPF maps in the kernel."""
        process = Path(f"/proc/{self.processes[-1].pid}")
        rss = int(re.search(r"^VmRSS:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE).group(1)) * 1024
        maps = {}
        for info in (process / "fdinfo").iterdir():
            try:
                fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
            except FileNotFoundError:  # closed meanwhile
                continue
            if "map_id" in fields:  # several descriptors may refer to one map
                maps[fields["map_id"]] = int(fields["memlock"])
        return {"rss": rss, "maps": sum(maps.values())}


class HeddleUser(Heddle):
    """The same with the kernel suite's name."""

    name = "user"


class HeddleKernel(Heddle):
    """Programs and maps are pinned in a private bpffs, so that they outlive the daemon and end with the bpffs. It is
    mounted here: a mount inside `ip netns exec` would end with the daemon."""

    name = "kernel"
    datapath = "kernel"
    rate_needs_gro = True
    devices = ()
    bpffs = None

    def set_up(self, ports, tunnel, pin):
        self.devices = [*ports, *(["u0"] if tunnel else [])]
        self.bpffs = self.directory / "bpf"
        self.bpffs.mkdir()
        run("mount", "-t", "bpf", "bpf", str(self.bpffs))
        super().set_up(ports, tunnel, pin)

    def more_options(self):
        return ("--bpffs", self.bpffs)

    def before_end(self):
        if any(process.poll() is None for process in self.processes):
            run(str(self.programs / "vsctl"), "--rundir", str(self.directory), "--timeout=5", "--if-exists", "del-br",
                "br0", check=False)

    def tear_down(self):
        """Removes attached programs, which would slow the next switch."""
        for device in self.devices:
            run("tc", "-n", self.lab.ns(self.host), "qdisc", "del", "dev", device, "clsact", check=False)
        for link in json.loads(run("ip", "-n", self.lab.ns(self.host), "-j", "link", "show", "type", "vxlan") or "[]"):
            if "ifname" in link:
                run("ip", "-n", self.lab.ns(self.host), "link", "del", link["ifname"], check=False)
        for how in ((), ("--lazy",)):
            if self.bpffs and self.bpffs.is_mount():
                run("umount", *how, str(self.bpffs), check=False)


class Before:
    """Another build of Heddle (option --before), to compare a change with its predecessor."""

    name = "before"
    directory_of_build = None

    @property
    def programs(self):
        return Before.directory_of_build / "bin"


class HeddleBefore(Before, Heddle):
    pass


class HeddleKernelBefore(Before, HeddleKernel):
    pass


class HeddleKernelDevice(HeddleKernel):
    """The same with a promiscuous listener on every port, so that frames leave by the device instead of directly into
    the guest: shows the gain of bpf_redirect_peer."""

    name = "kernel-device"

    def set_up(self, ports, tunnel, pin):
        super().set_up(ports, tunnel, pin)
        for port in ports:
            run("ip", "-n", self.lab.ns(self.host), "link", "set", port, "promisc", "on")
