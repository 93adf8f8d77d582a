# SPDX-License-Identifier: Apache-2.0
"""The suites: the user-space datapath is compared with other users of AF_XDP, the kernel datapath with the Linux
bridge. A suite has its kinds of switches by name (the first ones are compared by default), its groups of rows, the
printed ratios, and the measurement of a group."""

from heddle import Heddle, HeddleBefore, HeddleKernel, HeddleKernelBefore, HeddleKernelDevice, HeddleUser
from scale_switches import ScaleKernel, ScaleOpenVSwitch, ScaleUser
from switches import Floor, LinuxBridge, OpenVSwitch

import fdb
import latency
import restart
import rows
import scale
from rows import RATES, TCP, Cell


class UserSuite:
    """The user-space datapath, Open vSwitch and the bare forwarder."""

    name = "user"
    kinds = {kind.name: kind for kind in (Heddle, OpenVSwitch, Floor, LinuxBridge, HeddleBefore)}
    default = ("heddle", "ovs", "floor", "bridge")
    ratios = (("heddle", "before"), ("heddle", "ovs"), ("heddle", "floor"), ("ovs", "floor"))
    ranges = False
    groups = (*RATES, *TCP, "idle")
    rounds = 5
    streams = (1, 4)

    def measure(self, lab, kind, group, options):
        """Yields results of one group for one kind of switch."""
        if group in RATES:
            cells = [Cell(f"{size} B {flows} flows", size, flows) for size in options.sizes for flows in options.flows]
            yield from rows.rate(lab, kind, group, cells, options.seconds, options.sink == "tc")
        elif group in TCP:
            yield from rows.tcp(lab, kind, group, self.streams, max(2, options.seconds))
        elif kind in (Heddle, OpenVSwitch, HeddleBefore):
            yield from rows.idle(lab, kind)

    def seconds(self, kind, group, options):
        """The approximate duration of measure()."""
        if group in RATES:
            return len(options.sizes) * len(options.flows) * (options.seconds + 1.3)
        if group in TCP:
            return len(self.streams) * (max(2, options.seconds) + 0.7)
        return 8 if kind in (Heddle, OpenVSwitch, HeddleBefore) else 0


class KernelSuite:
    """The kernel datapath and the Linux bridge (with the kernel's vxlan device for the overlay)."""

    name = "kernel"
    kinds = {kind.name: kind for kind in (HeddleKernel, LinuxBridge, HeddleKernelDevice, HeddleUser, HeddleKernelBefore)}
    default = ("kernel", "bridge")
    ratios = (("kernel", "before"), ("kernel", "bridge"), ("kernel", "kernel-device"))
    ranges = True
    rates = ("local", "vxlan")
    groups = (*rates, *TCP, *latency.GROUPS, *restart.GROUPS, fdb.GROUP)
    rounds = 5
    streams = (1, 8)
    cpus = "0,1"  # sender and receiver of TCP
    cells = (Cell("64 B 1 flow", 64), Cell("64 B 1000 MACs", 64, flows=1000, macs=1000))

    def measure(self, lab, kind, group, options):
        if group in self.rates:
            # A redirect into the guest's namespace bypasses native XDP there; tc ingress sees the frames of all
            # switches.
            yield from rows.rate(lab, kind, group, self.cells, options.seconds, tc_sink=True)
        elif group in TCP:
            yield from rows.tcp(lab, kind, group, self.streams, max(2, options.seconds), self.cpus)
        elif group in latency.GROUPS:
            yield from latency.measure(lab, kind, group, max(1, round(options.seconds)))
        elif group in restart.GROUPS:
            if kind.restarts:
                yield from restart.measure(lab, kind, group)
        else:
            yield from fdb.measure(lab, kind)

    def seconds(self, kind, group, options):
        if group in self.rates:
            return len(self.cells) * (options.seconds + 1.3)
        if group in TCP:
            return len(self.streams) * (max(2, options.seconds) + 0.7)
        if group in latency.GROUPS:
            return len(latency.PROTOCOLS) * (max(1, options.seconds) + 1.0)
        if group in restart.GROUPS:
            return restart.SECONDS + 2 if kind.restarts else 0
        return 8


class ScaleSuite:
    """Large configurations: vswitchd with each of its datapaths, and ovsdb-server with ovs-vswitchd."""

    name = "scale"
    kinds = {kind.name: kind for kind in (ScaleKernel, ScaleUser, ScaleOpenVSwitch)}
    default = tuple(kinds)
    ratios = (("kernel", "ovs"), ("user", "ovs"))
    ranges = False
    groups = scale.GROUPS
    rounds = 3

    def measure(self, lab, kind, group, options):
        if options.round == 0 or group not in scale.ONCE:
            yield from scale.measure(lab, kind, group)

    def seconds(self, kind, group, options):
        return scale.SECONDS[group] / (options.rounds if group in scale.ONCE else 1)


SUITES = {suite.name: suite for suite in (UserSuite(), KernelSuite(), ScaleSuite())}
