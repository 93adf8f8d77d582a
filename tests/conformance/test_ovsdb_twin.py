# SPDX-License-Identifier: Apache-2.0
"""The engine compared with Debian's ovsdb-server: both get the same random transactions, and must have the same
replies, rows and monitor updates. HEDDLE_SEED and HEDDLE_TWIN_TRANSACTIONS select the transactions and their number."""
import json
import os
import random

from rpc import Rpc
from twin_grammar import MARK, NOWHERE, PLAYED, TABLES, Grammar, normal

ABOVE_DATAPATH = True  # see conftest.py
TRANSACTIONS = int(os.environ.get("HEDDLE_TWIN_TRANSACTIONS", "500"))
# The conditions of conditional monitors; TwinMark is monitored completely.
LOOKED_FOR = {"TwinRoot": [["i", ">", 0], ["b", "==", True]], "TwinLeaf": [["a", "<=", 3]], "TwinHolder": [["note", "!=", "a"]]}


class Follower:
    """The updates of one monitor."""

    def __init__(self, path, method):
        self.rpc = Rpc(path)
        self.method = method
        requests = {table: {"columns": list(TABLES[table]["columns"])} for table in TABLES}
        if method != "monitor":
            requests = {t: [r | ({"where": LOOKED_FOR[t]} if t in LOOKED_FOR else {})] for t, r in requests.items()}
        last = [NOWHERE] if method == "monitor_cond_since" else []
        reply = self.rpc.call(method, "Open_vSwitch", "twin", requests, *last)
        assert reply["error"] is None, reply

    def until_marked(self):
        """All updates up to the mark's. The peer may combine transactions in one message; since no other transaction
        changes the mark's table, the updates are the same."""
        news = {}
        while "TwinMark" not in news:
            message = self.rpc.receive()
            assert message is not None and message.get("method", "").startswith("update"), message
            for table, rows in message["params"][-1].items():
                news.setdefault(table, {}).update(rows)
        del news["TwinMark"]
        return normal(news)


class Twin:
    def __init__(self, path):
        self.rpc = Rpc(path)
        self.followers = [Follower(path, method) for method in ("monitor", "monitor_cond", "monitor_cond_since")]

    def play(self, operations):
        reply = self.rpc.transact(*operations)
        assert reply is not None and reply["error"] is None, (operations, reply)
        marked = self.rpc.transact(MARK)["result"]
        assert marked == [{"count": 1}]
        return reply["result"]

    def rows(self):
        """{table: {uuid: (row, version)}}"""
        reply = self.rpc.transact(*({"op": "select", "table": t, "where": []} for t in PLAYED))["result"]
        return {t: {r["_uuid"][1]: (normal(r), r["_version"][1]) for r in one["rows"]} for t, one in zip(PLAYED, reply, strict=True)}


def changed(before, after):
    """The rows with a new version."""
    return {(t, u) for t, rows in after.items() for u, (_, version) in rows.items() if before[t].get(u, (0, 0))[1] != version}


def content(rows):
    return {t: {u: row for u, (row, _) in of.items()} for t, of in rows.items()}


# Error strings for a malformed operation. Of several mistakes in one operation the servers may report different ones,
# and docs/compatibility.md lists differing strings; all other error strings must be equal.
MALFORMED = {"syntax error", "ovsdb error", "constraint violation", "unknown column", "unknown table", "unknown function",
             "unknown operation", "unknown mutator"}


def alike(theirs, ours):
    """True when two results of one operation, or of the commit, are equivalent."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and "error" in theirs and "error" in ours:
        return theirs["error"] == ours["error"] or {theirs["error"], ours["error"]} <= MALFORMED
    return normal(theirs) == normal(ours)


def test_the_same_answers(twins):
    seed = os.environ.get("HEDDLE_SEED", "7047")
    print(f"HEDDLE_SEED={seed}")
    grammar = Grammar(random.Random(seed))
    ours, theirs = (Twin(path) for path in twins)
    for twin in (ours, theirs):
        twin.rpc.transact({"op": "insert", "table": "TwinMark", "row": {}})
        for follower in twin.followers:
            follower.until_marked()
    before = [ours.rows(), theirs.rows()]
    good = 0
    for turn in range(TRANSACTIONS):
        operations = grammar.transaction()
        told = f"HEDDLE_SEED={seed}, transaction {turn}:\n{json.dumps(operations)}"
        a, b = ours.play(operations), theirs.play(operations)
        assert len(a) == len(b) and all(map(alike, b, a)), f"{told}\nHeddle {json.dumps(a)}\npeer   {json.dumps(b)}"
        after = [ours.rows(), theirs.rows()]
        assert content(after[0]) == content(after[1]), f"{told}\nHeddle {content(after[0])}\npeer   {content(after[1])}"
        mine, peer = (changed(b, a) for b, a in zip(before, after, strict=True))
        # The peer also changes a row's version when a dangling weak reference was written to it.
        idle = {(t, u) for t, u in peer - mine if content(before[0])[t].get(u) == content(after[0])[t][u]}
        assert mine == peer - idle, f"{told}: versions"
        for mine, peer in zip(ours.followers, theirs.followers, strict=True):
            x, y = mine.until_marked(), peer.until_marked()
            assert x == y, f"{told}\n{mine.method}:\nHeddle {x}\npeer   {y}"
        before = after
        grammar.rows = {table: list(rows) for table, rows in after[0].items()}
        good += all(isinstance(r, dict) and "error" not in r for r in a)
    print(f"{good} of {TRANSACTIONS} transactions were carried out")
    assert good > TRANSACTIONS // 4, "the generator makes mostly nonsense"
