# SPDX-License-Identifier: Apache-2.0
"""The cost of a killed daemon: datagrams of a steady stream lost while every daemon on the path is killed by kill -9
and started again."""

import json
import subprocess
import sys
import time
from pathlib import Path

from lab import GUEST_IP
from rows import Switches

# name -> (hosts with a switch, tunnel, sender, receiver)
GROUPS = {
    "restart-local": (("h1",), False, "ga", "gc"),
    "restart-vxlan": (("h1", "h2"), True, "ga", "gb"),
}
PER_SECOND = 1000
SECONDS = 10
KILL_AFTER = 2.0  # seconds of the stream
AWAY = 1.0  # seconds without a daemon
STREAM = Path(__file__).with_name("stream.py")


def spawn(lab, namespace, *words):
    command = lab.inside(namespace, sys.executable, str(STREAM), *map(str, words))
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def result_of(process, what):
    output, _ = process.communicate(timeout=SECONDS + 20)  # also closes its standard input
    if process.returncode != 0:
        raise RuntimeError(f"stream {what} ended with {process.returncode}")
    return json.loads(output)


def kill_and_restart(members):
    """Returns the seconds from the last daemon's start to its first answer."""
    for switch in members:
        switch.kill()
    time.sleep(AWAY)
    begin = time.monotonic()
    for switch in members:
        switch.restart()
    return time.monotonic() - begin


def measure(lab, kind, group):
    hosts, tunnel, sender, receiver = GROUPS[group]
    with Switches(lab, kind, hosts, tunnel, None) as members:
        lab.wait_until_reached(sender, receiver)
        arrivals = spawn(lab, receiver, "receive", PER_SECOND)
        stream = None
        try:
            if "ready" not in arrivals.stdout.readline():
                raise RuntimeError("stream receiver did not start")
            stream = spawn(lab, sender, "send", GUEST_IP[receiver], PER_SECOND, SECONDS)
            time.sleep(KILL_AFTER)
            back_after = kill_and_restart(members)
            if stream.poll() is not None:
                raise RuntimeError("the stream ended before the daemon was back")
            sent = result_of(stream, "sender")
            got = result_of(arrivals, "receiver")
        finally:
            for process in filter(None, (stream, arrivals)):
                process.kill()
                process.communicate()
        yield {"row": f"{group} of {sent['sent']}", "unit": "lost", "value": sent["sent"] - got["received"],
               "lower_is_better": True, "back_after": back_after, **sent, **got}
