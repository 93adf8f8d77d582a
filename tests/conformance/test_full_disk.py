# SPDX-License-Identifier: Apache-2.0
"""The database on a full file system."""
import os
import signal
import subprocess

import pytest
from net import run
from rpc import Rpc

ABOVE_DATAPATH = True  # see conftest.py
SMALL, LARGE = "2m", "16m"


@pytest.fixture
def host(lab):
    """The switch with its database on a small file system."""
    host = lab.host("h")
    small = host.dir / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=0700", host.ns.name, small)
    host.db = small / "conf.db"
    try:
        yield host.start()
    finally:
        if host.process:
            host.stop()
        run("umount", small)


def note(i, size):
    return {"op": "insert", "table": "QoS", "row": {"type": str(i), "external_ids": ["map", [["filler", "x" * size]]]}}


def there(rpc):
    rows = rpc.transact({"op": "select", "table": "QoS", "where": [], "columns": ["type"]})["result"][0]["rows"]
    return {int(row["type"]) for row in rows}


def fill(rpc, size):
    """Sends transactions until one is refused; returns the numbers of the successful ones and the error."""
    done = set()
    while True:
        number = len(done)
        result = rpc.transact(note(number, size))["result"]
        if "error" in result[-1]:
            return done, result
        done.add(number)
        assert len(done) * size < 64 << 20, "the disk does not fill"


def test_the_switch_works_and_the_database_recovers_with_free_space(host):
    host.add_br("br0")
    one = host.guest("br0", "vm1", "10.0.0.1/24")
    host.guest("br0", "vm2", "10.0.0.2/24")
    one.reaches("10.0.0.2")
    before = host.ask("list", "Port")
    pings = subprocess.Popen(["ip", "netns", "exec", one.ns.name, "ping", "-n", "-i", "0.05", "10.0.0.2"], text=True,
                             stdout=subprocess.PIPE)
    with Rpc(host.rundir / "db.sock") as rpc:
        done, refused = fill(rpc, 20_000)
        assert done and refused[-1]["error"] == "I/O error"
        assert str(host.db) in refused[-1]["details"] and "make room" in refused[-1]["details"], refused
        assert there(rpc) == done, "of the refused one nothing is there, and nothing else has gone"
        failed = host.vsctl("set", "Port", "vm1", f"external_ids:filler={'x' * 20_000}", check=False)
        assert failed.returncode == 1 and "make room" in failed.stderr
        assert host.ask("list", "Port") == before
        run("mount", "-o", f"remount,size={LARGE}", host.dir / "small")
        assert "error" not in rpc.transact(note(len(done), 20_000))["result"][-1], "without a restart"
    host.vsctl("set", "Port", "vm1", "external_ids:mine=1")
    pings.send_signal(signal.SIGINT)
    summary = pings.communicate(timeout=10)[0]
    assert " 0% packet loss" in summary, summary
    host.kill()
    host.start()
    with Rpc(host.rundir / "db.sock") as rpc:
        assert there(rpc) == done | {len(done)}
    assert host.get("Port", "vm1", "external_ids:mine") == "1"
    assert os.path.getsize(host.db) > 0
