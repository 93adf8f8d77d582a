#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Overlays that configure themselves: the time until a station that came, or moved, is in a remote host's datapath; until
10,000 are; the memory for each; how many pings a guest loses that moves while it is pinged; 100,000 stations by EVPN,
beside FRR with the kernel's own bridge; the time in which a host joins the multicast groups of 1,000 networks. Three
hosts and a reflector, or FRR as BGP route reflector, in network namespaces on one Linux bridge. tools/bench overlay
starts this; needs root."""

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

import evpn
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
        self.evpn = evpn.folder(bench.stack, name)

    def start(self):
        (self.dir / "bpf").mkdir()
        run("mount", "-t", "bpf", self.ns, str(self.dir / "bpf"))
        self.bench.stack.callback(run, "umount", str(self.dir / "bpf"), check=False)
        self.process = self.bench.spawn(self.ns, "vswitchd", f"--rundir={self.dir}/run", f"--db={self.dir}/conf.db",
                                        f"--bpffs={self.dir}/bpf", f"--datapath={self.bench.datapath}",
                                        f"--evpn-dir={self.evpn}", log=self.dir / "log")
        wait(lambda: (self.dir / "run/vswitchd.pid").exists(), 20)

    def network(self, control, table=50000):
        self.vsctl("add-br", "br0", "--", "set", "Bridge", "br0", f"other_config:mac-table-size={table}")
        self.vsctl("add-port", "br0", "vx10", "tag=10", "--", "set", "Interface", "vx10", "type=vxlan", "options:key=10",
                   "options:remote_ip=flow", f"options:control={control}")

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


def station_rows(bench, hosts, options):
    a, b, c = hosts
    raw = {h.name: h.guest() for h in hosts}
    for h in hosts:
        wait(lambda h=h: h.command("vtep-show").count(" member ") == 2, 30)
    time.sleep(1)  # FRR has more to say than that
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
        print(f"  {what}, until a remote host's datapath has it: median {statistics.median(ms):.1f} ms, "
              f"95 of 100 within {ms[len(ms) * 95 // 100]:.1f} ms ({len(ms)} rounds)")
    before, held = a.entries(), a.memory()
    began = time.monotonic()
    for n in range(options.many):
        raw["b"].send(frame(1_000_000 + n)[0])
        if n % 64 == 63:
            time.sleep(0.001)  # a burst fits the port's queues
    sent = time.monotonic() - began
    wait(lambda: a.entries() >= before + options.many, 120, 0.005)
    print(f"  {options.many} new stations (sent within {sent:.2f} s), until a remote host's datapath has all: "
          f"{time.monotonic() - began:.2f} s; memory of its daemon for each: {(a.memory() - held) * 1024 / options.many:.0f} B")


def ping_row(bench, hosts):
    """A guest of b moves to c while a's guest pings it every 10 ms."""
    a, b, c = hosts
    there = bench.namespace("mover")
    here = f"{bench.prefix}ga"
    run("ip", "-n", here, "addr", "add", "10.0.0.1/24", "dev", "eth0")

    def plug(host):
        run("ip", "-n", host.ns, "link", "add", "mv", "type", "veth", "peer", "name", "eth0", "address", "02:00:00:00:99:99",
            "netns", there)
        run("ip", "-n", there, "addr", "add", "10.0.0.2/24", "dev", "eth0")
        run("ip", "-n", host.ns, "link", "set", "mv", "up")
        run("ip", "-n", there, "link", "set", "eth0", "up")
        host.vsctl("--may-exist", "add-port", "br0", "mv", "tag=10")
        # As a hypervisor announces a guest that has arrived (RARP; any frame would do).
        run("ip", "netns", "exec", there, "ping", "-n", "-c", "1", "-W", "1", "10.0.0.1", check=False)
    plug(b)
    run("ip", "netns", "exec", here, "ping", "-n", "-c", "3", "-i", "0.2", "10.0.0.2")
    pinging = subprocess.Popen(["ip", "netns", "exec", here, "ping", "-n", "-q", "-i", "0.01", "-c", "500", "10.0.0.2"],
                               stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    run("ip", "-n", b.ns, "link", "del", "mv")
    plug(c)
    words = pinging.communicate()[0].split()
    lost = int(words[words.index("packets") - 1]) - int(words[words.index("received,") - 1])
    print(f"  a guest moves while it is pinged every 10 ms: {lost} of 500 pings lost, its new port's making included")


def by_reflector(options):
    with ExitStack() as stack:
        bench = Bench(stack, options)
        rf = bench.namespace("rf", 9, "192.0.2.9")
        bench.spawn(rf, "reflectord", "--db=none", "--remote=ptcp:6640", log=bench.dir / "reflectord.log")
        wait(lambda: "serves on" in (bench.dir / "reflectord.log").read_text(), 20)
        hosts = [Host(bench, name, n) for n, name in enumerate(HOSTS, 1)]
        for h in hosts:
            h.start()
            h.vsctl("set", "Open_vSwitch", ".", f"other_config:vtep-name={h.name}", "--", "set-reflector", "tcp:192.0.2.9")
            h.network("reflector")
        print("by a reflector:")
        station_rows(bench, hosts, options)
        ping_row(bench, hosts)
        multicast_row(hosts[0], options.networks)


def by_evpn(options):
    with ExitStack() as stack:
        bench = Bench(stack, options)
        route_reflector = evpn.reflector(bench, bench.namespace("rr", 9, evpn.NEIGHBOR))
        hosts = [Host(bench, name, n) for n, name in enumerate(HOSTS, 1)]
        for h in hosts:
            h.start()
            h.vsctl("set-evpn", "asn=65000", f"neighbors={evpn.NEIGHBOR}")
            evpn.keep(bench, h)
            h.network("evpn")
        print("by EVPN:")
        station_rows(bench, hosts, options)
        ping_row(bench, hosts)
        print(f"  the route reflector's bgpd: {route_reflector.memory('bgpd')} kB")


def many_by_evpn(options, ours):
    """The seconds until one host has all stations that a bridge with FRR has, and how many it lacks in the end."""
    with ExitStack() as stack:
        bench = Bench(stack, options)
        evpn.reflector(bench, bench.namespace("rr", 9, evpn.NEIGHBOR))
        far = evpn.BridgeVtep(bench, "far", 2)
        if ours:
            host = Host(bench, "a", 1)
            host.start()
            host.vsctl("set-evpn", "asn=65000", f"neighbors={evpn.NEIGHBOR}")
            evpn.keep(bench, host)
            host.network("evpn", table=options.evpn_many * 2)
            wait(lambda: host.command("vtep-show").count(" member ") == 1, 30)
            known = host.entries
        else:
            near = evpn.BridgeVtep(bench, "near", 1)
            wait(lambda: "dst 192.0.2.2" in run("ip", "netns", "exec", near.ns, "bridge", "fdb", "show", "dev", "vx10"), 30)
            known = near.known
        time.sleep(1)
        before, began = known(), time.monotonic()
        wrote = far.stations(options.evpn_many)
        try:
            wait(lambda: known() - before >= options.evpn_many, 120, 0.1)
        except RuntimeError:
            pass  # the number tells
        return time.monotonic() - began, options.evpn_many - (known() - before), wrote


def many_row(options):
    times = {True: [], False: []}
    for n in range(options.rounds):
        for ours in ((True, False) if n % 2 == 0 else (False, True)):
            seconds, missing, wrote = many_by_evpn(options, ours)
            times[ours].append(seconds)
            print(f"  round {n + 1}, {'Heddle' if ours else 'FRR with the kernel bridge'}: {seconds:.1f} s (the far side wrote within "
                  f"{wrote:.1f} s), {missing} missing")
    medians = {ours: statistics.median(t) for ours, t in times.items()}
    print(f"{options.evpn_many} stations by EVPN until a host has all: Heddle {medians[True]:.1f} s, FRR with the kernel's bridge "
          f"{medians[False]:.1f} s: ratio {medians[True] / medians[False]:.2f} (medians of {options.rounds} interleaved rounds)")


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
    p.add_argument("--by", choices=("reflector", "evpn", "evpn-many"), action="append",
                   help="only these (default: all; evpn and evpn-many with FRR installed)")
    p.add_argument("--evpn-many", type=int, default=100_000, help="stations of evpn-many (default 100000)")
    p.add_argument("--rounds", type=int, default=3, help="rounds of evpn-many (default 3)")
    options = p.parse_args()
    chosen = options.by or ["reflector", *(["evpn", "evpn-many"] if evpn.installed() else [])]
    if not options.by and not evpn.installed():
        print("EVPN is passed over: FRR is not installed (apt install frr)")
    if "reflector" in chosen:
        by_reflector(options)
    if "evpn" in chosen:
        by_evpn(options)
    if "evpn-many" in chosen:
        many_row(options)


if __name__ == "__main__":
    main()
