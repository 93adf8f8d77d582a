#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Overlays that configure themselves: the time until a station that came, or moved, is in a remote host's datapath; until
10,000 are; the memory for each; the time in which a host joins the multicast groups of 1,000 networks. Three hosts and a
reflector, in network namespaces on one Linux bridge. tools/bench overlay starts this; needs root."""

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from lab import run

HOSTS = ("a", "b", "c")
ETH_P_ALL = 3


class Host:
    def __init__(self, bench, name, number):
        self.bench, self.name, self.ns = bench, name, bench.prefix + name
        self.address = f"192.0.2.{number}"
        self.dir = bench.dir / name
        self.dir.mkdir(parents=True)
        bench.namespace(name, number, self.address)
        self.process = None

    def start(self):
        (self.dir / "bpf").mkdir()
        run("mount", "-t", "bpf", self.ns, str(self.dir / "bpf"))
        self.bench.stack.callback(run, "umount", str(self.dir / "bpf"), check=False)
        self.process = self.bench.spawn(self.ns, "vswitchd", f"--rundir={self.dir}/run", f"--db={self.dir}/conf.db",
                                        f"--bpffs={self.dir}/bpf", f"--datapath={self.bench.datapath}", log=self.dir / "log")
        wait(lambda: (self.dir / "run/vswitchd.pid").exists(), 20)

    def vsctl(self, *words):
        return run("ip", "netns", "exec", self.ns, str(self.bench.build / "bin/vsctl"), f"--rundir={self.dir}/run", *words)

    def command(self, *words):
        """A command of the daemon by a connection that stays: some tenths of a millisecond."""
        if not hasattr(self, "control"):
            self.control = socket.socket(socket.AF_UNIX)
            self.control.connect(f"{self.dir}/run/vswitchd.{self.process.pid}.ctl")
        self.control.sendall(json.dumps({"id": 1, "method": words[0], "params": list(words[1:])}).encode())
        text = b""
        while True:
            text += self.control.recv(1 << 20)
            try:
                return json.loads(text)["result"]
            except json.JSONDecodeError:
                continue

    def remote_of(self, mac):
        for line in self.command("fdb-show", "br0").splitlines():
            words = line.split()
            if mac in words:
                return words[4] if len(words) > 4 else ""
        return None

    def entries(self):
        return int(next(line.split()[-1] for line in self.command("fdb-stats", "br0").splitlines() if "entries" in line))

    def memory(self):
        return next(int(line.split()[1]) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
                    if line.startswith("VmRSS"))

    def guest(self):
        ns = self.bench.namespace(f"g{self.name}")
        run("ip", "-n", self.ns, "link", "add", "vm", "type", "veth", "peer", "name", "eth0", "netns", ns)
        run("ip", "-n", self.ns, "link", "set", "vm", "up")
        run("ip", "-n", ns, "link", "set", "eth0", "up")
        self.vsctl("add-port", "br0", "vm", "tag=10")
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{ns}", os.O_RDONLY)
        os.setns(there) if hasattr(os, "setns") else setns(there)
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        raw.bind(("eth0", 0))
        os.setns(here) if hasattr(os, "setns") else setns(here)
        os.close(here)
        os.close(there)
        return raw


def setns(fd):
    import ctypes
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Bench:
    def __init__(self, stack, options):
        self.stack, self.build, self.datapath = stack, Path(options.build).resolve(), options.datapath
        self.prefix = f"hb{os.getpid()}-"
        self.dir = Path(f"/run/heddle-bench-{os.getpid()}")
        self.dir.mkdir()
        stack.callback(run, "rm", "-rf", str(self.dir))
        self.middle = self.namespace("mid")
        run("ip", "-n", self.middle, "link", "add", "sw", "type", "bridge")
        run("ip", "-n", self.middle, "link", "set", "sw", "up")

    def namespace(self, name, number=None, address=None):
        ns = self.prefix + name
        run("ip", "netns", "add", ns)
        self.stack.callback(run, "ip", "netns", "del", ns, check=False)
        run("ip", "-n", ns, "link", "set", "lo", "up")
        if address:
            run("ip", "-n", ns, "link", "add", "ul0", "mtu", "1600", "type", "veth", "peer", "name", f"p{number}", "mtu", "1600",
                "netns", self.middle)
            run("ip", "-n", self.middle, "link", "set", f"p{number}", "up", "master", "sw")
            run("ip", "-n", ns, "addr", "add", f"{address}/24", "dev", "ul0")
            run("ip", "-n", ns, "link", "set", "ul0", "up")
        return ns

    def spawn(self, ns, program, *words, log):
        with open(log, "ab") as out:
            process = subprocess.Popen(["ip", "netns", "exec", ns, str(self.build / "bin" / program), *words], stdout=out, stderr=out)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        return process


def wait(condition, seconds, pause=0.01):
    """The seconds until the condition holds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"not within {seconds} s")
        if pause:
            time.sleep(pause)
    return time.monotonic() - began


def frame(number):
    mac = struct.pack("!HI", 0x0200, number)
    return b"\xff" * 6 + mac + b"\x08\x06" + bytes(46), ":".join(f"{b:02x}" for b in mac)


def reflector_rows(bench, hosts, options):
    a, b, c = hosts
    raw = {h.name: h.guest() for h in hosts}
    for h in hosts:
        wait(lambda h=h: h.command("vtep-show").count(" member ") == 2, 20)
    fresh, moves = [], []
    for n in range(options.stations):
        data, mac = frame(n)
        raw["b"].send(data)
        fresh.append(wait(lambda m=mac: a.remote_of(m) == b.address, 10, 0))
    for n in range(options.stations):
        data, mac = frame(n)
        raw["c"].send(data)
        moves.append(wait(lambda m=mac: a.remote_of(m) == c.address, 10, 0))
    for what, times in (("a new station", fresh), ("a move", moves)):
        ms = sorted(1000 * t for t in times)
        print(f"{what}, until a remote host's datapath has it: median {statistics.median(ms):.1f} ms, "
              f"95 of 100 within {ms[len(ms) * 95 // 100]:.1f} ms ({len(ms)} rounds)")
    before, held = a.entries(), a.memory()
    began = time.monotonic()
    for n in range(options.many):
        raw["b"].send(frame(1_000_000 + n)[0])
        if n % 64 == 63:
            time.sleep(0.001)  # a burst fits the port's queues
    sent = time.monotonic() - began
    wait(lambda: a.entries() >= before + options.many, 120, 0.005)
    print(f"{options.many} new stations (sent within {sent:.2f} s), until a remote host's datapath has all: "
          f"{time.monotonic() - began:.2f} s; memory of its daemon for each: {(a.memory() - held) * 1024 / options.many:.0f} B")


def multicast_row(host, networks):
    words = []
    for n in range(networks):
        words += ["--", "add-port", "br0", f"mc{n}", f"tag={n % 4000 + 1}", "--", "set", "Interface", f"mc{n}", "type=vxlan",
                  f"options:key={1000 + n}", f"options:remote_ip=239.{1 + n // 65536}.{n // 256 % 256}.{n % 256}",
                  f"options:local_ip={host.address}"]
    began = time.monotonic()
    host.vsctl("--timeout=120", *words[1:])
    groups = run("ip", "-n", host.ns, "maddr", "show", "dev", "ul0").count("inet  239.")
    print(f"{networks} networks with a multicast group each: {time.monotonic() - began:.2f} s by one vsctl command, {groups} groups joined")


def main():
    p = argparse.ArgumentParser(prog="tools/bench overlay", description=__doc__)
    p.add_argument("--datapath", choices=("kernel", "user"), default="kernel")
    p.add_argument("--stations", type=int, default=100, help="rounds of the first two rows (default 100)")
    p.add_argument("--many", type=int, default=10000, help="stations of the third row (default 10000)")
    p.add_argument("--networks", type=int, default=1000, help="networks of the last row (default 1000)")
    p.add_argument("--build", default="build/release", help="build directory (default build/release)")
    options = p.parse_args()
    with ExitStack() as stack:
        bench = Bench(stack, options)
        rf = bench.namespace("rf", 9, "192.0.2.9")
        bench.spawn(rf, "reflectord", "--db=none", "--remote=ptcp:6640", log=bench.dir / "reflectord.log")
        wait(lambda: "serves on" in (bench.dir / "reflectord.log").read_text(), 20)
        hosts = [Host(bench, name, n) for n, name in enumerate(HOSTS, 1)]
        for h in hosts:
            h.start()
            h.vsctl("set", "Open_vSwitch", ".", f"other_config:vtep-name={h.name}", "--", "set-reflector", "tcp:192.0.2.9",
                    "--", "add-br", "br0", "--", "set", "Bridge", "br0", "other_config:mac-table-size=50000")
            h.vsctl("add-port", "br0", "vx10", "tag=10", "--", "set", "Interface", "vx10", "type=vxlan", "options:key=10",
                    "options:remote_ip=flow", "options:control=reflector")
        reflector_rows(bench, hosts, options)
        multicast_row(hosts[0], options.networks)


if __name__ == "__main__":
    main()
