# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, raw frames and sockets: the base of lab.py.

Everything is created in namespaces of this run (names "hd<pid>-..."), never in the machine's. A socket stays in the
namespace of its creation, so one thread can have sockets in many namespaces.
"""
import contextlib
import ctypes
import os
import re
import socket
import struct
import subprocess
import time

PREFIX = f"hd{os.getpid()}-"
# All waits are multiplied by this: more than 1 where the processor is emulated (tests/vm/run sets it).
TIME_SCALE = float(os.environ.get("HEDDLE_TIME_SCALE", "1"))
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


class Failure(AssertionError):
    """A command failed or a condition did not become true; the text names it."""


def run(*argv, check=True, timeout=60, stdin=None, env=None):
    """Runs a command; returns its CompletedProcess. With `check`, a failure raises with the command's output."""
    argv = [str(a) for a in argv]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout * TIME_SCALE, input=stdin, env=env)
    if check and done.returncode != 0:
        raise Failure(f"`{' '.join(argv)}` exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition, timeout=10, what=None):
    """Polls until condition() is true and returns its value. A Failure raised by condition() counts as false."""
    timeout *= TIME_SCALE
    end = time.monotonic() + timeout
    why = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except Failure as e:
            why = e
        if time.monotonic() > end:
            raise Failure(f"not within {timeout:g} s: {what or condition.__doc__ or condition}" + (f"\n{why}" if why else ""))
        time.sleep(0.02)  # between two polls; the wait ends with the condition


class Namespace:
    """A named network namespace with lo up. IPv6 is off by default, so that an idle kernel sends no packets."""

    def __init__(self, name, ipv6=False):
        self.name = PREFIX + name
        self.path = f"/run/netns/{self.name}"
        run("ip", "netns", "add", self.name)
        self.ip("link set lo up")
        if not ipv6:
            self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
            self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.sysctl("net.ipv6.conf.all.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)

    def run(self, *argv, **kw):
        return run("ip", "netns", "exec", self.name, *argv, **kw)

    def ip(self, command, **kw):
        return run("ip", "-n", self.name, *command.split(), **kw).stdout

    def sysctl(self, key, value):
        self.write("/proc/sys/" + key.replace(".", "/"), value)

    def write(self, path, value):
        with self.entered(), open(path, "w", encoding="ascii") as f:
            f.write(str(value))

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in this namespace within the block."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.path, os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(home)
            os.close(there)
            os.close(home)

    def socket(self, *args):
        with self.entered():
            return socket.socket(*args)

    def raw(self, device):
        return RawSocket(self, device)

    def devices(self):
        """Names of all devices but lo."""
        return [line.split(": ")[1].split("@")[0] for line in self.ip("-o link show").splitlines() if ": lo:" not in line]

    def mac(self, device):
        return re.search(r"link/ether (\S+)", self.ip(f"link show {device}")).group(1)

    def delete(self):
        for pid in run("ip", "netns", "pids", self.name, check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        run("ip", "netns", "del", self.name, check=False)


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class RawSocket:
    """Sends and receives whole frames at a device, with VLAN tag, as on the wire (packet(7))."""

    _ETH_P_ALL, _SOL_PACKET, _AUXDATA, _IGNORE_OUTGOING = 3, 263, 8, 23
    _VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6

    def __init__(self, namespace, device):
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(self._SOL_PACKET, self._AUXDATA, 1)
        self.socket.setsockopt(self._SOL_PACKET, self._IGNORE_OUTGOING, 1)
        for buffer in (32, 33):  # SO_SNDBUFFORCE, since frames wait in queues far behind the device; SO_RCVBUFFORCE
            self.socket.setsockopt(socket.SOL_SOCKET, buffer, 8 << 20)
        self.socket.bind((device, self._ETH_P_ALL))

    def fileno(self):
        return self.socket.fileno()

    def send(self, frame):
        self.socket.send(frame)

    def receive(self, timeout=0.0):
        """The next frame, or None after `timeout` seconds."""
        self.socket.settimeout(timeout)
        try:
            data, extra, _, _ = self.socket.recvmsg(70000, 256)
        except (BlockingIOError, TimeoutError):
            return None
        for level, kind, aux in extra:
            if level == self._SOL_PACKET and kind == self._AUXDATA:
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", aux[:20])
                if status & self._VLAN_VALID:  # the kernel moved the tag to the metadata
                    tpid = tpid if status & self._TPID_VALID else 0x8100
                    data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
        return data

    def drain(self):
        while self.receive() is not None:
            pass

    def wait_for(self, match, timeout=5, what="a frame"):
        """The first frame that match() accepts."""
        timeout *= TIME_SCALE
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            frame = self.receive(left)
            if frame is not None and match(frame):
                return frame
        raise Failure(f"{what} did not arrive within {timeout:g} s")

    def close(self):
        self.socket.close()


# --- frames ---

BROADCAST = "ff:ff:ff:ff:ff:ff"
TEST_TYPE = 0x88B5  # IEEE Std 802 local experimental EtherType


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def mac(n):
    """The n-th locally administered MAC address for tests."""
    return "02:fe:" + ":".join(f"{n >> s & 0xff:02x}" for s in (24, 16, 8, 0))


def frame(src, dst=BROADCAST, payload=b"", vlan=None, pcp=0, ethertype=TEST_TYPE, size=60):
    """An Ethernet frame, padded to `size`. `vlan`: an 802.1Q tag; None = untagged, 0 = priority tag."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, pcp << 13 | vlan)
    return (mac_bytes(dst) + mac_bytes(src) + tag + struct.pack("!H", ethertype) + payload).ljust(size, b"\0")


def split_tag(data):
    """(VLAN or None, PCP, the frame without its outer 802.1Q tag)"""
    if data[12:14] != b"\x81\x00":
        return None, 0, data
    tci = struct.unpack("!H", data[14:16])[0]
    return tci & 0xFFF, tci >> 13, data[:12] + data[16:]


def checksum(data):
    """The Internet checksum (RFC 1071) over `data`."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
