# SPDX-License-Identifier: Apache-2.0
"""The Linux kernel's vxlan device as the far end of a tunnel, and a parser of the packets on the underlay."""
import struct

from net import Namespace, split_tag


class KernelVtep:
    """A host on the underlay with kernel vxlan devices instead of a switch. Its device has the guest's address."""

    def __init__(self, lab, name):
        self.short = name
        self.ns = lab.namespace(name, ipv6=True)
        self.address = {}

    def vxlan(self, name, vni, address, local, remote=None, port=4789, options="", device="ul0"):
        """A vxlan device with a guest's address on it. Without `remote`: multipoint, see flood()."""
        self.ns.sysctl("net.ipv6.conf.default.disable_ipv6", 0 if ":" in address else 1)
        to = f"remote {remote}" if remote else ""
        by = f"dev {device}" if device else ""  # empty: by the routing table
        self.ns.ip(f"link add {name} type vxlan id {vni} local {local} {to} dstport {port} {by} {options}")
        self.ns.sysctl("net.ipv6.conf.default.disable_ipv6", 0)
        self.ns.ip(f"addr add {address} dev {name}")
        self.ns.ip(f"link set {name} up")
        return self.ns.mac(name)

    def flood(self, name, remote):
        """Adds a VTEP for broadcast, unknown and multicast frames."""
        self.ns.run("bridge", "fdb", "append", "00:00:00:00:00:00", "dev", name, "dst", remote)

    def static(self, name, mac, remote):
        self.ns.run("bridge", "fdb", "replace", mac, "dev", name, "dst", remote)


class Outer:
    """The outer headers of a VXLAN packet on the underlay."""

    def __init__(self, data, port=4789):
        self.ok = False
        _, _, data = split_tag(data)
        kind = data[12:14]
        ip = data[14:]
        if kind == b"\x08\x00" and len(ip) >= 36 and ip[9] == 17:
            self.version, self.tos, self.ttl = 4, ip[1], ip[8]
            self.df = bool(ip[6] & 0x40)
            self.source, self.destination = ".".join(map(str, ip[12:16])), ".".join(map(str, ip[16:20]))
            udp = ip[(ip[0] & 15) * 4:]
        elif kind == b"\x86\xdd" and len(ip) >= 56 and ip[6] == 17:
            self.version, self.tos, self.ttl = 6, (ip[0] << 4 | ip[1] >> 4) & 0xFF, ip[7]
            self.df = True
            self.source, self.destination = ip[8:24], ip[24:40]
            udp = ip[40:]
        else:
            return
        self.udp_source, self.udp_destination, self.udp_length, self.udp_checksum = struct.unpack("!HHHH", udp[:8])
        if self.udp_destination != port or len(udp) < 16:
            return
        self.flags, self.vni = udp[8], struct.unpack("!I", udp[12:16])[0] >> 8
        self.inner = udp[16:self.udp_length]
        self.ok = True


def vxlan_header(vni, flags=0x08):
    return struct.pack("!BBHI", flags, 0, 0, vni << 8)


def watch(namespace: Namespace, device="ul0"):
    """A raw socket on the underlay; see next_outer()."""
    return namespace.raw(device)


def next_outer(sock, match=lambda o: True, timeout=5, port=4789):
    found = []

    def wanted(data):
        o = Outer(data, port)
        if o.ok and match(o):
            found.append(o)
            return True
        return False
    sock.wait_for(wanted, timeout, "a VXLAN packet on the underlay")
    return found[0]
