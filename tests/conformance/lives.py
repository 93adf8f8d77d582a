# SPDX-License-Identifier: Apache-2.0
"""For tests in which a daemon ends and another starts: continuous traffic meanwhile, and the daemon's leftovers."""
import contextlib
import socket
import struct
import threading
import time

from lab import BIN
from net import frame, wait_until


class Stream:
    """Sends numbered UDP packets from one guest to another, `rate` per second, and records the received numbers."""

    def __init__(self, source, sink, rate=1000):
        # Permanent neighbours: the test is about the switch, not about ARP.
        source.ns.ip(f"neigh replace {sink.address} lladdr {sink.mac} dev eth0 nud permanent")
        self._out = source.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in = sink.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self._in.bind((sink.address, 0))
        self._to, self._interval = self._in.getsockname(), 1 / rate
        self.sent, self._seen = 0, set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._send, self._receive)]

    def _send(self):
        due = time.monotonic()
        while not self._stop.is_set():
            self._out.sendto(struct.pack("!Q", self.sent), self._to)
            self.sent += 1
            due += self._interval
            if (wait := due - time.monotonic()) > 0:
                self._stop.wait(wait)

    def _receive(self):
        self._in.settimeout(0.5)
        while True:
            try:
                self._seen.add(struct.unpack("!Q", self._in.recv(64))[0])
            except TimeoutError:
                if self._stop.is_set():  # and no packet for half a second
                    return

    def __enter__(self):
        for t in self._threads:
            t.start()
        self.goes_on()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for t in self._threads:
            t.join()
        self._in.close()
        self._out.close()

    def goes_on(self, packets=300):
        """Waits until so many more packets are sent."""
        mark = self.sent + packets
        wait_until(lambda: self.sent >= mark, 30, f"{packets} packets were sent")

    def lost(self):
        """Numbers of lost packets; after the stream."""
        return sorted(set(range(self.sent)) - self._seen)

    def unharmed(self):
        lost = self.lost()
        assert not lost, f"{len(lost)} of {self.sent} packets lost: {lost[:10]}..."


def known(*guests):
    """Every guest's MAC is learned on its port."""
    guests[0].reaches(guests[1].address)
    for g in guests:
        g.send(frame(g.mac))
        g.host.wait_learned(g.mac, g.device)


def restart_under(stream, host, times=3, **how):
    for _ in range(times):
        host.kill()
        stream.goes_on()
        host.start(**how)
        stream.goes_on()


def left_overs(host):
    """The daemon's leftovers in its host's namespace and BPF file system."""
    kinds = ("tun", "vxlan", "veth")
    devices = {k: [line.split(": ")[1].split("@")[0] for line in host.ns.ip(f"-o link show type {k}").splitlines()]
               for k in kinds}
    guests = set(host.guests) | {"ul0"}
    made = [d for k in kinds for d in devices[k] if d not in guests]
    return {what: found for what, found in (("devices", made), ("programs", host.programs()), ("pins", host.pins()),
                                            ("xdp", host.xdp_devices())) if found}


def cleanup(host, *options, **kw):
    return host.ns.run(BIN / "vswitchd", "--rundir", host.rundir, "--db", host.db, "--bpffs", host.bpffs, "--cleanup", *options, **kw)


@contextlib.contextmanager
def two_daemons(lab):
    """Two running daemons in one namespace, each with its own run directory and a bridge: br0 and br1."""
    host, second = lab.host("h").start(), lab.host("second")
    original, second.ns = second.ns, host.ns
    try:
        second.start()
        host.add_br("br0")
        second.add_br("br1")
        yield host, second
    finally:
        second.ns = original
