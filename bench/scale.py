# SPDX-License-Identifier: Apache-2.0
"""The daemons with large configurations: a thousand ports, a hundred monitoring clients, ten thousand interfaces in the
database, and the start with these. Compares vswitchd (both datapaths) with ovsdb-server and ovs-vswitchd.

All ports are existing veth devices with the other end in a guest's namespace. The interfaces of group `rows` cannot
work on either side and get an error in their row: a datapath of Heddle has at most 4,095 ports."""

import resource
import statistics
import subprocess
import threading
import time

from ovsdb_raw import Connection, Watchers
from rows import cpu_seconds

PORTS = 1000
WATCHERS = 100
BURST = 200
ROWS = 10000
ROWS_AT_ONCE = 100
MORE = 5  # further add-port calls; their median counts
SETTLE = 10.0  # seconds for the end of earlier work: memory is freed, the log is folded
REST = 30.0  # seconds

DEVICELESS = 3  # of ten rows have a device that does not exist,
STRANGE = "dpdkvhostuserclient"  # the others have a type that neither side supports

GROUPS = ("calls", "ports", "monitors", "rows")
SECONDS = {"calls": 60, "ports": 30, "monitors": 6, "rows": 30}  # approximate duration of one group
ONCE = ("calls",)  # in the first round only


def device(number):
    return f"d{number}"


def make_devices(lab, count):
    """Creates the ports' devices once per run, in the namespace of host h1."""
    if getattr(lab, "devices_of_scale", 0) >= count:
        return
    lines = [f"link add {device(n)} up type veth peer name {device(n)} netns {lab.ns('gc')}" for n in range(count)]
    subprocess.run(("ip", "-n", lab.ns("h1"), "-batch", "-"), input="\n".join(lines), text=True, check=True)
    lab.devices_of_scale = count


class Clock:
    """`with Clock() as c`: c.seconds afterwards."""

    def __enter__(self):
        self.begin = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.begin


def less(row, unit, value, **more):
    return {"row": row, "unit": unit, "value": value, "lower_is_better": True, **more}


def children_seconds():
    """On-CPU time of the ended tools."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(switch, row, work):
    """Elapsed time, and CPU time of the daemons and the tools, which other load does not affect."""
    daemons, tools = cpu_seconds(switch.pids()), children_seconds()
    with Clock() as clock:
        work()
    yield less(row, "s", clock.seconds)
    used = cpu_seconds(switch.pids()) - daemons + children_seconds() - tools
    yield less(f"{row}, processor time", "s", used)


def call_each(switch, lines):
    """Runs a process for every line, one after the other, from a shell."""
    script = "\n".join(switch.tool_line(line) + " || exit 1" for line in lines)
    done = subprocess.run(("sh", "-s"), input=script, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{done.stderr.strip()[-500:]}")


def joined(commands):
    return [word for command in commands for word in ("--", *command)][1:]


def applied(switch, note):
    """Waits until the daemon has applied a change after all earlier ones."""
    switch.vsctl("set", "Open_vSwitch", ".", f"external_ids:bench={note}")


def check_ports(switch, expected):
    """Checks that the expected number of interfaces has a port number, as proof that the work was done."""
    connection = Connection(switch.socket())
    rows = connection.transact({"op": "select", "table": "Interface", "where": [], "columns": ["name", "ofport"]})
    connection.close()
    good = sum(1 for row in rows[0]["rows"] if isinstance(row["ofport"], int) and 0 < row["ofport"] < 0xff00)
    if good != expected:
        raise RuntimeError(f"{good} of {expected} ports work")


def start_up(switch, what):
    """Ends the daemons and starts them again."""
    switch.end_daemons()
    with Clock() as whole:
        with Clock() as database:
            switch.start_daemons()
        applied(switch, "started")
    yield less(f"start-up with {what}: database answers", "s", database.seconds)
    yield less(f"start-up with {what}: configuration applied", "s", whole.seconds)
    yield less(f"start-up with {what}, processor time", "s", cpu_seconds(switch.pids()))


def memory(switch, what):
    """The daemons' physical memory, the packet buffers in it, and additional memory in the kernel."""
    weight = switch.weigh()
    yield less(f"memory {what}", "MiB", weight.resident / 2**20)
    if weight.packets:
        yield less(f"memory {what}, without packet buffers", "MiB", (weight.resident - weight.packets) / 2**20)
    if weight.maps:
        yield less(f"memory {what}, BPF maps", "MiB", weight.maps / 2**20)


def calls(lab, switch):
    """Like an agent or a person: a process for each port, which waits until the switch has applied it."""
    make_devices(lab, PORTS)
    lines = [("add-port", "br0", device(n)) for n in range(PORTS)]
    yield from timed(switch, f"{PORTS} ports, a call each", lambda: call_each(switch, lines))
    check_ports(switch, PORTS)


def ports(lab, switch):
    make_devices(lab, PORTS)
    names = [device(n) for n in range(PORTS)]
    add = joined([("add-port", "br0", name) for name in names])
    yield from timed(switch, f"{PORTS} ports in one call", lambda: switch.vsctl(*add))
    check_ports(switch, PORTS)
    yield from memory(switch, f"with {PORTS} ports")
    yield from start_up(switch, f"{PORTS} ports")
    check_ports(switch, PORTS)
    remove = joined([("del-port", "br0", name) for name in names])
    yield from timed(switch, f"{PORTS} ports away in one call", lambda: switch.vsctl(*remove))
    check_ports(switch, 0)


def burst(connection, uuid, durable):
    """Each request waits for the previous reply. Both sides wait for the disk only on request."""
    commit = [{"op": "commit", "durable": True}] if durable else []
    for number in range(BURST):
        row = {"external_ids": ["map", [["burst", f"{number} of {BURST} durable {durable}"]]]}
        connection.transact({"op": "update", "table": "Interface", "where": [["_uuid", "==", uuid]], "row": row}, *commit)


def timed_burst(switch, connection, watchers, uuid, durable):
    """Seconds until the last client has the last update, and the daemons' CPU seconds."""
    before = cpu_seconds(switch.pids())
    writer = threading.Thread(target=burst, args=(connection, uuid, durable))
    with Clock() as clock:
        writer.start()
        watchers.wait_for(f"{BURST - 1} of {BURST} durable {durable}".encode())
    writer.join()
    return clock.seconds, cpu_seconds(switch.pids()) - before


def monitors(lab, switch):
    """A hundred clients with the monitors of an agent or a controller, while one other client writes."""
    make_devices(lab, PORTS)
    switch.vsctl(*joined([("add-port", "br0", device(n)) for n in range(WATCHERS)]))
    connection = Connection(switch.socket())
    found = connection.transact({"op": "select", "table": "Interface", "where": [["name", "==", device(0)]],
                                 "columns": ["_uuid"]})
    tables = (("Interface", ["name", "ofport", "error", "external_ids", "mac_in_use", "admin_state", "link_state"]),
              ("Port", ["name", "interfaces", "tag"]), ("Bridge", ["name", "ports"]))
    watchers = Watchers(switch.socket(), WATCHERS, tables)
    uuid = found[0]["rows"][0]["_uuid"]
    what = f"{BURST} transactions to {WATCHERS} clients"
    try:
        wall, used = timed_burst(switch, connection, watchers, uuid, True)
        yield less(f"{what}, on disk", "s", wall)
        yield less(f"{what}, on disk, processor time", "s", used)
        wall, used = timed_burst(switch, connection, watchers, uuid, False)
        yield less(f"{what}, as the server likes", "s", wall)
    finally:
        watchers.close()
        connection.close()


def insert_rows(connection, first, count):
    bridge = connection.transact({"op": "select", "table": "Bridge", "where": [["name", "==", "br0"]],
                                  "columns": ["_uuid"]})[0]["rows"][0]["_uuid"]
    operations = []
    for n in range(first, first + count):
        row = {"name": f"none{n}"}
        if n % 10 >= DEVICELESS:
            row["type"] = STRANGE
        operations.append({"op": "insert", "table": "Interface", "uuid-name": f"i{n}", "row": row})
        operations.append({"op": "insert", "table": "Port", "uuid-name": f"p{n}",
                           "row": {"name": f"none{n}", "interfaces": ["named-uuid", f"i{n}"]}})
    members = ["set", [["named-uuid", f"p{n}"] for n in range(first, first + count)]]
    operations.append({"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", bridge]],
                       "mutations": [["ports", "insert", members]]})
    connection.transact(*operations)


def insert_all(switch):
    connection = Connection(switch.socket())
    for first in range(0, ROWS, ROWS_AT_ONCE):
        insert_rows(connection, first, ROWS_AT_ONCE)
    connection.close()
    applied(switch, "rows")


def rows(lab, switch):
    make_devices(lab, PORTS)
    what = f"{ROWS} interfaces"
    yield from memory(switch, "of an empty switch")
    yield from timed(switch, f"{what} in transactions of {ROWS_AT_ONCE}", lambda: insert_all(switch))
    more = [list(timed(switch, "", lambda n=n: switch.vsctl("add-port", "br0", device(n)))) for n in range(MORE)]
    check_ports(switch, MORE)
    for part, name in enumerate(("", ", processor time")):
        value = statistics.median(one[part]["value"] for one in more)
        yield less(f"one more port beside {what}{name}", "ms", value * 1e3)
    yield from timed(switch, f"list Interface of {what}", lambda: switch.vsctl("list", "Interface"))
    time.sleep(SETTLE)
    before = cpu_seconds(switch.pids())
    time.sleep(REST)
    used = (cpu_seconds(switch.pids()) - before) / REST
    yield less(f"at rest with {what}", "% of a core", used * 100)
    yield from memory(switch, f"with {what}")
    yield from start_up(switch, what)


def measure(lab, kind, group):
    switch = kind(lab)
    try:
        switch.start("h1", [], False, None)
        yield from {"calls": calls, "ports": ports, "monitors": monitors, "rows": rows}[group](lab, switch)
    finally:
        switch.stop()
