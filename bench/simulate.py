#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hundreds of VTEPs: heddle-simulate plays them (no packets) against a real reflector, with one real daemon among them that
has all the networks; the time until all know all, what the reflector sends, its processor time and memory, and those of
the daemon. With FRR installed the same by BGP: neighbors that are played announce networks and stations to an FRR route
reflector, and one real daemon with FRR learns them. In network namespaces; tools/bench simulate starts this; needs root."""

import argparse
import json
import os
import socket
import struct
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import evpn
from lab import run
from overlay import Bench, Host, wait


def usage(pid):
    """Processor seconds and resident kB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    rss = next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), rss


def sent(ns, device="ul0"):
    """Bytes and packets that have left by the device."""
    stats = json.loads(run("ip", "-n", ns, "-s", "-j", "link", "show", device))[0]["stats64"]["tx"]
    return stats["bytes"], stats["packets"]


def networks_of(host, control, networks):
    """All networks of the simulation, on the real daemon."""
    words = []
    for n in range(networks):
        words += ["--", "add-port", "br0", f"vx{n}", f"tag={n % 4094 + 1}", "--", "set", "Interface", f"vx{n}", "type=vxlan",
                  f"options:key={1000 + n}", "options:remote_ip=flow", f"options:control={control}"]
    host.vsctl("--timeout=300", "add-br", "br0", "--", "set", "Bridge", "br0", "other_config:mac-table-size=400000", *words)


def by_reflector(options, vteps, stations, networks, each, real):
    with ExitStack() as stack:
        bench = Bench(stack, options)
        rf = bench.namespace("rf", 9, "192.0.2.9")
        process = bench.spawn(rf, "reflectord", "--db=none", "--remote=ptcp:6640", log=bench.dir / "reflectord.log")
        wait(lambda: "serves on" in (bench.dir / "reflectord.log").read_text(), 20)
        sim = bench.namespace("sim", 8, "192.0.2.8")
        host = None
        if real:
            host = Host(bench, "a", 1)
            host.start()
            host.vsctl("set", "Open_vSwitch", ".", "other_config:vtep-name=a", "--", "set-reflector", "tcp:192.0.2.9")
            networks_of(host, "reflector", networks)
            wait(lambda: "in step" in host.command("vtep-show").splitlines()[0], 30)
        bytes0, _ = sent(rf)
        began = time.monotonic()
        playing = subprocess.Popen(
            ["ip", "netns", "exec", sim, str(bench.build / "bin/heddle-simulate"), "--server=tcp:192.0.2.9:6640",
             f"--vteps={vteps}", f"--stations={stations}", f"--networks={networks}", f"--each={each}", f"--moves={options.moves}",
             "--stay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        daemon_all = None
        if host:
            held = host.memory()
            try:
                wait(lambda: host.entries() >= vteps * stations, options.patience, 0.05)
            except RuntimeError as e:
                raise RuntimeError(f"the real daemon has {host.entries()} of {vteps * stations} stations: {(host.dir / 'log').read_text()[-2000:]}") from e
            daemon_all = time.monotonic() - began
        told = json.loads(playing.stdout.readline())
        cpu, rss = usage(process.pid)
        total = (sent(rf)[0] - bytes0) / 1e6
        line = (f"{vteps} VTEPs x {stations} stations, {each} of {networks} networks each, by reflectord: connected {told['connected_s']:.1f} s, "
                f"all know all members {told['members_s']:.1f} s, all know all {told['known']} stations {told['stations_s']:.1f} s; "
                f"reflectord sent {total:.0f} MB, took {cpu:.1f} s of a processor, {rss / 1024:.0f} MB")
        if "move_ms" in told:
            line += f"; a move until all members know: median {told['move_ms']:.0f} ms, 95 of 100 within {told['move_95_ms']:.0f} ms"
        if host:
            line += (f"; the real daemon has all {vteps * stations} after {daemon_all:.1f} s in all, "
                     f"{(host.memory() - held) * 1024 / (vteps * stations):.0f} B each")
        print(line, flush=True)
        playing.stdin.close()
        playing.wait()


# --- BGP (RFC 4271) with EVPN routes (RFC 7432), as far as it takes to announce ---

MARKER = b"\xff" * 16


def message(kind, body=b""):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def attribute(flags, kind, value):
    return struct.pack("!BBH", flags | 0x10, kind, len(value)) + value


def open_message(asn, router_id):
    capabilities = struct.pack("!BBHBB", 1, 4, 25, 0, 70) + struct.pack("!BBI", 65, 4, asn)  # L2VPN EVPN; AS of 4 bytes
    options = struct.pack("!BB", 2, len(capabilities)) + capabilities
    return message(1, struct.pack("!BHH4sB", 4, asn, 180, router_id, len(options)) + options)


def update(asn, vtep, vni, routes):
    """One UPDATE with routes of one network."""
    reach = struct.pack("!HBB", 25, 70, 4) + vtep + b"\0" + b"".join(routes)
    communities = struct.pack("!BBHI", 0, 2, asn, vni) + struct.pack("!BBHI", 3, 12, 0, 8)  # route target; encapsulation VXLAN
    attributes = [attribute(0x40, 1, b"\0"), attribute(0x40, 2, b""), attribute(0x40, 5, struct.pack("!I", 100)),
                  attribute(0xC0, 16, communities)]
    if routes[0][0] == 3:  # PMSI tunnel: ingress replication (RFC 6514 section 5)
        attributes.append(attribute(0xC0, 22, struct.pack("!BB", 0, 6) + struct.pack("!I", vni)[1:] + vtep))
    attributes.append(attribute(0x80, 14, reach))
    body = b"".join(attributes)
    return message(2, struct.pack("!HH", 0, len(body)) + body)


def rd(vtep, vni):
    return struct.pack("!H4sH", 1, vtep, vni & 0xFFFF)


def type3(vtep, vni):
    value = rd(vtep, vni) + bytes(4) + bytes([32]) + vtep
    return struct.pack("!BB", 3, len(value)) + value


def type2(vtep, vni, mac):
    value = rd(vtep, vni) + bytes(10) + bytes(4) + bytes([48]) + mac + bytes([0]) + struct.pack("!I", vni)[1:]
    return struct.pack("!BB", 2, len(value)) + value


class Speaker(threading.Thread):
    """A BGP neighbor that announces, and reads what it is told without a look at it."""

    def __init__(self, source, number, asn=65000):
        super().__init__(daemon=True)
        self.vtep = socket.inet_aton(source)
        self.number, self.asn, self.read = number, asn, 0
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((source, 0))
        self.socket.connect((evpn.NEIGHBOR, 179))
        self.socket.sendall(open_message(asn, self.vtep) + message(4))

    def announce(self, networks, stations):
        out = b""
        for k, vni in enumerate(networks):
            out += update(self.asn, self.vtep, vni, [type3(self.vtep, vni)])
            macs = [struct.pack("!HI", 0x0200, self.number << 12 | s) for s in range(stations) if s % len(networks) == k]
            for i in range(0, len(macs), 60):
                out += update(self.asn, self.vtep, vni, [type2(self.vtep, vni, m) for m in macs[i:i + 60]])
        self.socket.sendall(out)

    def run(self):
        while True:
            part = self.socket.recv(1 << 16)
            if not part:
                return
            self.read += len(part)


def setns(ns):
    import ctypes
    fd = os.open(f"/run/netns/{ns}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def play_bgp(vteps, stations, networks, each):
    """In a process of its own: waits for a line after all are in session, then announces."""
    speakers = [Speaker(f"10.64.{n >> 8}.{n & 255}", n) for n in range(1, vteps + 1)]
    for s in speakers:
        s.start()
    time.sleep(3)
    print("connected", flush=True)
    input()
    for n, s in enumerate(speakers):
        s.announce([1000 + (n * each + k) % networks for k in range(each)], stations)
    print("announced", flush=True)
    last = -1
    while (now := sum(s.read for s in speakers)) != last:
        last = now
        s.socket.sendall(message(4))
        time.sleep(1)
        for s in speakers:
            s.socket.sendall(message(4))
    print(last, flush=True)
    try:
        while True:
            input()
    except EOFError:
        pass


def by_evpn(options, vteps, stations, networks, each):
    with ExitStack() as stack:
        bench = Bench(stack, options)
        rr = bench.namespace("rr", 9, evpn.NEIGHBOR)
        run("ip", "-n", rr, "addr", "add", "10.64.255.254/16", "dev", "ul0")
        reflector = evpn.reflector(bench, rr, ranges=("192.0.2.0/24", "10.64.0.0/16"))
        sim = bench.namespace("sim", 8, "192.0.2.8")
        for n in range(1, vteps + 1):
            run("ip", "-n", sim, "addr", "add", f"10.64.{n >> 8}.{n & 255}/16", "dev", "ul0")
        host = Host(bench, "a", 1)
        host.start()
        host.vsctl("set-evpn", "asn=65000", f"neighbors={evpn.NEIGHBOR}")
        evpn.keep(bench, host)
        networks_of(host, "evpn", networks)
        wait(lambda: "in step" in host.command("vtep-show").splitlines()[0] and "not" not in host.command("vtep-show").splitlines()[0], 60)
        held = host.memory()
        playing = subprocess.Popen(["ip", "netns", "exec", sim, "/usr/bin/python3", __file__, "--play",
                                    f"{vteps},{stations},{networks},{each}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        playing.stdout.readline()
        bytes0, _ = sent(rr)
        began = time.monotonic()
        playing.stdin.write("go\n")
        playing.stdin.flush()
        wait(lambda: host.entries() >= vteps * stations, 600, 0.05)
        daemon = time.monotonic() - began
        playing.stdout.readline()
        playing.stdout.readline()
        everyone = time.monotonic() - began - 1
        print(f"{vteps} VTEPs x {stations} stations, {each} of {networks} networks each, by an FRR route reflector: the real daemon has all "
              f"{vteps * stations} after {daemon:.1f} s, the last neighbor has been told after some {everyone:.0f} s; the route reflector sent "
              f"{(sent(rr)[0] - bytes0) / 1e6:.0f} MB, its bgpd {reflector.memory('bgpd') / 1024:.0f} MB; the host's vswitchd "
              f"{(host.memory() - held) * 1024 / (vteps * stations):.0f} B each, its bgpd "
              f"{usage(int((host.evpn / 'frr/bgpd.pid').read_text()))[1] / 1024:.0f} MB, its zebra "
              f"{usage(int((host.evpn / 'frr/zebra.pid').read_text()))[1] / 1024:.0f} MB", flush=True)
        playing.stdin.close()
        playing.wait()


def main():
    p = argparse.ArgumentParser(prog="tools/bench simulate", description=__doc__)
    p.add_argument("--datapath", choices=("kernel", "user"), default="kernel")
    p.add_argument("--build", default="build/release", help="build directory (default build/release)")
    p.add_argument("--by", choices=("reflector", "evpn"), action="append", help="only this (default: both)")
    p.add_argument("--rows", default="200x50,1000x20,100x1000", help="VTEPs x stations of each (default 200x50,1000x20,100x1000; in "
                   "the last each VTEP has one network of its own, and only the real daemon has all)")
    p.add_argument("--moves", type=int, default=50, help="moves after each row by the reflector (default 50)")
    p.add_argument("--patience", type=int, default=300, help="seconds until a row fails (default 300)")
    p.add_argument("--play", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.play:
        return play_bgp(*map(int, options.play.split(",")))
    for row in options.rows.split(","):
        vteps, stations = map(int, row.split("x"))
        alone = stations >= 1000
        networks, each = (vteps, 1) if alone else (40, 5)
        if "reflector" in (options.by or ["reflector"]):
            by_reflector(options if not alone else argparse.Namespace(**{**vars(options), "moves": 0}), vteps, stations, networks, each, True)
        if evpn.installed() and "evpn" in (options.by or ["evpn"]):
            by_evpn(options, vteps, stations, networks, each)


if __name__ == "__main__":
    main()
