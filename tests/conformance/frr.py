# SPDX-License-Identifier: Apache-2.0
"""FRR for EVPN: under a host's own daemon (evpn-frr), as route reflector, and as the other kind of VTEP: a Linux bridge
with a vxlan port."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from lab import SOURCE
from net import TIME_SCALE, Failure, Namespace, run, wait_until

PROGRAMS = Path("/usr/lib/frr")
KEEPER = SOURCE / "overlay/evpn/evpn-frr"


class Folder:
    """A folder that user frr gets into; those of pytest are root's alone."""

    def __init__(self, name):
        self.path = Path(tempfile.mkdtemp(prefix=f"hd-{name}-"))
        os.chmod(self.path, 0o755)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def within(ns, *argv, **how):
    """A program in the namespace, and in this mount namespace."""
    return subprocess.Popen(["nsenter", f"--net={ns.path}", "--", *map(str, argv)], **how)


def end(process, how=signal.SIGTERM, timeout=10):
    if process.poll() is None:
        process.send_signal(how)
    return process.wait(timeout * TIME_SCALE)


def vty(path, *commands):
    """The answers of a daemon's command socket."""
    answers = []
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10 * TIME_SCALE)
        s.connect(str(path))
        for command in commands:
            s.sendall(command.encode() + b"\0")
            text = b""
            while len(text) < 4 or text[-4:-1] != b"\0\0\0":
                part = s.recv(1 << 16)
                if not part:
                    raise Failure(f"{path} ended")
                text += part
            answers.append(text[:-4].decode())
    return answers


class Daemons:
    """zebra and bgpd in one namespace."""

    def __init__(self, lab, ns, bgpd_conf, zebra_conf=""):
        self.ns, self.folder = ns, Folder(ns.name)
        self.dir = self.folder.path
        self.log = lab.dir / f"frr-{ns.name}.log"
        self.conf = {"zebra": zebra_conf, "bgpd": bgpd_conf}
        self.processes = {}

    def start(self):
        run("chown", "frr:frr", self.dir)
        for name, extra in (("zebra", ["-s", "90000000"]), ("bgpd", [])):
            conf = self.dir / f"{name}.conf"
            conf.write_text(self.conf[name])
            with open(self.log, "ab") as log:
                self.processes[name] = within(
                    self.ns, PROGRAMS / name, "-f", conf, "-i", self.dir / f"{name}.pid", "-z", self.dir / "zserv.api",
                    "--vty_socket", self.dir, "-P", "0", "--log", "stdout", *extra, stdout=log, stderr=log)
            wait_until(lambda n=name: self.answers(n), 15, f"{name} of {self.ns.name} answers")
        return self

    def answers(self, name):
        with contextlib.suppress(OSError, Failure):
            return "FRRouting" in vty(self.dir / f"{name}.vty", "show version")[0]
        return False

    def ask(self, name, command):
        return vty(self.dir / f"{name}.vty", command)[0]

    def kill(self, name, how=signal.SIGKILL):
        end(self.processes.pop(name), how)

    def close(self):
        for process in list(self.processes.values())[::-1]:
            end(process, signal.SIGKILL)
        self.processes.clear()
        self.folder.remove()


class RouteReflector:
    """An FRR on the underlay that hands on what its clients say."""

    def __init__(self, lab, name, asn=65000):
        self.lab, self.short, self.asn = lab, name, asn
        self.ns = lab.namespace(name, ipv6=True)
        self.address = {}
        self.daemons = None

    def start(self):
        self.daemons = Daemons(self.lab, self.ns, f"""frr defaults datacenter
router bgp {self.asn}
 bgp router-id {self.address[4]}
 bgp cluster-id 192.0.2.250
 no bgp default ipv4-unicast
 neighbor v peer-group
 neighbor v remote-as {self.asn}
 neighbor v timers 3 9
 bgp listen limit 1000
 bgp listen range 192.0.2.0/24 peer-group v
 address-family l2vpn evpn
  neighbor v activate
  neighbor v route-reflector-client
 exit-address-family
""").start()
        return self

    def close(self):
        if self.daemons is not None:
            self.daemons.close()
            self.daemons = None


class BridgeVtep:
    """A host with FRR, a Linux bridge and a vxlan device; its guests are veth pairs in the bridge."""

    def __init__(self, lab, name):
        self.lab, self.short = lab, name
        self.ns = lab.namespace(name, ipv6=True)
        self.address = {}
        self.daemons = None

    def start(self, neighbors, vni=10, asn=65000):
        ns = self.ns
        ns.ip(f"link add br{vni} type bridge")
        ns.ip(f"link set br{vni} up")
        ns.ip(f"link add vx{vni} type vxlan id {vni} local {self.address[4]} dstport 4789 nolearning")
        ns.ip(f"link set vx{vni} master br{vni}")
        ns.ip(f"link set vx{vni} up")
        lines = "".join(f" neighbor {n} remote-as {asn}\n neighbor {n} timers 3 9\n neighbor {n} timers connect 3\n" for n in neighbors)
        active = "".join(f"  neighbor {n} activate\n" for n in neighbors)
        self.daemons = Daemons(self.lab, ns, f"""frr defaults datacenter
router bgp {asn}
 bgp router-id {self.address[4]}
 no bgp default ipv4-unicast
{lines} address-family l2vpn evpn
{active}  advertise-all-vni
 exit-address-family
""").start()
        return self

    def guest(self, name, address, vni=10):
        """A namespace with the address on eth0, in the bridge."""
        guest = self.lab.namespace(f"{self.short}-{name}")
        self.ns.ip(f"link add {name} type veth peer name eth0 netns {guest.name}")
        self.ns.ip(f"link set {name} up master br{vni}")
        guest.ip(f"addr add {address} dev eth0")
        guest.ip("link set eth0 up")
        guest.mac_address = guest.mac("eth0")
        return guest

    def macs(self, vni=10):
        """{MAC: "local", or the remote VTEP} as zebra knows them."""
        told = json.loads(self.daemons.ask("zebra", f"show evpn mac vni {vni} json") or "{}").get("macs", {})
        return {m: "local" if e["type"] == "local" else e.get("remoteVtep") for m, e in told.items()}

    def close(self):
        if self.daemons is not None:
            self.daemons.close()
            self.daemons = None


class Keeper:
    """evpn-frr beside a host's vswitchd, as its unit runs it."""

    def __init__(self, host):
        self.host, self.folder = host, Folder(host.ns.name)
        self.dir = self.folder.path
        self.log = host.dir / "evpn-frr.log"
        self.process = None

    @property
    def options(self):
        return (f"--evpn-dir={self.dir}",)

    def start(self):
        """Once vswitchd asks for it, as the path unit does."""
        wait_until(lambda: (self.dir / "wanted").exists(), 10, f"{self.host.short} asks for FRR")
        with open(self.log, "ab") as log:
            self.process = within(self.host.ns, KEEPER, self.dir, stdout=log, stderr=log)
        return self

    def pid(self, name):
        return int((self.dir / "frr" / f"{name}.pid").read_text())

    def kill(self, name):
        os.kill(self.pid(name), signal.SIGKILL)

    def ask(self, name, command):
        return vty(self.dir / "frr" / f"{name}.vty", command)[0]

    def shadow(self, *argv):
        """A command in zebra's namespace."""
        holder = (self.dir / "holder").read_text().strip()
        return run("nsenter", f"--net=/proc/{holder}/ns/net", *argv).stdout

    def ended(self, timeout=15):
        """Waits for the keeper's own end, and returns its status."""
        process, self.process = self.process, None
        return process.wait(timeout * TIME_SCALE)

    def close(self):
        if self.process is not None:
            end(self.process, timeout=30)
            self.process = None
        self.folder.remove()


def installed():
    return (PROGRAMS / "bgpd").exists()


@contextlib.contextmanager
def closing(things):
    """Closes all that was put into the list, the last first."""
    try:
        yield things
    finally:
        for thing in things[::-1]:
            thing.close()
