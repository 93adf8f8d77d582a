# SPDX-License-Identifier: Apache-2.0
"""The switches that scale.py compares, with a common interface to start, stop, query and measure their daemons."""

import re
from pathlib import Path
from typing import NamedTuple

import switches
from heddle import HeddleKernel, HeddleUser
from switches import PEER, OpenVSwitch, wait_for
from ovsdb_raw import Connection

FRAME = 4096  # bytes of a packet buffer


class Weight(NamedTuple):
    """Amounts in bytes."""

    resident: int  # physical memory of the daemons
    packets: int = 0  # of that: packet buffers
    maps: int = 0  # in the kernel: BPF maps


def resident(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE).group(1)) * 1024


def mapped(pid, size):
    """The physical memory in mappings of exactly this size."""
    total = 0
    found = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "Size":
            found = int(value.split()[0]) * 1024 == size
        elif key == "Rss" and found:
            total += int(value.split()[0]) * 1024
    return total


def answers(path):
    """True when a database is served at the path."""
    try:
        connection = Connection(path)
        connection.call("list_dbs")
        connection.close()
        return True
    except OSError:
        return False


class Scale:
    """Mixed into a Switch."""

    patience = 300  # time limit of a call in seconds

    def socket(self):
        return self.directory / "db.sock"

    def pids(self):
        return [process.pid for process in self.processes]

    def weigh(self):
        return Weight(sum(resident(pid) for pid in self.pids()))

    def tool_line(self, words):
        return " ".join([*self.tool(), *words])

    def vsctl(self, *words):
        switches.run(*self.tool(), *words)

    def end_daemons(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)
        self.processes.clear()

    def wait_for_database(self):
        wait_for("the database", lambda: answers(self.socket()), 120, 0.001)


class ScaleHeddle(Scale):
    frames = 32768  # vswitchd's default

    def tool(self):
        return (str(switches.BIN / "vsctl"), "--rundir", str(self.directory), f"--timeout={self.patience}")

    def start_daemons(self):
        self.launch()
        self.wait_for_database()

    def weigh(self):
        pid = self.pids()[0]
        return Weight(resident(pid), mapped(pid, self.frames * FRAME), self.memory()["maps"])


class ScaleKernel(ScaleHeddle, HeddleKernel):
    name = "kernel"

    def tear_down(self):
        self.devices = ()  # del-br has removed the programs; one `tc` for each of a thousand devices takes long
        super().tear_down()


class ScaleUser(ScaleHeddle, HeddleUser):
    name = "user"


class ScaleOpenVSwitch(Scale, OpenVSwitch):
    name = "ovs"

    def tool(self):
        return (str(PEER / "root/usr/bin/ovs-vsctl"), f"--db=unix:{self.directory}/db.sock",
                f"--timeout={self.patience}")

    def start_daemons(self):
        self.spawn_server()
        self.wait_for_database()
        self.spawn_switch()
