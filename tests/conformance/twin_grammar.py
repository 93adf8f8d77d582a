# SPDX-License-Identifier: Apache-2.0
"""Random OVSDB transactions (RFC 7047 sections 5.1 and 5.2), most of them valid and some slightly wrong, for a schema
with all kinds of columns; and a normal form of replies, by which two servers can be compared."""
import itertools
import json


def _set(key, low=0, high="unlimited"):
    return {"type": {"key": key, "min": low, "max": high}}


def _map(key, value, high="unlimited"):
    return {"type": {"key": key, "value": value, "min": 0, "max": high}}


STRONG, WEAK = ({"type": "uuid", "refTable": "TwinLeaf", "refType": kind} for kind in ("strong", "weak"))
TABLES = {
    "TwinRoot": {"isRoot": True, "maxRows": 9, "indexes": [["name"]], "columns": {
        "name": {"type": "string"},
        "i": {"type": {"key": {"type": "integer", "minInteger": -5, "maxInteger": 100}}},
        "r": {"type": {"key": {"type": "real", "minReal": -1.5, "maxReal": 1000.0}}},
        "b": {"type": "boolean"},
        "o": _set({"type": "string", "enum": ["set", ["a", "b", "ab"]]}, 0, 1),
        "s": _set("integer", 0, 3),
        "t": _set({"type": "string", "maxLength": 3}),
        "u": _set("real", 0, 4),
        "m": _map("string", "string"),
        "n": _map("integer", {"type": "integer", "maxInteger": 9}, 3),
        "kids": _set(STRONG),
        "named": _map("string", STRONG, 2),
        "friends": _set(WEAK, 0, 3),
        "pal": _set({"type": "uuid", "refTable": "TwinRoot", "refType": "weak"}, 0, 1),
        "loose": _set("uuid", 0, 2),
        "fixed": {"type": "string", "mutable": False},
        "once": _set(STRONG, 0, 1) | {"mutable": False}}},
    "TwinLeaf": {"indexes": [["a", "b"]], "columns": {
        "a": {"type": "integer"},
        "b": {"type": "string"},
        "next": _set(STRONG, 0, 1),
        "seen": _map(WEAK, "string"),
        "tally": {"type": "integer", "ephemeral": True}}},
    "TwinHolder": {"isRoot": True, "columns": {
        "leaf": {"type": {"key": STRONG}},
        "must": _set(WEAK, 1, 2),
        "note": {"type": "string"}}},
    "TwinMark": {"isRoot": True, "maxRows": 1, "columns": {"n": {"type": "integer"}}},
}
NOWHERE = "00000000-0000-0000-0000-000000000000"
# A table that no random transaction changes: its update comes after the updates of all earlier transactions.
MARK = {"op": "mutate", "table": "TwinMark", "where": [], "mutations": [["n", "+=", 1]]}
PLAYED = [name for name in TABLES if name != "TwinMark"]
# No integers near 2^63: ovsdb-server lets them overflow, Heddle returns "range error" (tests/unit/ovsdb).
SCALARS = {"integer": [0, 1, 2, 3, 9, 10, 100, 101, -5, -6, 2**31], "boolean": [True, False],
           "real": [0, 0.5, 1, -1.5, -2.5, 1e3, 1e17, 2.25, 1000], "string": ["", "a", "b", "ab", "abcd", "näh", "x"]}
MUTATORS = ["+=", "-=", "*=", "/=", "%=", "insert", "delete"]
EQUALITY, ORDER = ["==", "!=", "includes", "excludes"], ["<", "<=", ">", ">="]


def is_set(column):
    return isinstance(column["type"], dict) and ("min" in column["type"] or "max" in column["type"])


def is_number(column):
    kind = column["type"]["key"] if isinstance(column["type"], dict) else column["type"]
    return (kind["type"] if isinstance(kind, dict) else kind) in ("integer", "real") and "value" not in column["type"]


class Grammar:
    """`rows`: {table: [uuid]} of the existing rows, kept up to date by the caller."""

    def __init__(self, dice):
        self.dice = dice
        self.rows = {name: [] for name in PLAYED}

    def rarely(self, chance=0.03):
        return self.dice.random() < chance

    def uuid(self):
        """A UUID for both servers' rows."""
        h = f"{self.dice.getrandbits(128):032x}"
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"

    def atom(self, base, names):
        if self.rarely(0.015):
            return self.dice.choice([None, {}, [], "text", 7, ["uuid", "x"], ["uuid"], ["named-uuid", "9x"], True, 1.5])
        kind = base["type"] if isinstance(base, dict) else base
        if kind != "uuid":
            return self.dice.choice(SCALARS[kind])
        table = base.get("refTable", "TwinLeaf") if isinstance(base, dict) else "TwinLeaf"
        new = [name for name, of in names.items() if of == table]
        if new and self.rarely(0.6):
            return ["named-uuid", self.dice.choice(new)]
        if self.rows[table] and not self.rarely(0.05):
            return ["uuid", self.dice.choice(self.rows[table])]
        return ["uuid", self.uuid()]

    def value(self, column, names, whole=True):
        kind = column["type"]
        if isinstance(kind, str) or ("min" not in kind and "max" not in kind):
            return self.atom(kind if isinstance(kind, str) else kind["key"], names)
        most = kind["max"] if kind["max"] != "unlimited" else 4
        count = self.dice.randint(kind["min"] if whole else 0, most)
        count += self.rarely(0.04)
        keys = [self.atom(kind["key"], names) for _ in range(count)]
        if not self.rarely(0.04):  # duplicate elements are a separate error
            keys = [k for n, k in enumerate(keys) if k not in keys[:n]]
        if "value" in kind:
            return ["map", [[k, self.atom(kind["value"], names)] for k in keys]]
        return keys[0] if len(keys) == 1 and self.rarely(0.5) else ["set", keys]

    def row(self, table, names, chance):
        columns = TABLES[table]["columns"]
        row = {name: self.value(column, names) for name, column in columns.items()
               if self.dice.random() < chance and (column.get("mutable", True) or chance > 0.3 or self.rarely(0.1))}
        if table == "TwinHolder" and not self.rarely(0.1):
            row |= {name: self.value(columns[name], names) for name in ("leaf", "must") if name not in row}
        if self.rarely(0.01):
            row[self.dice.choice(["none", "_uuid", "_version"])] = 1
        return row

    def where(self, table, names):
        clauses = []
        for _ in range(self.dice.choice([0, 1, 1, 1, 2])):
            if self.rows[table] and self.rarely(0.3):
                clauses.append(["_uuid", self.dice.choice(["==", "!=", "includes", "excludes"]),
                                ["uuid", self.dice.choice(self.rows[table])]])
                continue
            name, column = self.dice.choice(list(TABLES[table]["columns"].items()))
            ordered = self.rarely(0.05) or is_number(column) and not is_set(column)
            clauses.append([name if not self.rarely(0.01) else "none", self.dice.choice(EQUALITY + (ORDER if ordered else [])),
                            self.value(column, names)])
        if self.rarely(0.01):
            clauses.append(self.dice.choice([True, [], ["i"], ["i", "==", 1, 1], ["i", "~", 1], 5]))
        return clauses

    def mutation(self, table, names):
        mutator = self.dice.choice(MUTATORS)
        columns = TABLES[table]["columns"]
        fits = is_set if mutator in ("insert", "delete") else is_number
        name = self.dice.choice([n for n, c in columns.items() if fits(c) and c.get("mutable", True)] or list(columns))
        if self.rarely(0.05):
            name = self.dice.choice(list(columns))
        kind = columns[name]["type"]
        if fits is is_number:
            return [name, mutator, self.atom(kind["key"] if isinstance(kind, dict) else kind, names)]
        if mutator == "delete" and isinstance(kind, dict) and "value" in kind and self.rarely(0.5):
            return [name, mutator, ["set", [self.atom(kind["key"], names)]]]
        return [name, mutator, self.value(columns[name], names, False)]

    def operation(self, names):
        table = self.dice.choice(PLAYED)
        kind = self.dice.choices(["insert", "select", "update", "mutate", "delete", "wait", "comment", "commit", "abort", "assert",
                                  "nonsense"], [40, 12, 18, 25, 8, 5, 2, 2, 1, 1, 1])[0]
        if kind == "insert":
            operation = {"op": "insert", "table": table, "row": self.row(table, names, 0.4), "uuid": self.uuid()}
            if self.rarely(0.6):
                operation["uuid-name"] = f"row{len(names) if not self.rarely(0.02) else 0}"
                names[operation["uuid-name"]] = table
        elif kind == "select":
            operation = {"op": "select", "table": table, "where": self.where(table, names)}
            if self.rarely(0.5):
                operation["columns"] = self.columns(table)
        elif kind == "update":
            operation = {"op": "update", "table": table, "where": self.where(table, names), "row": self.row(table, names, 0.2)}
        elif kind == "mutate":
            operation = {"op": "mutate", "table": table, "where": self.where(table, names),
                         "mutations": [self.mutation(table, names) for _ in range(self.dice.randint(1, 3))]}
        elif kind == "delete":
            operation = {"op": "delete", "table": table, "where": self.where(table, names)}
        elif kind == "wait":
            columns = self.columns(table, hidden=False)
            rows = [{c: self.value(TABLES[table]["columns"][c], names) for c in columns} for _ in range(self.dice.randint(0, 1))]
            operation = {"op": "wait", "table": table, "where": self.where(table, names), "columns": columns, "rows": rows,
                         "until": self.dice.choice(["==", "!="]), "timeout": 0}
        else:
            operation = {"comment": {"op": "comment", "comment": "twins"}, "commit": {"op": "commit", "durable": False},
                         "abort": {"op": "abort"}, "assert": {"op": "assert", "lock": "twin"},
                         "nonsense": self.dice.choice([{}, 5, {"op": "dance"}, {"op": "select", "table": "None", "where": []}])}[kind]
        if isinstance(operation, dict) and operation and self.rarely(0.015):
            operation = dict(operation)
            if self.rarely(0.5):
                operation["stranger"] = 1
            else:
                del operation[self.dice.choice([m for m in operation if m != "uuid"])]
        return operation

    def columns(self, table, hidden=True):
        every = list(TABLES[table]["columns"]) + (["_uuid"] if hidden else [])
        chosen = self.dice.sample(every, self.dice.randint(1, 4)) if len(every) > 4 else every[:1]
        return chosen + (chosen[:1] if self.rarely(0.02) else [])

    def transaction(self):
        names = {}
        return [self.operation(names) for _ in range(self.dice.choice([1, 1, 1, 2, 2, 3, 5]))]


def _sorted(values):
    return sorted(values, key=lambda v: json.dumps(v, sort_keys=True))


def _distinct(rows):
    """The peer returns only one of several selected rows that are equal in the requested columns; RFC 7047 returns
    all."""
    return [row for row, _ in itertools.groupby(_sorted(rows))]


def normal(value):
    """A datum, a row or a reply in normal form: unordered parts sorted, sets of one element written as the element."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return float(f"{value:.12g}")  # the peer prints 15 digits of a real
    if isinstance(value, dict):
        return {k: _distinct(map(normal, v)) if k == "rows" else normal(v) for k, v in value.items() if k not in ("_version", "details")}
    if isinstance(value, list):
        if len(value) == 2 and value[0] in ("set", "map") and isinstance(value[1], list):
            inner = _sorted(map(normal, value[1]))
            return inner[0] if value[0] == "set" and len(inner) == 1 else [value[0], inner]
        return [normal(v) for v in value]
    return value
