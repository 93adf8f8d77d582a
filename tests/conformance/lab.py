# SPDX-License-Identifier: Apache-2.0
"""A laboratory for the switch: hosts that run it, guests on their ports, an underlay between them.

    with Lab(tmp, "user") as lab:
        a = lab.host("a").start()
        a.add_br("br0")
        one, two = a.guest("br0", "vm1", "10.0.0.1/24"), a.guest("br0", "vm2", "10.0.0.2/24", tag=20)

A Host is a network namespace in which `vswitchd` runs; a Guest is a namespace joined to it by a veth pair. Lab.close()
removes all of them, also after a failure or ctrl-C, and fails when a daemon died or did not end cleanly.
"""
import contextlib
import glob
import hashlib
import ipaddress
import itertools
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from bpf import tc_programs
from net import BROADCAST, PREFIX, TIME_SCALE, Failure, Namespace, frame, mac, run, split_tag, wait_until

SOURCE = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("HEDDLE_BIN", SOURCE / "build/release/bin"))
# The datapaths of the suite: name for --datapath -> Bridge.datapath_type.
DATAPATHS = {"kernel": "kernel", "user": "user"}
# Features that a datapath lacks or cannot show, with the reason: for Lab.can() and Lab.needs().
CANNOT = {
    "kernel": {
        "count bad_vxlan": "the kernel's vxlan device throws away packets with a bad VXLAN header, uncounted",
        "count truncated": "the kernel throws away frames cut short, in a tunnel or in a VLAN tag, before TC sees them",
        "count ecn_invalid by port": "the kernel's vxlan device, which all tunnel ports share, counts it",
        "make fragments over IPv6": "the kernel makes none of what its vxlan device sends over IPv6",
        "tell by which device a tunnel's packet came": "the kernel's vxlan device does not know; rp_filter of a device does",
    },
    "user": {
        "outlive its daemon": "the user-space datapath forwards in the daemon and ends with it",
        "share its ports": "the user-space datapath takes a port's device by an XDP program of its own",
        "leave frames to the kernel": "the user-space datapath forwards copies, by AF_XDP, past queues, filters and vxlan devices",
        "take queues from a port": "the kernel keeps a queue that has an AF_XDP socket (ethtool -L refuses)",
        "take large segments from a tap": "AF_XDP does not say that a frame from a tap is to be cut (TSO): it is an oversize one",
    },
}

_marks = itertools.count(1)


class Guest:
    """A namespace with one device eth0, the far end of a veth pair; the near end is a port's netdev."""

    def __init__(self, host, device, address=None, mac_address=None, mtu=1500, ipv6=None):
        addresses = [address] if isinstance(address, str) else list(address or [])
        if ipv6 is None:
            ipv6 = any(":" in a for a in addresses)
        self.host, self.device = host, device
        self.ns = Namespace(f"{host.short}-{device}", ipv6=ipv6)
        self.mac = mac_address or mac(next(_marks) << 8 | 0x5)
        self.mtu = mtu
        self.plug()
        for a in addresses:
            self.ns.ip(f"addr add {a} dev eth0")
        self.address = addresses[0].split("/")[0] if addresses else None
        self._raw = None

    def plug(self):
        """Adds the veth pair (again after unplug())."""
        self.host.ns.ip(f"link add {self.device} mtu {self.mtu} type veth peer name eth0 mtu {self.mtu} address {self.mac}"
                        f" netns {self.ns.name}")
        self.host.ns.ip(f"link set {self.device} up")
        self.ns.ip("link set eth0 up")

    def unplug(self):
        self.host.ns.ip(f"link del {self.device}")
        self._raw = None

    @property
    def raw(self):
        if self._raw is None:
            self._raw = self.ns.raw("eth0")
        return self._raw

    def send(self, data):
        self.raw.send(data)

    def ping(self, address, count=1, size=None, df=False, timeout=1):
        """True when all of `count` pings were answered."""
        return self.ping_output(address, count, size, df, timeout).returncode == 0

    def ping_output(self, address, count=1, size=None, df=False, timeout=1):
        extra = (["-s", size] if size else []) + (["-M", "do"] if df else [])
        return self.ns.run("ping", "-n", "-c", count, "-i", "0.05", "-W", timeout * TIME_SCALE, *extra, address, check=False)

    def reaches(self, address, timeout=10, **kw):
        """Waits for the first answer, then requires three in a row."""
        wait_until(lambda: self.ping(address, **kw), timeout, f"{self.ns.name} reaches {address}")
        if not self.ping(address, count=3, **kw):
            raise Failure(f"{self.ns.name}: pings to {address} are lost after the first was answered")


class Host:
    """A namespace that runs the switch. Tests configure it by vsctl, like an operator."""

    def __init__(self, lab, name, ipv6=True):
        self.lab, self.short = lab, name
        self.ns = Namespace(name, ipv6=ipv6)
        self.dir = lab.dir / name
        self.dir.mkdir(parents=True)
        self.rundir, self.db, self.log = self.dir / "run", self.dir / "conf.db", self.dir / "vswitchd.log"
        # A BPF file system of the host, mounted outside: `ip netns exec` hides /sys/fs/bpf, and its mounts end with the
        # process.
        self.bpffs = self.dir / "bpf"
        self.bpffs.mkdir()
        run("mount", "-t", "bpf", self.ns.name, self.bpffs)
        self.process = None
        self.guests = {}
        self.address = {}  # underlay: family (4 or 6) -> address

    # --- the daemon ---

    def spawn(self, *extra, rundir=None, db=None, program=BIN / "vswitchd", standard=None, environment=None, inherit=()):
        """Starts a daemon without waiting for it. `standard`: its --datapath; default the lab's, "" for none. `inherit`:
        (name, descriptor) pairs that it gets as from a service manager (sd_listen_fds(3))."""
        argv = [program, "--rundir", rundir or self.rundir, "--db", db or self.db, "--bpffs", self.bpffs,
                "--log-level", "debug", *extra]
        if standard is None:
            standard = self.lab.datapath
        if standard:
            argv += ["--datapath", standard]
        argv = ["ip", "netns", "exec", self.ns.name, *map(str, argv)]
        if inherit:
            argv = [sys.executable, SOURCE / "tests/conformance/listen_fds.py",
                    *[f"{name}={fd}" for name, fd in inherit], "--", *argv]
        with open(self.log, "ab") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, **(environment or {})},
                                    pass_fds=[fd for _, fd in inherit])

    def start(self, *extra, **how):
        self.process = self.spawn(*extra, **how)
        wait_until(self.ready, 15, f"vswitchd of host {self.short} has applied its configuration")
        return self

    def serving(self):
        """True when the database answers, long before ready()."""
        if self.process.poll() is not None:
            raise Failure(f"vswitchd of host {self.short} ended with {self.process.returncode}:\n{self.log_tail()}")
        return (self.rundir / "db.sock").exists() and self.vsctl("list-br", check=False).returncode == 0

    def ready(self):
        pidfile = self.rundir / "vswitchd.pid"
        return self.serving() and pidfile.exists() and pidfile.read_text() == f"{self.process.pid}\n"

    def stop(self, timeout=10):
        """SIGTERM; returns the exit status."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout * TIME_SCALE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"vswitchd of host {self.short} did not end within {timeout * TIME_SCALE:g} s of SIGTERM") from None

    def kill(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def log_tail(self, lines=40):
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"

    # --- configuration ---

    def vsctl(self, *args, check=True, timeout=30):
        """vsctl("add-br", "br0") or vsctl("add-br br0"); `--` separates commands."""
        argv = shlex.split(args[0]) if len(args) == 1 else [str(a) for a in args]
        return run(BIN / "vsctl", f"--rundir={self.rundir}", f"--timeout={20 * TIME_SCALE:.0f}", *argv, check=check, timeout=timeout)

    def ask(self, *args):
        return self.vsctl(*args).stdout.strip()

    def get(self, table, record, column):
        return self.ask("get", table, record, column).strip('"')

    def add_br(self, name, **other_config):
        extra = [f"other_config:{k.replace('_', '-')}={v}" for k, v in other_config.items()]
        self.vsctl("add-br", name, "--", "set", "Bridge", name, f"datapath_type={self.lab.datapath_type}", *extra)

    def add_port(self, bridge, device, **columns):
        self.vsctl("add-port", bridge, device, *[f"{k}={v}" for k, v in columns.items()])

    def guest(self, bridge, device, address=None, mac_address=None, mtu=1500, ipv6=None, **columns):
        """A new guest on a new port of `bridge`."""
        guest = Guest(self, device, address, mac_address, mtu, ipv6)
        self.guests[device] = guest
        self.lab.namespaces.append(guest.ns)
        self.add_port(bridge, device, **columns)
        return guest

    def vxlan(self, bridge, name, columns=None, check=True, **options):
        """A VXLAN port; key=10 becomes options:key=10. Without a route to its remote it is in error: `check`=False."""
        port = [f"{k}={v}" for k, v in (columns or {}).items()]
        tunnel = [f"options:{k}={v}" for k, v in options.items()]
        self.vsctl("add-port", bridge, name, *port, "--", "set", "Interface", name, "type=vxlan", *tunnel,
                   check=check)

    # --- state of the switch ---

    def fdb(self, bridge="br0"):
        """The output of fdb-show as [{port, vlan, mac, age, remote, origin}]."""
        rows = []
        for line in self.ask("fdb-show", bridge).splitlines():
            m = re.match(r"\s*(\S+)\s+(\d+)\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s+(\S+)"
                         r"\s*([0-9a-f.:]*[.:][0-9a-f.:]*|)\s*(\w*)$", line)
            if m:
                port, vlan, address, age, remote, origin = m.groups()
                rows.append({"port": port, "vlan": int(vlan), "mac": address, "age": age, "remote": remote,
                             "origin": origin})
        return rows

    def entry(self, address, bridge="br0", vlan=None):
        """The FDB entry of a MAC address, or None."""
        found = [r for r in self.fdb(bridge) if r["mac"] == address and vlan in (None, r["vlan"])]
        return found[0] if found else None

    def wait_learned(self, address, port, bridge="br0", vlan=None, remote=None):
        def learned():
            row = self.entry(address, bridge, vlan)
            return row and row["port"] == port and (remote is None or row["remote"] == remote) and row
        return wait_until(learned, 5, f"{address} learned on {port} of host {self.short}")

    def drops(self, port, reason):
        """The counter of one drop reason, for one port or (port "") summed over all ports."""
        rows = re.findall(r"^(\S+)\s+(\d+)\s+(\w+)", self.ask(*["drops", port][: 2 if port else 1]), re.M)
        return sum(int(count) for _, count, name in rows if name == reason)

    def wait_drop(self, port, reason, more_than=0):
        return wait_until(lambda: self.drops(port, reason) > more_than, 5,
                          f"drop reason {reason} of port {port} counts past {more_than}")

    def programs(self):
        """{device: number of BPF programs at its TC hooks} for this host's devices with programs."""
        found = {name: tc_programs(self.ns, name) for name in self.ns.devices()}
        return {name: count for name, count in found.items() if count}

    def pins(self):
        """The pinned paths in this host's BPF file system."""
        return sorted(str(p.relative_to(self.bpffs)) for p in self.bpffs.rglob("*") if not p.is_dir() and not p.is_symlink()
                      and p.suffix != ".debug")

    def xdp_devices(self):
        """The names of this host's devices with an XDP program."""
        out = self.ns.ip("-d link show")
        return sorted(m.group(1) for m in re.finditer(r"^\d+: ([^:@]+)[^\n]*(?:\n\s[^\n]*)*?prog/xdp", out, re.M))


class Lab:
    def __init__(self, directory, datapath="user"):
        self.dir = Path(directory)
        self.datapath, self.datapath_type = datapath, DATAPATHS[datapath]
        self.hosts, self.namespaces = [], []
        self._subnets = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(check=kind is None)

    def can(self, what):
        """False when this datapath lacks the feature; prints the reason, so that skipped assertions can be found."""
        why = CANNOT[self.datapath].get(what)
        if not any(what in c for c in CANNOT.values()):
            raise Failure(f"{what!r} is not in the table CANNOT")
        if why:
            print(f"{self.datapath} cannot {what}: {why}")
        return not why

    def needs(self, what):
        """Skips the test when this datapath lacks the feature."""
        if not self.can(what):
            pytest.skip(f"{self.datapath} cannot {what}: {CANNOT[self.datapath][what]}")

    def host(self, name, ipv6=True):
        host = Host(self, name, ipv6)
        self.hosts.append(host)
        self.namespaces.append(host.ns)
        return host

    def namespace(self, name, **kw):
        ns = Namespace(name, **kw)
        self.namespaces.append(ns)
        return ns

    def overlay(self, family=4, kind="point-to-point", mtu=1550, **options):
        """Two running hosts, each with a guest on br0 and a tunnel "vx" to the other: (hosts, guests). `mtu`: the underlay's;
        `options`: more of the tunnel."""
        hosts, guests = (self.host("a"), self.host("b")), []
        self.underlay(*hosts, mtu=mtu)
        for n, (host, other) in enumerate((hosts, hosts[::-1]), 1):
            host.start()
            host.add_br("br0")
            far = {"remote_ip": other.address[family]}
            if kind == "multipoint":
                far = {"remote_ip": "flow", "remotes": f'"{other.address[family]}"', "local_ip": host.address[family]}
            host.vxlan("br0", "vx", key=10, **far, **options)
            guests.append(host.guest("br0", f"vm{n}", f"10.0.0.{n}/24"))
        return hosts, guests

    def running(self, *names, others=(), mtu=1600):
        """Running hosts with a bridge br0, joined by an underlay with `others`: (hosts, what is in the middle)."""
        hosts = [self.host(n) for n in names]
        middle = self.underlay(*hosts, *others, mtu=mtu)
        for h in hosts:
            h.start()
            h.add_br("br0")
        return hosts, middle

    def underlay(self, *hosts, mtu=1550, name="ul0"):
        """One link that joins the hosts: a veth pair for two, a Linux bridge in the middle for more. Addresses
        192.0.2.N (or 198.18.K.N for further links) and 2001:db8:K::N, N counting from 1; also in host.address."""
        k = next(self._subnets)
        middle = None
        if len(hosts) == 2:
            a, b = hosts
            a.ns.ip(f"link add {name} mtu {mtu} type veth peer name {name} mtu {mtu} netns {b.ns.name}")
        else:
            middle = self.namespace(f"{name}-mid")
            middle.ip(f"link add sw mtu {mtu} type bridge")
            middle.ip("link set sw up")
        for n, host in enumerate(hosts, 1):
            if middle:
                host.ns.ip(f"link add {name} mtu {mtu} type veth peer name p{n} mtu {mtu} netns {middle.name}")
                middle.ip(f"link set p{n} up master sw")
            host.ns.ip(f"link set {name} up")
            v4 = f"192.0.2.{n}" if k == 1 else f"198.18.{k}.{n}"
            host.ns.ip(f"addr add {v4}/24 dev {name}")
            host.ns.ip(f"addr add 2001:db8:{k}::{n}/64 dev {name} nodad")
            host.address = {4: v4, 6: f"2001:db8:{k}::{n}"}
        return middle

    def close(self, check=True):
        """Ends all daemons and removes all namespaces. With `check`, fails when a daemon died, did not end cleanly, or
        has a sanitizer's report in its log."""
        complaints = []
        for host in self.hosts:
            if host.process is None:
                continue
            status = host.process.poll()
            if status is not None:
                complaints.append(f"vswitchd of host {host.short} died on the way with {status}")
                continue
            try:
                if (status := host.stop()) != 0:
                    complaints.append(f"vswitchd of host {host.short} ended with {status} on SIGTERM")
            except Failure as e:
                complaints.append(str(e))
        for host in self.hosts:
            if host.log.exists() and re.search(r"(Address|Leak|Thread)Sanitizer|runtime error:",
                                               host.log.read_text(errors="replace")):
                complaints.append(f"sanitizer report in the log of host {host.short}:\n{host.log_tail(60)}")
        for ns in reversed(self.namespaces):
            ns.delete()
        self.namespaces.clear()
        for host in self.hosts:
            run("umount", host.bpffs, check=False)
        if check and complaints:
            raise Failure("\n".join(complaints))

    def keep_logs(self, where):
        """Copies the daemons' logs and databases to `where`; returns the logs' ends for the report."""
        tails = []
        for host in self.hosts:
            if host.log.exists():
                target = Path(where) / host.short
                target.mkdir(parents=True, exist_ok=True)
                for f in glob.glob(f"{host.dir}/*.log") + glob.glob(f"{host.dir}/conf.db*"):
                    shutil.copy(f, target)
                tails.append(f"--- vswitchd of host {host.short} (all of it: {target}) ---\n{host.log_tail()}")
        return "\n".join(tails)


def bpf_mounts(prefix):
    """Mount points of BPF file systems whose name begins with `prefix` (a regular expression)."""
    for line in Path("/proc/mounts").read_text().splitlines():
        name, where, kind = line.split()[:3]
        if kind == "bpf" and (m := re.match(prefix, name)):
            yield m, where.encode().decode("unicode_escape")


def remove_left_overs():
    """Removes namespaces and mounts of earlier, killed runs."""
    for path in glob.glob("/run/netns/hd*-*"):
        m = re.match(r"hd(\d+)-", os.path.basename(path))
        if m and not os.path.exists(f"/proc/{m.group(1)}"):
            run("ip", "netns", "del", os.path.basename(path), check=False)
    for m, where in bpf_mounts(r"hd(\d+)-"):
        if not os.path.exists(f"/proc/{m.group(1)}"):
            run("umount", where, check=False)


def remove_own():
    """Removes the rest of this run after any outcome."""
    for path in glob.glob(f"/run/netns/{PREFIX}*"):
        run("ip", "netns", "del", os.path.basename(path), check=False)
    for _, where in bpf_mounts(re.escape(PREFIX)):
        run("umount", where, check=False)


# --- traffic ---

def quiet():
    """Seconds without a copy after which a frame counts as not delivered: longer when the machine is busy."""
    return TIME_SCALE * (0.15 + 0.1 * max(0.0, os.getloadavg()[0] / os.cpu_count() - 1))


def who_gets(sender, guests, src, dst=BROADCAST, vlan=None, size=60, **kw):
    """Sends one frame from `sender` and returns its receivers: {device: [VLAN of each copy]}. Waits until quiet() has
    passed without a copy. Every copy must be unchanged."""
    mark = f"mark-{PREFIX}{next(_marks)}-".encode()
    sent = frame(src, dst, mark + bytes(range(64)), vlan, size=size, **kw)
    for g in guests:
        g.raw.drain()
    sender.send(sent)
    got = {}
    end = time.monotonic() + quiet()
    while time.monotonic() < end:
        idle = True
        for g in guests:
            while (data := g.raw.receive()) is not None:
                idle = False
                tag, _, inner = split_tag(data)
                if mark not in inner:
                    continue
                expected = split_tag(sent)[2]
                if inner[:len(expected)] != expected[:len(inner)] or len(inner) < len(expected) - 4:
                    raise Failure(f"{g.device} got a changed frame: {inner.hex()} instead of {expected.hex()}")
                got.setdefault(g.device, []).append(tag)
                end = time.monotonic() + quiet()
        if idle:
            select.select([g.raw for g in guests], [], [], max(0.0, end - time.monotonic()))
    return got


def untagged(*guests):
    """The result of who_gets() when exactly these guests got one untagged copy each."""
    return {g.device: [None] for g in guests}


def make_known(host, *guests):
    """Lets each guest send a frame and waits until the switch has learned its address."""
    for g in guests:
        g.send(frame(g.mac))
        host.wait_learned(g.mac, g.device)


def settle(host, bridge, guests):
    """Waits until frames pass between all guests, then flushes the addresses learned by that."""
    def passing():
        return all(set(who_gets(g, guests, mac(0xFFFF00 + i))) >= {o.device for o in guests if o is not g}
                   for i, g in enumerate(guests))
    wait_until(passing, 10, "frames pass between all guests")
    host.vsctl("fdb-flush", bridge)


def transfer(source, sink, address, megabytes, port=5001, timeout=120):
    """Sends so many MB by TCP from guest `source` to `sink` at `address`; both sides' SHA-1 must agree. Returns the
    duration in seconds."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    listener = sink.ns.socket(family, socket.SOCK_STREAM)
    sender = source.ns.socket(family, socket.SOCK_STREAM)
    block = hashlib.sha256(PREFIX.encode()).digest() * 32768  # 1 MiB
    result = {}
    timeout *= TIME_SCALE

    def receive():
        connection, _ = listener.accept()
        connection.settimeout(timeout)
        digest, size = hashlib.sha1(), 0
        while data := connection.recv(1 << 20):
            digest.update(data)
            size += len(data)
        result.update(digest=digest.hexdigest(), size=size)
        connection.close()

    with listener, sender:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(timeout)
        listener.bind((address, port))
        listener.listen(1)
        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        sender.settimeout(timeout)
        begin = time.monotonic()
        sender.connect((address, port))
        digest, size = hashlib.sha1(), 0
        for i in range(megabytes):
            piece = i.to_bytes(8, "big") + block[8:]
            digest.update(piece)
            sender.sendall(piece)
            size += len(piece)
        sender.shutdown(socket.SHUT_WR)
        thread.join(timeout)
        seconds = time.monotonic() - begin
    if result.get("size") != size or result.get("digest") != digest.hexdigest():
        raise Failure(f"sent {size} bytes with SHA-1 {digest.hexdigest()}, the far end has {result or 'nothing'}")
    return seconds
