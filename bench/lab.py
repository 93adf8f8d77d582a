# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for a benchmark: three guests on two hosts that are joined by an underlay link.

    ga:g0 -- h1:p0 \\                      / h2:p0 -- gb:g0
                    [switch] h1:u0 -- h2:u0 [switch]
    gc:g0 -- h1:p1 /

Names contain the process number, so that two runs do not collide; close() removes everything.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

UNDERLAY_MTU = 1600
NAMESPACES = ("ga", "gb", "gc", "h1", "h2")
GUESTS = {"ga": ("h1", "p0"), "gc": ("h1", "p1"), "gb": ("h2", "p0")}
UNDERLAY_IP = {"h1": "192.0.2.1", "h2": "192.0.2.2"}
GUEST_IP = {"ga": "10.9.0.1", "gb": "10.9.0.2", "gc": "10.9.0.3"}


def run(*command, check=True):
    """A command's output; the exception has its error text."""
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def undisturbed():
    """Delays SIGINT and SIGTERM until the clean-up is complete."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Lab:
    def __init__(self):
        self.prefix = f"hb{os.getpid()}-"
        self.made = []
        try:
            for name in NAMESPACES:
                self._namespace(name)
            for guest, (host, port) in GUESTS.items():
                self._link(guest, "g0", host, port)
                self.ip(guest, "addr", "add", f"{GUEST_IP[guest]}/24", "dev", "g0")
            self._link("h1", "u0", "h2", "u0", UNDERLAY_MTU)
        except BaseException:
            self.close()
            raise

    def ns(self, name):
        return self.prefix + name

    def device(self, namespace, device):
        """A device in the form for heddle-rate and heddle-floor."""
        return f"{self.ns(namespace)}:{device}"

    def inside(self, namespace, *command):
        return ("ip", "netns", "exec", self.ns(namespace), *command)

    def ip(self, namespace, *words):
        return run("ip", "-n", self.ns(namespace), *words)

    def mac(self, namespace, device):
        return run(*self.inside(namespace, "cat", f"/sys/class/net/{device}/address")).strip()

    def set_underlay_ip(self, host, device="u0"):
        """Moves a host's underlay address to `device`; None removes the address."""
        self.ip(host, "addr", "flush", "dev", "u0")
        if device is not None:
            self.ip(host, "addr", "add", f"{UNDERLAY_IP[host]}/24", "dev", device)

    def offloads(self, guest, on):
        run(*self.inside(guest, "ethtool", "-K", "g0", "tx", "on" if on else "off"))

    def gro(self, host, on):
        """GRO on the host's end of every link: without GRO or an XDP program, a veth drops the frames that XDP sends
        into it."""
        for device in [port for owner, port in GUESTS.values() if owner == host] + ["u0"]:
            run(*self.inside(host, "ethtool", "-K", device, "gro", "on" if on else "off"))

    def wait_until_reached(self, client, server):
        """Waits for a ping's reply: ports are up, addresses resolved, MACs learned."""
        for _ in range(20):
            ping = self.inside(client, "ping", "-n", "-q", "-c1", "-W1", GUEST_IP[server])
            if subprocess.run(ping, capture_output=True).returncode == 0:
                return
        raise RuntimeError(f"{client} does not reach {server}")

    def add_guest_ports(self, host, names):
        """Adds ports on a host, each with a peer in the namespace of guest gc. For the idle row."""
        for name in names:
            self._link("gc", f"{name}g", host, name)

    def remove_guest_ports(self, host, names):
        for name in names:
            self.ip(host, "link", "del", name)

    @undisturbed()
    def close(self):
        for name in reversed(self.made):
            run("ip", "netns", "del", name, check=False)
        self.made.clear()

    def _namespace(self, name):
        full = self.ns(name)
        run("ip", "netns", "add", full)
        self.made.append(full)
        off = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        if Path("/proc/sys/net/ipv6").exists():  # router solicitations would be counted as idle work
            run(*self.inside(name, "sysctl", "-qw", *off))
        self.ip(name, "link", "set", "lo", "up")

    def _link(self, a, a_device, b, b_device, mtu=1500):
        self.ip(a, "link", "add", a_device, "type", "veth", "peer", "name", b_device, "netns", self.ns(b))
        for namespace, device in ((a, a_device), (b, b_device)):
            self.ip(namespace, "link", "set", device, "mtu", str(mtu), "up")
