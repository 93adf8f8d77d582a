# SPDX-License-Identifier: Apache-2.0
"""The commands of the README's tour, run unchanged on two hosts as in its description."""
import os
import re
import shlex

from lab import BIN, SOURCE, Guest

BLOCK = re.compile(r"^```sh host=(\w)( fails)?\n(.*?)^```$", re.M | re.S)


def test_tour(lab):
    a, b = lab.host("a"), lab.host("b")
    a.ns.ip("link add eth1 mtu 1550 type veth peer name eth1 mtu 1550 netns " + b.ns.name)
    for n, host in ((1, a), (2, b)):
        host.ns.ip(f"addr add 192.0.2.{n}/24 dev eth1")
        host.ns.ip("link set eth1 up")
        host.start()
    guests = {}
    for n, host in ((1, a), (2, b)):
        guests[n, "vm1"] = Guest(host, "vm1", f"10.0.10.{n}/24")
        guests[n, "vm2"] = Guest(host, "vm2", f"10.0.20.{n}/24")
    lab.namespaces += [guest.ns for guest in guests.values()]

    blocks = BLOCK.findall((SOURCE / "README.md").read_text())
    assert len(blocks) >= 6, "the README's tour was not found"
    env = dict(os.environ, PATH=f"{BIN}:{os.environ['PATH']}")
    said = {}
    for host, fails, text in blocks:
        where = {"a": a, "b": b}[host]
        env["VSWITCH_RUNDIR"] = str(where.rundir)
        for line in text.strip().splitlines():
            done = where.ns.run(*shlex.split(line), check=False, env=env)
            assert (done.returncode != 0) == bool(fails), f"{line}\n{done.stdout}{done.stderr}"
            said[line] = done.stdout + done.stderr
        if "vx10" in text and host == "b":
            guests[1, "vm1"].reaches("10.0.10.2")
            guests[1, "vm2"].reaches("10.0.20.2")

    assert "vx10" in said["vsctl show"]
    table = said["vsctl fdb-show br0"]
    for guest in guests.values():
        assert guest.mac in table, table
    assert "1500" in said["vsctl get Interface vx10 status"]
    assert "nosuch" in said["vsctl add-port br0 nosuch"] and "not found" in said["vsctl add-port br0 nosuch"]
    guests[1, "vm1"].reaches("10.0.10.100")
