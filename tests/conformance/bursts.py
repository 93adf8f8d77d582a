# SPDX-License-Identifier: Apache-2.0
"""Frames sent as fast as possible, and the arithmetic of token buckets for the frames that arrive.

A bucket of `burst` bits that fills at `rate` bit/s passes at most burst + rate x time. The bound holds on a busy
machine too, which only makes the time longer. A bucket may pass less to a sender that paused.

On veth every frame passes a queue that all devices of a processor share (net.core.netdev_max_backlog): when other
devices fill the queue, frames are lost before they reach a switch. The kernel counts these losses for the whole
machine.
"""
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab import quiet as usual_quiet
from net import TIME_SCALE, frame

OVERSHOOT = 1.1  # factor for bytes that link layers count differently (tags, preamble, checksums)


@dataclass
class Burst:
    """The frames sent and received, in order; times in seconds since the first frame was sent."""
    size: int
    sent: int = 0
    seconds: float = 0.0  # until the last frame arrived
    came: list = field(default_factory=list)  # (time, number of the frame)
    backlog: int = 0  # frames of the whole machine that found the shared queue full meanwhile

    @property
    def received(self):
        return len(self.came)

    def is_whole(self):
        """No frame was lost, except those that the kernel may have lost on the way to or from the switch."""
        missing = sorted(set(range(self.sent)) - {n for _, n in self.came})
        assert len(missing) <= self.backlog, f"{len(missing)} of {self.sent} frames are missing: {missing}"

    def bits(self, frames):
        return frames * self.size * 8

    def within(self, rate, burst):
        """At no time more than the bucket's content and its filling since; one frame may overdraw the bucket."""
        for n, (when, _) in enumerate(self.came, 1):
            allowed = (burst + rate * when) * OVERSHOOT + self.bits(1)
            assert self.bits(n) <= allowed, f"{self.bits(n)} bits after {when:.4f} s; {allowed:.0f} are allowed"


def backlog_drops():
    """Second column of /proc/net/softnet_stat, of all processors."""
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def burst(source, sink, count, size=1000, quiet=0.4, interval=0.0, dst=None):
    """Sends `count` numbered frames and collects the arriving ones until none has come for `quiet` seconds (longer when
    the machine is busy)."""
    result = Burst(size)
    sink.raw.drain()
    mark = b"burst-%d-" % id(result)
    quiet = max(quiet * TIME_SCALE, 2 * usual_quiet())

    def collect(span=0.0):
        """Receives frames for `span` seconds; returns the increase of result.received."""
        before, end = result.received, time.monotonic() + span
        while (data := sink.raw.receive(max(0.0, end - time.monotonic()))) is not None:
            at = data.find(mark)
            if at >= 0:
                result.came.append((time.monotonic() - begin, int(data[at + len(mark):at + len(mark) + 8])))
        return result.received - before
    begin, backlog = time.monotonic(), backlog_drops()
    while result.sent < count:
        source.send(frame(source.mac, dst or sink.mac, mark + b"%08d" % result.sent, size=size))
        result.sent += 1
        if interval or result.sent % 32 == 0:
            collect(interval)
    while collect(quiet):
        pass
    result.backlog = backlog_drops() - backlog
    result.seconds = result.came[-1][0] if result.came else 0.0
    return result


def in_order(result):
    numbers = [n for _, n in result.came]
    return numbers == sorted(numbers)
