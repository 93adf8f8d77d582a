"""Frames sent as fast as they will go, and the arithmetic of token buckets for what came of them.

A bucket of `burst` bits that fills at `rate` bit/s lets through at most burst + rate x time, whoever measures the time: a
busy machine makes it longer and never wrong. What is below, a bucket may owe to a sender that paused.
"""
import time
from dataclasses import dataclass, field

from lab import quiet as usual_quiet
from net import TIME_SCALE, frame

OVERSHOOT = 1.1  # of a rate: what link layers count differently (tags, preamble, checksums)


@dataclass
class Burst:
    """What was sent and what came, in order; times in seconds since the first frame was sent."""
    size: int
    sent: int = 0
    seconds: float = 0.0  # until the last frame came
    came: list = field(default_factory=list)  # (time, number of the frame)

    @property
    def received(self):
        return len(self.came)

    def bits(self, frames):
        return frames * self.size * 8

    def within(self, rate, burst):
        """Never more than the bucket holds and time has filled; one frame may overdraw it."""
        for n, (when, _) in enumerate(self.came, 1):
            allowed = (burst + rate * when) * OVERSHOOT + self.bits(1)
            assert self.bits(n) <= allowed, f"{self.bits(n)} bits after {when:.4f} s; {allowed:.0f} are allowed"


def burst(source, sink, count, size=1000, quiet=0.4, interval=0.0, dst=None):
    """Sends `count` numbered frames and collects what comes until nothing has come for `quiet` seconds (longer when the
    machine is busy)."""
    result = Burst(size)
    sink.raw.drain()
    mark = b"burst-%d-" % id(result)
    quiet = max(quiet * TIME_SCALE, 2 * usual_quiet())

    def collect():
        while (data := sink.raw.receive()) is not None:
            at = data.find(mark)
            if at >= 0:
                result.came.append((time.monotonic() - begin, int(data[at + len(mark):at + len(mark) + 8])))
    begin = time.monotonic()
    while result.sent < count:
        source.send(frame(source.mac, dst or sink.mac, mark + b"%08d" % result.sent, size=size))
        result.sent += 1
        if interval or result.sent % 32 == 0:
            collect()
        if interval:
            time.sleep(interval)
    last = time.monotonic()
    while time.monotonic() - last < quiet:
        before = result.received
        collect()
        if result.received > before:
            last = time.monotonic()
        time.sleep(0.002)
    result.seconds = result.came[-1][0] if result.came else 0.0
    return result


def in_order(result):
    numbers = [n for _, n in result.came]
    return numbers == sorted(numbers)
