# SPDX-License-Identifier: Apache-2.0
"""The rows of both suites: packet rates through one or two switches, TCP, and CPU time at rest."""

import contextlib
import json
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import switches
from lab import GUEST_IP, UNDERLAY_IP, run
from switches import VNI, OpenVSwitch

GENERATOR_CPU = 0
SWITCH_CPU = 1
# name -> (hosts with a switch, tunnel, from, to, the end with VXLAN)
RATES = {
    "local": (("h1",), False, ("ga", "g0"), ("gc", "g0"), None),
    "encap": (("h1",), True, ("ga", "g0"), ("h2", "u0"), "to"),
    "decap": (("h1",), True, ("h2", "u0"), ("ga", "g0"), "from"),
    "vxlan": (("h1", "h2"), True, ("ga", "g0"), ("gb", "g0"), None),
}
# name -> (hosts with a switch, tunnel, client, server)
TCP = {
    "tcp-local": (("h1",), False, "ga", "gc"),
    "tcp-vxlan": (("h1", "h2"), True, "ga", "gb"),
}
IDLE_PORTS = 8


class Cell(NamedTuple):
    """The frames of one measurement of a packet rate."""

    label: str
    size: int
    flows: int = 1
    macs: int = 1


def ports_of(host, tunnel):
    return ["p0"] if tunnel or host == "h2" else ["p0", "p1"]


class Switches:
    """Context with a group's switches of one kind."""

    def __init__(self, lab, kind, hosts, tunnel, pin, ports=None):
        self.lab, self.hosts, self.tunnel, self.pin, self.ports = lab, hosts, tunnel, pin, ports
        self.members = [kind(lab) for _ in hosts]

    def __enter__(self):
        if "h2" not in self.hosts and self.tunnel:
            self.lab.set_underlay_ip("h2")  # the far end answers ARP
        try:
            for host, switch in zip(self.hosts, self.members):
                if isinstance(switch, OpenVSwitch):
                    switch.relaxed = len(self.hosts) > 1
                switch.start(host, self.ports or ports_of(host, self.tunnel), self.tunnel, self.pin)
        except BaseException:
            self.__exit__()
            raise
        return self.members

    def __exit__(self, *_):
        for switch in self.members:
            switch.stop()
        self.lab.ip("h2", "addr", "flush", "dev", "u0")


def tunnel_words(lab, switch, end):
    """The outer header from the far host's underlay device to the switch on h1."""
    if end is None:
        return ()
    outer = f"{VNI},{lab.mac('h2', 'u0')},{lab.mac('h1', switch.underlay)},{UNDERLAY_IP['h2']},{UNDERLAY_IP['h1']}"
    return (f"--{end}-tunnel", outer)


@contextlib.contextmanager
def gro(lab, kind, hosts):
    """Enables GRO where frames sent by XDP need it."""
    hosts = hosts if kind.rate_needs_gro else ()
    try:
        for host in hosts:
            lab.gro(host, True)
        yield
    finally:
        for host in hosts:
            lab.gro(host, False)


def rate_command(lab, source, sink, cell, seconds, tc_sink):
    command = [switches.BIN / "heddle-rate", "--from", lab.device(*source), "--to", lab.device(*sink),
               "--size", cell.size, "--flows", cell.flows, "--macs", cell.macs, "--seconds", seconds,
               "--cpu", GENERATOR_CPU]
    return [*map(str, command), *(["--tc-sink"] if tc_sink else [])]


def rate(lab, kind, group, cells, seconds, tc_sink):
    """Yields a result for each of `cells`."""
    hosts, tunnel, source, sink, end = RATES[group]
    with gro(lab, kind, hosts), Switches(lab, kind, hosts, tunnel, SWITCH_CPU) as members:
        for cell in cells:
            command = rate_command(lab, source, sink, cell, seconds, tc_sink)
            result = json.loads(run(*command, *tunnel_words(lab, members[0], end)))
            yield {"row": f"{group} {cell.label}", "unit": "Mpps", "value": result["mpps"],
                   "lost": result["lost"], "sent": result["sent"], "stalls": result["stalls"],
                   "reordered": result["reordered"]}


def iperf(lab, client, server, streams, seconds, cpus):
    """Received Gbit/s. `cpus`: "CLIENT,SERVER", or None."""
    listener = subprocess.Popen(lab.inside(server, "iperf3", "-s", "-1", "--forceflush"), stdout=subprocess.PIPE,
                                text=True)
    try:
        while "listening" not in listener.stdout.readline():
            if listener.poll() is not None:
                raise RuntimeError("iperf3 server ended")
        output = run(*lab.inside(client, "timeout", str(int(seconds) + 15), "iperf3", "-J", "-c", GUEST_IP[server], "-t",
                                 str(max(1, round(seconds))), "-P", str(streams), "--connect-timeout", "5000",
                                 *(["-A", cpus] if cpus else [])))
        return json.loads(output)["end"]["sum_received"]["bits_per_second"] / 1e9
    finally:
        listener.terminate()
        listener.wait()
        listener.stdout.close()


def tcp(lab, kind, group, streams, seconds, cpus=None):
    hosts, tunnel, client, server = TCP[group]
    off = kind.tcp_needs_offloads_off
    with Switches(lab, kind, hosts, tunnel, None):
        try:
            for guest in (client, server):
                lab.offloads(guest, not off)
            for n in streams:
                yield {"row": f"{group} {n} stream{'s' if n > 1 else ''}", "unit": "Gbit/s",
                       "value": iperf(lab, client, server, n, seconds, cpus)}
        finally:
            for guest in (client, server):
                lab.offloads(guest, True)


def cpu_seconds(pids):
    """On-CPU time of all threads, from schedstat: utime and stime count ticks, too coarse for a sleeping daemon."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def idle(lab, kind, seconds=5):
    names = [f"q{n}" for n in range(IDLE_PORTS)]
    lab.add_guest_ports("h1", names)
    try:
        with Switches(lab, kind, ("h1",), False, None, names) as members:
            time.sleep(2)  # excludes work after the start
            pids = [process.pid for process in members[0].processes]
            before, begin = cpu_seconds(pids), time.monotonic()
            time.sleep(seconds)
            used = (cpu_seconds(pids) - before) / (time.monotonic() - begin)
            yield {"row": f"idle, {IDLE_PORTS} ports", "unit": "% of a core", "value": used * 100}
    finally:
        lab.remove_guest_ports("h1", names)
