# SPDX-License-Identifier: Apache-2.0
"""BGP EVPN for bench/overlay.py: FRR under our hosts, as route reflector, and with the kernel's own bridge."""
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from lab import run

PROGRAMS = Path("/usr/lib/frr")
KEEPER = Path(__file__).resolve().parent.parent / "overlay/evpn/evpn-frr"
NEIGHBOR = "192.0.2.9"


def folder(stack, name):
    """User frr gets into it."""
    path = Path(tempfile.mkdtemp(prefix=f"hb-{name}-"))
    path.chmod(0o755)
    stack.callback(shutil.rmtree, path, ignore_errors=True)
    return path


def within(stack, ns, *argv, log):
    """Unlike `ip netns exec`, in this mount namespace."""
    with open(log, "ab") as out:
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{ns}", "--", *map(str, argv)], stdout=out, stderr=out)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


class Frr:
    """zebra and bgpd in a namespace."""

    def __init__(self, bench, ns, bgpd_conf):
        self.dir = folder(bench.stack, ns)
        run("chown", "frr:frr", str(self.dir))
        for name, conf, extra in (("zebra", "", ["-s", "90000000"]), ("bgpd", bgpd_conf, [])):
            (self.dir / f"{name}.conf").write_text(conf)
            within(bench.stack, ns, PROGRAMS / name, "-f", self.dir / f"{name}.conf", "-i", self.dir / f"{name}.pid", "-z",
                   self.dir / "zserv.api", "--vty_socket", self.dir, "-P", "0", "--log", "stdout", *extra,
                   log=bench.dir / f"frr-{ns}.log")
            while not self.answers(name):
                time.sleep(0.05)

    def answers(self, name):
        try:
            return "FRRouting" in self.ask(name, "show version")
        except OSError:
            return False

    def ask(self, name, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.dir / f"{name}.vty"))
            s.sendall(command.encode() + b"\0")
            text = b""
            while len(text) < 4 or text[-4:-1] != b"\0\0\0":
                part = s.recv(1 << 20)
                if not part:
                    raise OSError("ended")
                text += part
            return text[:-4].decode()

    def memory(self, name):
        """Resident, in kB."""
        pid = (self.dir / f"{name}.pid").read_text().strip()
        return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                    if line.startswith("VmRSS"))


def reflector(bench, ns, ranges=("192.0.2.0/24",)):
    listen = "".join(f" bgp listen range {r} peer-group v\n" for r in ranges)
    return Frr(bench, ns, f"""frr defaults datacenter
router bgp 65000
 bgp router-id {NEIGHBOR}
 no bgp default ipv4-unicast
 neighbor v peer-group
 neighbor v remote-as 65000
 bgp listen limit 5000
{listen} address-family l2vpn evpn
  neighbor v activate
  neighbor v route-reflector-client
 exit-address-family
""")


def keep(bench, host):
    """FRR under one of our hosts, as its unit keeps it."""
    within(bench.stack, host.ns, KEEPER, host.evpn, log=host.dir / "evpn-frr.log")


class BridgeVtep:
    """A host with FRR, a Linux bridge and a vxlan device, without Heddle."""

    def __init__(self, bench, name, number, vni=10):
        self.ns = bench.namespace(name, number, f"192.0.2.{number}")
        self.ip(f"link add br{vni} type bridge")
        self.ip(f"link set br{vni} up")
        self.ip(f"link add vx{vni} type vxlan id {vni} local 192.0.2.{number} dstport 4789 nolearning")
        self.ip(f"link set vx{vni} master br{vni}")
        self.ip(f"link set vx{vni} up")
        self.ip("link add port type ifb")
        self.ip(f"link set port master br{vni}")
        self.frr = Frr(bench, self.ns, f"""frr defaults datacenter
router bgp 65000
 bgp router-id 192.0.2.{number}
 no bgp default ipv4-unicast
 neighbor {NEIGHBOR} remote-as 65000
 neighbor {NEIGHBOR} timers connect 3
 address-family l2vpn evpn
  neighbor {NEIGHBOR} activate
  advertise-all-vni
 exit-address-family
""")

    def ip(self, words):
        run("ip", "-n", self.ns, *words.split())

    def stations(self, count, what="add", first=2_000_000):
        """Adds or removes entries of the bridge, as if stations were there. Returns the seconds."""
        lines = "".join(f"fdb {what} 02:00:{n >> 24 & 255:02x}:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x} dev port "
                        f"master{' static' if what == 'add' else ''}\n" for n in range(first, first + count))
        began = time.monotonic()
        with tempfile.NamedTemporaryFile("w", suffix=".batch") as batch:
            batch.write(lines)
            batch.flush()
            run("ip", "netns", "exec", self.ns, "bridge", "-batch", batch.name)
        return time.monotonic() - began

    def known(self, vni=10):
        """Entries of the bridge that lead to another VTEP; each has a second one in the vxlan device."""
        shown = run("ip", "netns", "exec", self.ns, "bridge", "fdb", "show", "dev", f"vx{vni}")
        return sum("extern_learn" in line and " master " in line for line in shown.splitlines())


def installed():
    return os.access(PROGRAMS / "bgpd", os.X_OK)
