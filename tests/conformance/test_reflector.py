# SPDX-License-Identifier: Apache-2.0
"""Overlays that configure themselves by a reflector: VTEPs tell each other who is a member and where each station is."""
import contextlib
import json
import signal
import socket
import subprocess

import pytest
from lab import BIN, SOURCE, settle, untagged, wait_until, who_gets
from net import TIME_SCALE, frame, mac
from peers import tls_options

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["over-ipv4", "over-ipv6"])
SRC, DST = mac(1), mac(2)
PORT = 6640


class Reflector:
    """reflectord in a namespace of its own on the underlay."""

    def __init__(self, lab, name="rf"):
        self.lab, self.short = lab, name
        self.ns = lab.namespace(name, ipv6=True)
        self.address = {}
        self.dir = lab.dir / name
        self.dir.mkdir(parents=True)
        self.log = self.dir / "reflectord.log"
        self.process = None

    def target(self, family=4):
        address = self.address[family]
        return f"tcp:[{address}]:{PORT}" if family == 6 else f"tcp:{address}:{PORT}"

    def start(self, *remotes, db="overlay.db", options=()):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.ns.name, str(BIN / "reflectord"), f"--db={self.dir / db}", *options,
                 *[f"--remote={r}" for r in remotes or (f"ptcp:{PORT}:[::]",)]], stdout=log, stderr=log)
        wait_until(lambda: self.process.poll() is not None or "serves on" in self.log.read_text().splitlines()[-1:].__str__(),
                   10, "reflectord serves")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def stop(self, how=signal.SIGTERM):
        process, self.process = self.process, None
        process.send_signal(how)
        return process.wait(10 * TIME_SCALE)

    def transact(self, *operations):
        """As any client may write."""
        with self.ns.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.connect(("::1", PORT))
            s.sendall(json.dumps({"id": 1, "method": "transact", "params": ["Overlay", *operations]}).encode())
            text = b""
            while True:
                text += s.recv(65536)
                with contextlib.suppress(ValueError):
                    return json.loads(text)["result"]

    def rows(self, table, *columns):
        result = self.transact({"op": "select", "table": table, "where": [], "columns": list(columns)})
        return sorted(tuple(row[c] for c in columns) for row in result[0]["rows"])


@contextlib.contextmanager
def reflector(lab):
    made = Reflector(lab)
    try:
        yield made
        if made.process is not None:
            assert made.stop() == 0
        assert "Sanitizer" not in made.log.read_text() and "runtime error" not in made.log.read_text()
    finally:
        if made.process is not None:
            made.stop(signal.SIGKILL)


def join(host, target, hold=60):
    host.vsctl("set", "Open_vSwitch", ".", f"other_config:vtep-name={host.short}", f"other_config:reflector-hold-time={hold}")
    host.vsctl("set-reflector", *([target] if isinstance(target, str) else target))


def network(host, vni=10, **more):
    host.vxlan("br0", f"vx{vni}", columns={"tag": vni}, key=vni, remote_ip="flow", control="reflector", **more)


def start(lab, rf, *names, family=4, hold=60, vnis=(10,), **more):
    hosts = [lab.host(n) for n in names]
    lab.underlay(*hosts, rf, mtu=1600)
    rf.start()
    for h in hosts:
        h.start()
        h.add_br("br0")
        join(h, rf.target(family), hold)
        for vni in vnis:
            network(h, vni, **({"local_ip": f'"{h.address[family]}"'} if family == 6 else {}), **more)
    return hosts


def members(host, port="vx10"):
    """Remotes in the flood list, as vtep-show tells."""
    return {line.split("member")[1].split()[0] for line in host.ask("vtep-show").splitlines() if f" {port} " in line and " member " in line}


def knows(host, address, remote):
    return lambda: (e := host.entry(address)) is not None and (e["remote"], e["origin"]) == (remote, "reflector")


@pytest.mark.core
@FAMILIES
def test_four_hosts_find_each_other(lab, family):
    """No remote is typed anywhere. Stations are known before anybody has sent to them, so that nothing unknown needs to
    be flooded; a host sees the networks that it has, and what leaves is gone for all."""
    with reflector(lab) as rf:
        hosts = start(lab, rf, "a", "b", "c", "d", family=family)
        a, b, c, d = hosts
        guests = []
        for n, h in enumerate(hosts, 1):
            h.vsctl("set", "Bridge", "br0", "other_config:flood-unknown=false")
            guests.append(h.guest("br0", f"g-{h.short}", f"10.0.0.{n}/24", tag=10))
        network(a, 20)
        for h in hosts:
            others = {o.address[family] for o in hosts if o is not h}
            wait_until(lambda h=h, o=others: members(h) == o, 20, f"{h.short} knows the other members")
        guests[0].reaches("10.0.0.4")
        for h in (a, b, c):
            wait_until(knows(h, guests[3].mac, d.address[family]), 10, f"{h.short} knows the guest of d")
        for n, guest in enumerate(guests, 1):
            for m in range(1, 5):
                if m != n:
                    guest.reaches(f"10.0.0.{m}")
        assert ("10", ) not in rf.rows("Member", "vtep")
        assert [m[1] for m in rf.rows("Member", "vni", "vtep") if m[0] == 20] == ["a"]
        assert not any(line.split()[0] == "20" for line in b.ask("vtep-show").splitlines())
        assert "in step" in a.ask("vtep-show", "br0") and "a" in a.ask("vtep-show")
        # Nobody knows this address: it stays at home, while broadcasts go everywhere.
        assert who_gets(guests[0], guests, SRC, mac(0x99)) == {}
        assert who_gets(guests[0], guests, SRC) == untagged(*guests[1:])
        d.vsctl("del-port", "vx10")
        for h in (a, b, c):
            wait_until(lambda h=h: d.address[family] not in members(h) and h.entry(guests[3].mac) is None, 10,
                       f"{h.short} has forgotten d")
        a.vsctl("del-reflector")
        wait_until(lambda: (a.entry(guests[1].mac) or {}).get("origin") != "reflector", 10,
                   "a has forgotten what the reflector told")
        assert "no reflector" in a.get("Interface", "vx10", "error")


@pytest.mark.core
def test_a_guest_moves(lab):
    """Its first frame at the new host takes the address there, without flooding, and the old host forgets it."""
    with reflector(lab) as rf:
        a, b, c = start(lab, rf, "a", "b", "c")
        guests = [h.guest("br0", f"g-{h.short}", tag=10) for h in (a, b, c)]
        for h in (a, b, c):
            wait_until(lambda h=h: len(members(h)) == 2, 20, "all are members")
        settle(a, "br0", guests)
        guests[1].send(frame(DST))
        for h in (a, c):
            wait_until(knows(h, DST, b.address[4]), 5, "b has the station")
        for round_, (here, there) in enumerate([(2, 1), (1, 2)] * 2):
            hosts = (a, b, c)
            wait_until(lambda g=guests[here]: g.send(frame(DST)) or knows(a, DST, hosts[here].address[4])(), 5,
                       f"round {round_}: a knows that it moved to {hosts[here].short}")
            wait_until(knows(hosts[there], DST, hosts[here].address[4]), 5, "and so does the host that had it")
            hosts[here].wait_learned(DST, f"g-{hosts[here].short}")
            assert who_gets(guests[0], guests, SRC, DST) == untagged(guests[here])
        # A static entry is fixed: nobody takes it.
        b.vsctl("fdb-add", "br0", "g-b", "10", mac(3))
        wait_until(knows(a, mac(3), b.address[4]), 5, "a knows the fixed station")
        wait_until(lambda: guests[2].send(frame(mac(3))) or f"{mac(3)} in network 10 cannot be claimed" in c.log.read_text(), 5,
                   "c is refused")
        assert knows(a, mac(3), b.address[4])() and knows(c, mac(3), b.address[4])()


def test_the_reflector_is_lost(lab):
    """Nothing is taken away for the hold time, and what is told again stays; then it goes."""
    with reflector(lab) as rf:
        a, b, c = start(lab, rf, "a", "b", "c", hold=4)
        guests = [h.guest("br0", f"g-{h.short}", f"10.0.0.{n}/24", tag=10) for n, h in enumerate((a, b, c), 1)]
        for g, h in zip(guests, "123"):
            for other in "123":
                if other != h:
                    g.reaches(f"10.0.0.{other}")
        wait_until(knows(a, guests[1].mac, b.address[4]), 5, "a knows b's guest")
        rf.stop(signal.SIGKILL)
        wait_until(lambda: "reflector" in a.get("Interface", "vx10", "error"), 5, "the error names it")
        assert knows(a, guests[1].mac, b.address[4])() and guests[0].ping("10.0.0.2", count=3)
        rf.start()
        wait_until(lambda: "in step" in a.ask("vtep-show").splitlines()[0] and "not" not in a.ask("vtep-show").splitlines()[0],
                   15, "a is in step again")
        wait_until(lambda: a.get("Interface", "vx10", "error") == "[]", 10, "and the error has gone")
        assert knows(a, guests[1].mac, b.address[4])() and guests[0].ping("10.0.0.2", count=3)
        # One that has lost all: what the VTEPs have is there again before anybody misses it.
        rf.stop()
        rf.start(db="another.db")
        wait_until(lambda: len(rf.rows("Mac", "mac")) >= 3, 20, "the stations have been told again")
        assert knows(a, guests[1].mac, b.address[4])()
        rf.stop()
        wait_until(lambda: not (a.entry(guests[1].mac) or {}).get("origin"), 20, "after the hold time it is forgotten")


def test_a_daemon_is_restarted(lab):
    with reflector(lab) as rf:
        a, b, c = start(lab, rf, "a", "b", "c", hold=6)
        guests = [h.guest("br0", f"g-{h.short}", f"10.0.0.{n}/24", tag=10) for n, h in enumerate((a, b, c), 1)]
        guests[0].reaches("10.0.0.2")
        wait_until(knows(a, guests[1].mac, b.address[4]), 5, "a knows b's guest")
        b.kill()
        # A station that will not come back.
        rf.transact({"op": "insert", "table": "Mac", "row": {"vni": 10, "mac": mac(7), "vtep": "b", "ip": b.address[4]}})
        wait_until(knows(a, mac(7), b.address[4]), 5, "and a station that will not come back")
        b.start()
        assert knows(a, guests[1].mac, b.address[4])(), "the restart is not seen elsewhere"
        assert knows(a, mac(7), b.address[4])(), "not yet"
        wait_until(lambda: len(members(b)) == 2, 15, "b knows the others again")
        guests[0].reaches("10.0.0.2")
        wait_until(lambda: a.entry(mac(7)) is None, 30, "what the new daemon does not have goes after the hold time")
        assert knows(a, guests[1].mac, b.address[4])()


def test_what_is_wrong_is_said(lab):
    with reflector(lab) as rf:
        a, b, c = start(lab, rf, "a", "b", "c")
        guests = [h.guest("br0", f"g-{h.short}", tag=10) for h in (a, b, c)]
        for h in (a, b, c):
            wait_until(lambda h=h: len(members(h)) == 2, 20, "all are members")

        def error(host, name="vx10"):
            return host.get("Interface", name, "error")
        # Rows that no VTEP writes, and one with our own address.
        row = {"vni": 10, "mac": "zz", "vtep": "evil", "ip": "192.0.2.99", "fixed": False}
        rf.transact({"op": "insert", "table": "Mac", "row": row},
                    {"op": "insert", "table": "Mac", "row": {**row, "mac": "01:00:5e:00:00:01"}},
                    {"op": "insert", "table": "Member", "row": {"vni": 10, "vtep": "evil", "ip": "nowhere", "flood": True}},
                    {"op": "insert", "table": "Member", "row": {"vni": 10, "vtep": "twin", "ip": a.address[4], "flood": True}})
        wait_until(lambda: "twin" in error(a) and a.address[4] in error(a), 10, "a says who has its address")
        wait_until(lambda: "3 rows" in error(b), 10, "b says that there are wrong rows")
        assert who_gets(guests[0], guests, SRC) == untagged(guests[1], guests[2])
        rf.transact({"op": "delete", "table": "Member", "where": [["vtep", "==", "twin"]]})
        rf.transact({"op": "delete", "table": "Member", "where": [["vtep", "==", "evil"]]})
        rf.transact({"op": "delete", "table": "Mac", "where": [["vtep", "==", "evil"]]})
        for h in (a, b):
            wait_until(lambda h=h: error(h) == "[]", 10, f"the error of {h.short} has gone")
        # Two hosts of one name.
        c.vsctl("set", "Open_vSwitch", ".", "other_config:vtep-name=b")
        wait_until(lambda: "another host has the VTEP name b" in error(b), 10, "b says that its name is another's")
        c.vsctl("set", "Open_vSwitch", ".", "other_config:vtep-name=c")
        rf.transact({"op": "delete", "table": "Vtep", "where": [["name", "==", "b"]]})
        wait_until(lambda: error(b) == "[]" and len(members(a)) == 2, 15, "all is well again")
        # Another database, a reflector that is none, a port that has no use for one.
        a.vsctl("set-reflector", f"unix:{a.rundir}/db.sock")
        wait_until(lambda: "Overlay" in error(a), 10, "it is no reflector")
        a.vsctl("set", "Open_vSwitch", ".", "other_config:reflector=ptcp:6640")
        wait_until(lambda: "ptcp:6640 does not connect" in error(a), 10, "it is no way to connect")
        assert a.vsctl("set-reflector", "ptcp:6640", check=False).returncode == 1
        a.vsctl("set-reflector", rf.target())
        wait_until(lambda: error(a) == "[]", 15, "all is well again")
        a.vxlan("br0", "vx11", key=10, dst_port=4790, remote_ip="flow", control="reflector", check=False)
        wait_until(lambda: "vx10 has network 10 already" in error(a, "vx11"), 10, "a network has one port")
        a.vxlan("br0", "vx12", key=12, remote_ip=b.address[4], control="reflector", check=False)
        assert "only with remote_ip=flow" in error(a, "vx12")


# --- the same on Debian's ovsdb-server ---

class Servers:
    """ovsdb-server, several in one namespace: the three of a cluster, and a relay of it."""

    def __init__(self, lab, stock, name="rf"):
        self.short, self.ns = name, lab.namespace(name, ipv6=True)
        self.bin, self.address, self.dir = stock, {}, lab.dir / name
        self.dir.mkdir(parents=True)
        self.processes = {}

    def run(self, name, *argv):
        ctl = self.dir / f"{name}.ctl"
        with open(self.dir / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.ns.name, str(self.bin.parent / "sbin/ovsdb-server"), f"--unixctl={ctl}",
                 "--no-chdir", "--pidfile=" + str(self.dir / f"{name}.pid"), *map(str, argv)], stdout=log, stderr=log)
        wait_until(ctl.exists, 10, f"{name} serves")

    def cluster(self):
        address = self.address[4]
        for n in (1, 2, 3):
            db, raft = self.dir / f"s{n}.db", f"tcp:{address}:{6650 + n}"
            if n == 1:
                self.ns.run(self.bin / "ovsdb-tool", "create-cluster", db, SOURCE / "overlay/overlay.ovsschema", raft)
            else:
                self.ns.run(self.bin / "ovsdb-tool", "join-cluster", db, "Overlay", raft, f"tcp:{address}:6651")
            self.run(f"s{n}", f"--remote=ptcp:{6640 + n}:{address}", db)
        wait_until(lambda: self.leader() is not None, 20, "the cluster has a leader")
        return [f"tcp:{address}:{6640 + n}" for n in (1, 2, 3)]

    def relay(self, servers):
        self.run("relay", f"--remote=ptcp:6640:{self.address[4]}", f"relay:Overlay:{','.join(servers)}")
        return f"tcp:{self.address[4]}:6640"

    def leader(self):
        for name in self.processes:
            if name == "relay":
                continue
            done = self.ns.run(self.bin / "ovs-appctl", "-t", self.dir / f"{name}.ctl", "cluster/status", "Overlay", check=False)
            if "Role: leader" in done.stdout:
                return name
        return None

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def close(self):
        for name in list(self.processes):
            self.kill(name)


@pytest.mark.parametrize("kind", ["cluster", "relay"])
def test_a_cluster_of_ovsdb_servers(lab, stock, kind):
    """Its leader is killed: nobody misses anything, and news go on. The same through a relay."""
    servers = Servers(lab, stock)
    try:
        a, b, c = (lab.host(n) for n in "abc")
        lab.underlay(a, b, c, servers, mtu=1600)
        targets = servers.cluster()
        where = [servers.relay(targets)] if kind == "relay" else targets
        guests = []
        for n, h in enumerate((a, b, c), 1):
            h.start()
            h.add_br("br0")
            join(h, where)
            network(h)
            guests.append(h.guest("br0", f"g-{h.short}", f"10.0.0.{n}/24", tag=10))
        for h in (a, b, c):
            wait_until(lambda h=h: len(members(h)) == 2, 30, f"{h.short} knows the others")
        guests[0].reaches("10.0.0.2")
        wait_until(knows(a, guests[1].mac, b.address[4]), 10, "a knows b's guest")
        servers.kill(servers.leader())
        assert guests[0].ping("10.0.0.3", count=3)
        wait_until(lambda: servers.leader() is not None, 20, "the cluster has a new leader")
        wait_until(lambda: guests[2].send(frame(DST)) or knows(a, DST, c.address[4])(), 20, "a hears of a station that came")
        assert knows(a, guests[1].mac, b.address[4])()
    finally:
        servers.close()


def test_certificates_say_whose_rows_they_are(lab, keys):
    """With TLS a VTEP has the name in its certificate, and writes its own rows alone."""
    def use(host, name, vtep, ca="ca"):
        host.vsctl("set-ssl", f"{keys}/{name}.key", f"{keys}/{name}.pem", f"{keys}/{ca}.pem")
        host.vsctl("set", "Open_vSwitch", ".", f"other_config:vtep-name={vtep}")
        host.vsctl("set-reflector", f"ssl:{rf.address[4]}:6641")

    def error(host):
        return host.get("Interface", "vx10", "error")
    with reflector(lab) as rf:
        (a, b, c), _ = lab.running("a", "b", "c", others=(rf,))
        rf.start(f"ptcp:{PORT}:[::1]", f"pssl:6641:{rf.address[4]}", options=tls_options(keys, "switch"))
        for h, name in ((a, "client"), (b, "switch"), (c, "stranger")):
            use(h, name, name)
            network(h, check=False)  # the third's answer says that it is not let in
        wait_until(lambda: len(members(a)) == len(members(b)) == 1, 20, "two know each other")
        wait_until(lambda: "reflector" in error(c), 10, "the third is not let in")
        assert [row[0] for row in rf.rows("Vtep", "name")] == ["client", "switch"]
        guests = [h.guest("br0", f"g-{h.short}", f"10.0.0.{n}/24", tag=10) for n, h in enumerate((a, b), 1)]
        guests[0].reaches("10.0.0.2")
        wait_until(knows(a, guests[1].mac, b.address[4]), 10, "a knows b's guest")
        # A move is a claim.
        guests[0].send(frame(DST))
        wait_until(knows(b, DST, a.address[4]), 10, "a has the station")
        wait_until(lambda: guests[1].send(frame(DST)) or knows(a, DST, b.address[4])(), 10, "it moves to b")
        # A host that takes another's name, or another's certificate.
        use(a, "client", "switch")
        wait_until(lambda: "refuses" in error(a) and '"client"' in error(a).replace("\\", ""), 10, "a is told whose rows it may write")
        assert error(b) == "[]" and [row[0] for row in rf.rows("Vtep", "name")] == ["client", "switch"]
        use(a, "client", "client")
        wait_until(lambda: error(a) == "[]" and knows(b, guests[0].mac, a.address[4])(), 15, "and all is well again")
