# SPDX-License-Identifier: Apache-2.0
"""Interactions of sessions compared with Debian's ovsdb-server: locks, waits that other sessions satisfy, and monitors
whose conditions change. Both servers get the same random messages on three connections, and must send each connection
the same after every message. HEDDLE_SEED and HEDDLE_TWIN_MESSAGES select the messages and their number."""
import json
import os
import random

from rpc import Rpc
from twin_grammar import MARK, NOWHERE, normal

ABOVE_DATAPATH = True  # see conftest.py
MESSAGES = int(os.environ.get("HEDDLE_TWIN_MESSAGES", "600"))
ROWS = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(3)]
SESSIONS = 3
LOCKS = ("one", "two")
LONG = 600_000  # ms: a wait that ends by another session's change or with its session


def told(message):
    """The message without the parts that may differ: error details, transaction ids."""
    message = normal({k: v for k, v in message.items() if v is not None})
    if isinstance(message.get("error"), dict):
        message["error"] = message["error"]["error"]
    if isinstance(message.get("result"), list) and len(message["result"]) == 3 and isinstance(message["result"][1], str):
        message["result"][1] = "ID"  # of monitor_cond_since: found, transaction id, rows
    return json.dumps(message, sort_keys=True)


class Replica:
    """A monitoring client's copy of the table's rows. The number of update messages does not matter (the peer combines
    several transactions in one message)."""

    def __init__(self, rows):
        self.rows = {uuid: row["initial"] for uuid, row in rows.get("TwinRoot", {}).items()}

    def apply(self, tables):
        for uuid, change in tables.get("TwinRoot", {}).items():
            (kind, row), = change.items()
            assert (uuid in self.rows) == (kind != "insert"), f"{kind} of {uuid}: {self.rows}"
            if kind == "delete":
                del self.rows[uuid]
            else:
                self.rows[uuid] = self.rows.get(uuid, {}) | row  # scalar columns: the update has the new value


class Side:
    """One server, and the connections to it."""

    def __init__(self, path):
        self.path = path
        self.sessions = [Rpc(path) for _ in range(SESSIONS)]
        self.replicas = [{} for _ in range(SESSIONS)]
        self.asked = {}  # id of a monitor request -> the monitor's name
        self.rounds = 0

    def send(self, session, message):
        if message is None:
            self.sessions[session].socket.close()
            self.sessions[session], self.replicas[session] = Rpc(self.path), {}
            return self.settle()
        if message["method"].startswith("monitor_cond") and message["method"] != "monitor_cond_change":
            self.asked[message["id"]] = message["params"][1]
        if message["method"] == "monitor_cancel":
            self.replicas[session].pop(message["params"][0])
        self.sessions[session].send(message)
        return self.settle()

    def take(self, session, message):
        """True for a message that is not a monitor's update."""
        if str(message.get("method")).startswith("update"):
            self.replicas[session][message["params"][0]].apply(message["params"][-1])
            return False
        if monitor := self.asked.pop(message.get("id"), None):
            result = message["result"]
            self.replicas[session][monitor] = Replica(result[-1] if isinstance(result, list) else result)
        return True

    def settle(self):
        """The messages to each session, and the state of its monitors. A server handles waits and monitors after its
        pending requests, so after three replies a session has all updates."""
        news = [[] for _ in self.sessions]
        for _ in range(3):
            self.rounds += 1
            for number, session in enumerate(self.sessions):
                session.send({"method": "echo", "id": f"round {self.rounds}", "params": []})
                while (message := session.receive()).get("id") != f"round {self.rounds}":
                    if self.take(number, message):
                        news[number].append(told(message))
        followed = [{name: replica.rows for name, replica in of.items()} for of in self.replicas]
        return [sorted(one) for one in news], followed


class Game:
    """Selects the next message by the state of the sessions."""

    def __init__(self, dice):
        self.dice = dice
        self.number = 0
        self.monitors = [set() for _ in range(SESSIONS)]
        # By name: the holder and the waiting sessions, each with "stole"; the sessions that must unlock.
        self.locks = {name: ([], set()) for name in LOCKS}

    def where(self):
        return [["i", self.dice.choice(["<", ">=", "==", "!="]), self.dice.randint(0, 4)]] if self.dice.random() < 0.8 else []

    def row(self):
        return [["_uuid", "==", ["uuid", self.dice.choice(ROWS)]]]

    def update(self):
        return {"op": "update", "table": "TwinRoot", "where": self.row(), "row": {"i": self.dice.randint(0, 4)}}

    def wait(self, timeout):
        return {"op": "wait", "table": "TwinRoot", "where": self.row(), "columns": ["i"], "timeout": timeout,
                "until": self.dice.choice(["==", "==", "!="]), "rows": [{"i": self.dice.randint(0, 4)}]}

    def message(self):
        session = self.dice.randrange(SESSIONS)
        self.number += 1
        kind = self.dice.choices(["lock", "transact", "wait", "monitor", "change", "close"], [6, 8, 4, 2, 3, 0.3])[0]
        return session, getattr(self, "make_" + kind)(session)

    def request(self, method, *params):
        return {"method": method, "params": list(params), "id": self.number}

    def make_lock(self, session):
        name = self.dice.choice(LOCKS)
        queue, asked = self.locks[name]
        if session not in asked:
            steal = self.dice.random() < 0.4
            if steal and queue and queue[0][1]:
                queue.pop(0)  # a thief does not wait for the lock
            queue.insert(0 if steal else len(queue), (session, steal))
            asked.add(session)
            return self.request("steal" if steal else "lock", name)
        if self.waits(session, name):
            return self.request("echo", name)
        self.forget(session, name)
        return self.request("unlock", name)

    def waits(self, session, name):
        """A waiting session does not unlock: the peer would notify the holder once more that it has the lock."""
        return session in [s for s, _ in self.locks[name][0][1:]]

    def forget(self, session, name):
        queue, asked = self.locks[name]
        queue[:] = [turn for turn in queue if turn[0] != session]
        asked.discard(session)

    def make_transact(self, _session):
        operations = [self.update() for _ in range(self.dice.randint(1, 2))]
        if self.dice.random() < 0.4:
            operations.insert(self.dice.randint(0, 1), {"op": "assert", "lock": self.dice.choice(LOCKS)})
        return self.request("transact", "Open_vSwitch", *operations)

    def make_wait(self, _session):
        """The operations after the wait do not affect other waits, since each server has its own order for waits that
        end at once."""
        return self.request("transact", "Open_vSwitch", self.wait(self.dice.choice([0, LONG, LONG])), MARK)

    def make_monitor(self, session):
        if self.monitors[session] and self.dice.random() < 0.3:
            return self.request("monitor_cancel", self.monitors[session].pop())
        name = f"m{self.number}"
        self.monitors[session].add(name)
        since = self.dice.random() < 0.5
        asked = {"TwinRoot": [{"columns": ["i", "name"], "where": self.where()}]}
        return self.request("monitor_cond_since" if since else "monitor_cond", "Open_vSwitch", name, asked, *[NOWHERE] * since)

    def make_change(self, session):
        if not self.monitors[session]:
            return self.make_monitor(session)
        name = self.dice.choice(sorted(self.monitors[session]))
        return self.request("monitor_cond_change", name, name, {"TwinRoot": [{"where": self.where()}]})

    def make_close(self, session):
        if any(self.waits(session, name) for name in LOCKS):
            return self.request("echo", "stays")
        self.monitors[session] = set()
        for name in LOCKS:
            self.forget(session, name)
        return None


def test_the_same_to_every_session(twins):
    seed = os.environ.get("HEDDLE_SEED", "7047")
    print(f"HEDDLE_SEED={seed}")
    game = Game(random.Random(seed))
    sides = [Side(path) for path in twins]
    for side in sides:
        rows = [{"op": "insert", "table": "TwinRoot", "uuid": uuid, "row": {"name": f"row{n}", "i": n}} for n, uuid in enumerate(ROWS)]
        assert side.sessions[0].transact(*rows, {"op": "insert", "table": "TwinMark", "row": {}})["error"] is None
    seen = {}
    for turn in range(MESSAGES):
        session, message = game.message()
        news = [side.send(session, message) for side in sides]
        assert news[0] == news[1], (f"HEDDLE_SEED={seed}, message {turn} by session {session}:\n{json.dumps(message)}\n"
                                    f"Heddle {news[0]}\npeer   {news[1]}")
        for text in (text for one in news[0][0] for text in one):
            what = json.loads(text)
            word = what.get("method") or what.get("error") or "result"
            seen[word] = seen.get(word, 0) + 1
    print(seen)
    assert {"locked", "stolen"} <= seen.keys(), seen
    assert any(replica.rows for of in sides[0].replicas for replica in of.values()), "nobody follows anything in the end"
