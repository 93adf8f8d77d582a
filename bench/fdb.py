# SPDX-License-Identifier: Apache-2.0
"""100,000 source addresses on one port: the time in which a switch learns them, and the memory per entry."""

import json
import signal
import subprocess
import time

from rows import RATES, SWITCH_CPU, Cell, Switches, gro, rate_command

GROUP = "fdb"
MACS = 100000
SPARE = 1000  # room for the guests' own addresses
POLL = 0.02
GIVE_UP = 120.0  # seconds


def learn(switch, command):
    """Runs the generator until the switch has learned all sources; returns its report and the seconds until then. The
    switch's state is from a time between query and reply; the time of the query counts."""
    wanted = switch.fdb_entries() + MACS + 1  # and the sink's MAC
    generator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        give_up = time.monotonic() + GIVE_UP
        while True:
            asked = time.monotonic()
            if switch.knows(wanted):
                break
            if generator.poll() is not None:
                raise RuntimeError(f"heddle-rate: {generator.stderr.read().strip()}")
            if asked > give_up:
                raise RuntimeError(f"{switch.fdb_entries()} of {wanted} MACs learned in {GIVE_UP:.0f} s")
            time.sleep(POLL)
        generator.send_signal(signal.SIGTERM)
        output, _ = generator.communicate(timeout=30)
        report = json.loads(output)
        return report, asked - report["began"]
    finally:
        generator.kill()
        generator.communicate()


def measure(lab, kind):
    hosts, tunnel, source, sink, _ = RATES["local"]
    with gro(lab, kind, hosts), Switches(lab, kind, hosts, tunnel, SWITCH_CPU) as (switch,):
        before = switch.memory()  # with the table's default size and almost empty
        switch.make_room(MACS + SPARE)
        cell = Cell("", size=64, flows=1, macs=MACS)
        command = rate_command(lab, source, sink, cell, GIVE_UP, tc_sink=True) + ["--strangers", "--warm-up", "0"]
        report, seconds = learn(switch, command)
        after = switch.memory()
        grown = {part: after[part] - before[part] for part in after}
        yield {"row": f"{GROUP} learn {MACS} MACs", "unit": "1000/s", "value": MACS / seconds / 1e3, "seconds": seconds,
               "sent": report["sent"], "lost": report["lost"], "offered_mpps": report["mpps"]}
        yield {"row": f"{GROUP} memory an entry", "unit": "bytes", "value": sum(grown.values()) / MACS,
               "lower_is_better": True, "before": before, "after": after}
        if "rss" in after:  # for the Linux bridge only the growth is known
            yield {"row": f"{GROUP} memory in all", "unit": "MiB", "value": sum(after.values()) / 2**20,
                   "lower_is_better": True}
