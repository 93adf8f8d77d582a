# SPDX-License-Identifier: Apache-2.0
"""Acknowledged transactions survive kill -9 at any moment and a full disk."""
import contextlib
import os
import random
import resource
import socket
import sqlite3
import subprocess
import sys

import pytest
from rpc import Rpc

ABOVE_DATAPATH = True  # see conftest.py
ROUNDS = 20
# Transactions in each round; HEDDLE_CRASH_TRANSACTIONS=10000 for a night.
TRANSACTIONS = int(os.environ.get("HEDDLE_CRASH_TRANSACTIONS", "500"))
WINDOW = 16  # unanswered requests
FILLER = "x" * 2000  # in each row, so that some hundreds of transactions fill the journal, which is then folded


@pytest.fixture
def host(lab):
    return lab.host("h").start()


def number(i, *more):
    return ["map", [["n", str(i)], *more]]


def pair(i, last=None):
    """A transaction that inserts two rows that belong together and writes the number to the row `last`."""
    note = {"op": "update", "table": "QoS", "where": [["_uuid", "==", last]], "row": {"external_ids": number(i)}}
    return [*({"op": "insert", "table": "QoS", "row": {"type": side, "external_ids": number(i, ["x", FILLER])}} for side in "ab"),
            *([note] if last else [])]


def numbers(rpc):
    """{n: the existing sides}"""
    found = {}
    for row in rpc.transact({"op": "select", "table": "QoS", "where": [], "columns": ["type", "external_ids"]})["result"][0]["rows"]:
        found.setdefault(int(row["external_ids"][1][0][1]), set()).add(row["type"])
    return found


def start_over(rpc):
    """Inserts the row for the last number."""
    return rpc.transact({"op": "delete", "table": "QoS", "where": []},
                        {"op": "insert", "table": "QoS", "row": {"type": "last", "external_ids": number(-1)}})["result"][1]["uuid"]


def write_until_killed(host, rpc, last, kill_after):
    """Sends transactions without waiting for each; kills the daemon after so many replies. Returns the acknowledged
    numbers."""
    acknowledged, sent = set(), 0
    while True:
        try:
            while sent < TRANSACTIONS and sent - len(acknowledged) < WINDOW:
                rpc.send({"method": "transact", "params": ["Open_vSwitch", *pair(sent, last)], "id": sent})
                sent += 1
            reply = rpc.receive()
        except (BrokenPipeError, ConnectionResetError):
            return acknowledged
        if reply is None:
            return acknowledged
        assert reply["error"] is None and reply["result"][2:] == [{"count": 1}], reply
        acknowledged.add(reply["id"])
        if len(acknowledged) == kill_after:
            # Replies until the daemon's death count too, so the socket is read to its end.
            host.kill()


def test_kill_at_any_moment(host):
    dice = random.Random(os.environ.get("HEDDLE_SEED", "7047"))
    for turn in range(ROUNDS):
        with Rpc(host.rundir / "db.sock") as rpc:
            last = start_over(rpc)
            acknowledged = write_until_killed(host, rpc, last, dice.randint(1, TRANSACTIONS - WINDOW))
        host.start()
        with Rpc(host.rundir / "db.sock") as rpc:
            there = numbers(rpc)
        (last,) = (n for n, sides in there.items() if "last" in sides)
        there[last].remove("last")
        whole = {n for n, sides in there.items() if sides == {"a", "b"}}
        assert acknowledged <= whole, f"round {turn}: lost {sorted(acknowledged - whole)}"
        # Transactions of one connection are applied in order, so no part of the next one exists.
        assert there.keys() == whole == set(range(last + 1)), f"round {turn}: half of transactions {there.keys() - whole}"
        print(f"round {turn}: {len(acknowledged)} acknowledged, {len(whole)} there")


def test_full_disk(host):
    """A limit on the size of files has the effect of a full disk on the daemon."""
    pid = host.process.pid
    with Rpc(host.rundir / "db.sock") as rpc:
        rpc.transact(*pair(0))
        log = os.path.getsize(f"{host.db}-wal")
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(log, os.path.getsize(host.log)) + (64 << 10), hard))
        big = [{"op": "insert", "table": "QoS", "row": {"type": "big", "external_ids": ["map", [["n", "x" * (1 << 20)]]]}}]
        refused = rpc.transact(*big)["result"]
        assert refused[-1]["error"] == "I/O error", refused
        assert "database file" in refused[-1]["details"]
        assert set(numbers(rpc)) == {0}, "nothing of it is there"
        assert rpc.transact(*pair(1))["result"][-1].get("error") is None, "small ones still fit"
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert "error" not in rpc.transact(*pair(2))["result"][-1]
    host.kill()
    host.start()
    with Rpc(host.rundir / "db.sock") as rpc:
        assert set(numbers(rpc)) == {0, 1, 2}


def test_full_disk_and_a_full_journal(host):
    """SQLite's log cannot grow, and the journal must be folded into the rows: after a checkpoint, transactions go on in
    the log's present size."""
    pid = host.process.pid
    with Rpc(host.rundir / "db.sock") as rpc:
        filler = {"op": "insert", "table": "Queue", "row": {"external_ids": ["map", [["n", "x" * 1_020_000]]]}}
        for _ in range(6):
            assert "error" not in rpc.transact(filler)["result"][-1]
        log = os.path.getsize(f"{host.db}-wal")
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(log, os.path.getsize(host.log)) + (64 << 10), hard))
        for n in range(200):  # of more than two hundred bytes each: the journal's megabyte fills meanwhile
            assert rpc.transact(*pair(n))["result"][-1].get("error") is None, f"transaction {n}"
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    host.kill()
    host.start()
    with Rpc(host.rundir / "db.sock") as rpc:
        assert set(numbers(rpc)) == set(range(200))


def test_a_backup_while_it_runs(host, tmp_path):
    """SQLite's backup by another process: the copy is complete, and later acknowledged transactions stay."""
    with Rpc(host.rundir / "db.sock") as rpc:
        rpc.transact(*pair(0))
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", program, host.db, tmp_path / "copy.db"], check=True)
        rpc.transact(*pair(1))
    host.kill()
    host.start()
    with Rpc(host.rundir / "db.sock") as rpc:
        assert set(numbers(rpc)) == {0, 1}
    host.stop()
    host.start(db=tmp_path / "copy.db")
    with Rpc(host.rundir / "db.sock") as rpc:
        assert set(numbers(rpc)) == {0}


def layout(host, *commands):
    """Runs SQL commands on the database file; returns its layout."""
    with contextlib.closing(sqlite3.connect(host.db)) as file:
        for command in commands:
            file.execute(command)
        file.commit()
        return file.execute("PRAGMA user_version").fetchone()[0]


def test_a_file_without_a_journal(host):
    with Rpc(host.rundir / "db.sock") as rpc:
        rpc.transact(*pair(0))
    host.stop()
    assert layout(host, "DROP TABLE journal", "PRAGMA user_version=1") == 1
    host.start()
    with Rpc(host.rundir / "db.sock") as rpc:
        assert numbers(rpc) == {0: {"a", "b"}}
        rpc.transact(*pair(1))
    host.kill()
    assert layout(host) == 2
    host.start()
    with Rpc(host.rundir / "db.sock") as rpc:
        assert set(numbers(rpc)) == {0, 1}


def test_a_client_that_stops_reading_is_disconnected(lab, monkeypatch):
    """64 MiB may wait for a client. Other clients are served, and the daemon's memory does not grow with the
    transactions."""
    # AddressSanitizer keeps freed memory up to this amount, which counts as resident.
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16")
    host = lab.host("h").start()

    def resident():
        with open(f"/proc/{host.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with Rpc(host.rundir / "db.sock") as slow, Rpc(host.rundir / "db.sock") as quick:
        slow.call("monitor", "Open_vSwitch", "m", {"QoS": {"columns": ["external_ids"]}})
        row = quick.transact({"op": "insert", "table": "QoS", "row": {}})["result"][0]["uuid"]
        before, cut = resident(), "bytes wait for a client that does not read them"
        for n in range(40):
            filler = ["map", [["filler", f"{n}" + "x" * (8 << 20)]]]
            quick.transact({"op": "update", "table": "QoS", "where": [["_uuid", "==", row]], "row": {"external_ids": filler}})
        log = host.log.read_text()
        assert cut in log and f"(process {os.getpid()}): cut off" in log
        shown = [line.split() for line in host.vsctl("clients-show").stdout.splitlines()]
        assert dict(zip(shown[0], next(row for row in shown if row[0] == "db.sock")))["slow"] == "1", shown
        assert resident() < before + (200 << 20), "of 320 MiB written"
        with pytest.raises((ConnectionError, AssertionError)):
            while True:
                assert slow.receive() is not None


def test_too_many_connections_do_not_disturb_the_present_ones(host):
    """Clients above the limit are refused, and the connected ones are served."""
    with Rpc(host.rundir / "db.sock") as first:
        others = []
        try:
            for _ in range(300):
                one = socket.socket(socket.AF_UNIX)
                one.connect(str(host.rundir / "db.sock"))
                others.append(one)
            assert "Open_vSwitch" in first.call("list_dbs")["result"]
        finally:
            for one in others:
                one.close()
