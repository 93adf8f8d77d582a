# SPDX-License-Identifier: Apache-2.0
"""Request and response: round-trip times of sockperf's ping-pong over TCP and UDP."""

import re
import subprocess

from lab import GUEST_IP, run
from rows import GENERATOR_CPU, Switches
from switches import wait_for

# name -> (hosts with a switch, tunnel, client, server)
GROUPS = {
    "rr-local": (("h1",), False, "ga", "gc"),
    "rr-vxlan": (("h1", "h2"), True, "ga", "gb"),
}
PROTOCOLS = {"TCP": ["--tcp"], "UDP": []}
PERCENTILES = {"p50": "50.000", "p99": "99.000"}
PORT = 11111
BYTES = 64


def is_listening(lab, server, protocol):
    table = run(*lab.inside(server, "cat", f"/proc/net/{protocol.lower()}"))
    return f":{PORT:04X} " in table


def ping_pong(lab, client, server, protocol, seconds):
    """Both ends on one CPU: with two CPUs most of the time is the wake-up of an idle CPU, on which a switch has no
    influence."""
    pin = ("taskset", "-c", str(GENERATOR_CPU))
    where = ("-i", GUEST_IP[server], "-p", str(PORT), *PROTOCOLS[protocol])
    listener = subprocess.Popen(lab.inside(server, *pin, "sockperf", "server", *where), stdout=subprocess.DEVNULL,
                                stderr=subprocess.STDOUT)
    try:
        wait_for(f"sockperf {protocol} server", lambda: is_listening(lab, server, protocol))
        return parse(run(*lab.inside(client, *pin, "timeout", str(seconds + 15), "sockperf", "ping-pong", *where,
                                     "--full-rtt", "-m", str(BYTES), "-t", str(seconds))))
    finally:
        listener.terminate()
        listener.wait()


def parse(text):
    found = dict(re.findall(r"percentile ([\d.]+) = +([\d.]+)", text))
    count = re.search(r"Total (\d+) observations", text)
    dropped = re.search(r"dropped messages = (\d+)", text)
    if not count or not dropped or any(p not in found for p in PERCENTILES.values()):
        raise RuntimeError(f"sockperf printed no percentiles: {text[-500:]}")
    values = {name: float(found[key]) for name, key in PERCENTILES.items()}
    return values, int(count.group(1)), int(dropped.group(1))


def measure(lab, kind, group, seconds):
    hosts, tunnel, client, server = GROUPS[group]
    with Switches(lab, kind, hosts, tunnel, None):
        lab.wait_until_reached(client, server)
        for protocol in PROTOCOLS:
            values, count, lost = ping_pong(lab, client, server, protocol, seconds)
            for name, value in values.items():
                yield {"row": f"{group} {protocol} {name}", "unit": "us", "value": value, "lower_is_better": True,
                       "trips": count, "trips_lost": lost}
