# SPDX-License-Identifier: Apache-2.0
"""Random command lines for Debian's ovs-vsctl and vsctl, from a grammar that makes small mistakes too: the same output
and exit status are wanted. HEDDLE_TWIN_LINES (150) and HEDDLE_SEED (1) choose others; a failure prints the line."""
import json
import os
import random
import re

from test_vsctl import UUID, Clients

ABOVE_DATAPATH = True  # see conftest.py
ROUNDS = int(os.environ.get("HEDDLE_TWIN_LINES", "150"))
SEED = int(os.environ.get("HEDDLE_SEED", "1"))
NAMED = "0b4d8a7e-9f9d-4a2b-8f6b-2f1f6d3f7c11"  # a name that looks like a UUID, as libvirt's are


class Grammar:
    """Lines about a few bridges and ports, with words put in getopt's different forms."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def one_of(self, *words):
        return self.dice.choice(words)

    def bridge(self):
        return self.one_of("br0", "br1", "br2")

    def port(self):
        return self.one_of("p0", "p1", "p2", "p3", NAMED)

    def option(self, name, value):
        """An option with its value in one word or two, whole or shortened."""
        word = name[:self.dice.randint(min(5, len(name)), len(name))]
        return [f"{word}={value}"] if self.dice.random() < 0.5 else [word, value]

    def globals(self):
        forms = [[], [], [], ["-t5"], ["-t", "5"], self.option("--timeout", "5"), ["--oneline"], ["--dry-run", "--no-wait"], ["--no-w"]]
        return self.dice.choice(forms)

    def condition(self):
        return self.one_of("name=p1", "name!=p1", "external_ids:k=1", "external_ids:k!=1", "external_ids:k!=[]",
                           "external_ids:k=[]", "external_ids:k{>=}1", "external_ids:k{=}[]", "external_ids{<=}[]",
                           "external_ids={}", "tag=[]", "tag!=[]", "tag>5", "tag{<}5", "external_ids:k<2", "nope=1")

    def listing(self):
        table = self.one_of("Port", "Port", "Bridge")
        form = self.dice.choice([[], ["--format=table"], ["-f", "csv"], ["--format", "json"], ["-fhtml"], ["--bare"],
                                 ["--data=bare"], ["-d", "json", "-f", "table"], ["--no-head", "--form=table"],
                                 ["--format=table", "--max-column-width=7"]])
        columns = self.option("--columns", self.one_of("name", "name,external_ids", "name, tag", "name external_ids"))
        if table == "Bridge":
            columns = self.option("--columns", self.one_of("name", "name,external_ids"))
        kind = self.one_of("list", "find")
        if kind == "find":
            return [*form, *columns, "find", table] + [self.condition() for _ in range(self.dice.randint(0, 2))]
        records = [self.port() if table == "Port" else self.bridge()] if self.dice.random() < 0.3 else []
        return [*form, *(["--if-exists"] if self.dice.random() < 0.5 else []), *columns, "list", table, *records]

    def change(self):
        port, bridge, key = self.port(), self.bridge(), self.one_of("k", "l")
        internal = ["--", "set", "Interface", port, "type=internal"]
        return self.dice.choice([
            ["add-br", bridge], ["--may-exist", "add-br", bridge], ["--may", "add-br", bridge], ["--if-exists", "del-br", bridge],
            ["add-port", bridge, port, *internal], ["--may-exist", "add-port", bridge, port, *internal],
            ["add-port", bridge, port, f"tag={self.dice.randint(0, 9)}", *internal],
            ["--if-exists", "del-port", port], ["--if-ex", "del-port", bridge, port], ["del-port", port],
            ["set", "Port", port, f"external_ids:{key}={self.dice.randint(0, 3)}"],
            ["--if-exists", "set", "Port", port, f"tag={self.dice.randint(0, 9)}"],
            ["add", "Port", port, "external_ids", f"{key}={self.dice.randint(0, 3)}"],
            ["remove", "Port", port, "external_ids", key], ["clear", "Port", port, self.one_of("tag", "external_ids", "nope")],
            [*self.option("--id", "@q"), "create", "Queue", f"external_ids:{key}=1", "--", "set", "Port", port, "external_ids:q=1"],
            ["br-set-external-id", bridge, key, "x"], ["set", "Bridge", bridge, f"external_ids:{key}=y"],
        ])

    def question(self):
        port, bridge = self.port(), self.bridge()
        return self.dice.choice([
            ["list-br"], ["list-ports", bridge], ["list-ifaces", bridge], ["br-exists", bridge], ["port-to-br", port],
            ["iface-to-br", port], ["get", "Port", port, "external_ids"], ["get", "Port", port, "external_ids:k"],
            ["--if-exists", "get", "Port", port, "external_ids:k", "tag"], ["br-get-external-id", bridge],
            ["get", "Port", port, "name", "tag"], ["get", "Bridge", bridge, "external_ids"],
        ])

    def line(self):
        body = self.dice.choice([self.change, self.change, self.question, self.listing])()
        return [*self.globals(), *body]


def comparable(line, out):
    """Without UUIDs and links, and records in an order that both have."""
    out = re.sub(r'<a href="#([^"]*)">[^<]*</a>', r"\1", out)
    out = UUID.sub(lambda m: m[0] if m[0] == NAMED else "UUID", out)
    if not {"list", "find"} & set(line):
        return out
    if out.startswith('{"'):
        table = json.loads(out)
        return json.dumps([table["headings"], sorted(map(json.dumps, table["data"]))])
    return sorted(out.splitlines())


def test_random_lines(stock, lab, tmp_path):
    clients = Clients(stock, tmp_path)
    theirs, ours = lab.host("s").start(), lab.host("h").start()
    grammar = Grammar(SEED)
    different, done = [], 0
    for _ in range(ROUNDS):
        line = grammar.line()
        a, b = clients.call(clients.stock, theirs, line), clients.call(clients.ours, ours, line)
        outs = [comparable(line, x.stdout) for x in (a, b)]
        done += a.returncode == 0
        if (a.returncode, outs[0]) != (b.returncode, outs[1]):
            different.append(f"{' '.join(line)}\n  ovs-vsctl {a.returncode} {outs[0]!r} {a.stderr!r}\n"
                             f"  vsctl     {b.returncode} {outs[1]!r} {b.stderr!r}")
    assert not different, f"HEDDLE_SEED={SEED}: {len(different)} of {ROUNDS}\n" + "\n".join(different[:10])
    assert done > ROUNDS / 2, "most lines do something"
