#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares Heddle with other switches: suite `user`, the user-space datapath with Debian's Open vSwitch and a bare
AF_XDP forwarder; suite `kernel`, the kernel datapath with the Linux bridge; suite `scale`, the daemons with large
configurations with Open vSwitch's. See docs/performance.md; tools/bench builds the programs and starts this. Needs
root."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import report
import switches
from heddle import Before
from lab import Lab
from suites import SUITES
from switches import ROOT, OpenVSwitch

START_SECONDS = {"heddle": 1.0, "before": 1.0, "user": 1.0, "kernel": 1.0, "kernel-device": 1.0, "ovs": 2.5, "floor": 0.5, "bridge": 0.5}
USER_ONLY = {"sizes": "64,1500", "flows": "1,1000,100000", "sink": "xdp"}  # options and their defaults


def parse():
    p = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    p.add_argument("suite", nargs="?", choices=SUITES, default="user", help="what is compared (default user)")
    p.add_argument("--rounds", type=int, help="interleaved rounds (default 5; scale: 3)")
    p.add_argument("--seconds", type=float, default=1.5, help="measured time of each cell (default 1.5)")
    for suite in SUITES.values():
        p.add_argument_group(f"suite {suite.name}",
                             f"rows: {','.join(suite.groups)}; switches: {','.join(suite.kinds)}")
    p.add_argument("--only", help="rows, separated by commas; default: all of the suite")
    p.add_argument("--switches", help="separated by commas; default: those that the suite is about")
    p.add_argument("--sizes", help=f"suite user: bytes of a frame (default {USER_ONLY['sizes']})")
    p.add_argument("--flows", help=f"suite user: numbers of flows (default {USER_ONLY['flows']})")
    p.add_argument("--sink", choices=("xdp", "tc"), help="suite user: the far guest counts frames at XDP (default), or "
                   "takes them as skbs and counts at tc ingress")
    p.add_argument("--quick", action="store_true",
                   help="one short round; in suite user 64-byte frames only, with fewest and most flows")
    p.add_argument("--favour", action="store_true", help="run before other work on this machine (nice -15)")
    p.add_argument("--before", type=Path, metavar="DIR", help="switch `before`: the build directory of another version of "
                   "Heddle, e.g. --switches heddle,before --before ../older/build/release")
    p.add_argument("--build", default="build/release", help="build directory (default build/release)")
    options = p.parse_args()
    complete(options, p.error)
    return options


def complete(options, error):
    """Converts names to objects, and sets the defaults that depend on the suite."""

    def chosen(words, known, what):
        for word in words:
            if word not in known:
                error(f"suite {suite.name} has no {what} {word}; it has {','.join(known)}")
        return [k for k in known if k in words]

    suite = options.suite = SUITES[options.suite]
    switches.BIN = ROOT / options.build / "bin"
    if options.before:
        Before.directory_of_build = options.before.resolve()
    options.groups = chosen((options.only or ",".join(suite.groups)).split(","), suite.groups, "rows")
    options.rounds = suite.rounds if options.rounds is None else options.rounds
    names = options.switches.split(",") if options.switches else suite.default
    options.kinds = [suite.kinds[name] for name in chosen(names, suite.kinds, "switch")]
    if "before" in names and not options.before:
        error("switch before: --before names its build directory")
    for option, default in USER_ONLY.items():
        if suite.name != "user" and getattr(options, option):
            error(f"--{option} is for suite user")
        setattr(options, option, getattr(options, option) or default)
    options.sizes = [int(size) for size in options.sizes.split(",")]
    options.flows = [int(flows) for flows in options.flows.split(",")]
    if options.quick:
        options.rounds, options.seconds = 1, 0.7
        options.sizes, options.flows = options.sizes[:1], [options.flows[0], options.flows[-1]]
    if options.rounds < 1:
        error("--rounds is 1 or more")


def estimate(options):
    """The approximate duration in seconds."""
    total = 0
    for group in options.groups:
        for kind in options.kinds:
            needed = options.suite.seconds(kind, group, options)
            total += needed + (START_SECONDS[kind.name] * (2 if "vxlan" in group else 1) if needed else 0)
    return total * options.rounds


def collect(options):
    results, failures = [], []
    print(f"about {estimate(options) / 60:.0f} minutes; load now {os.getloadavg()[0]:.1f}", flush=True)
    begin = time.monotonic()
    lab = Lab()
    try:
        for number in range(options.rounds):
            options.round = number
            kinds = options.kinds[number % len(options.kinds):] + options.kinds[:number % len(options.kinds)]
            for group in options.groups:
                for kind in kinds:
                    one_block(lab, kind, group, options, number, results, failures)
            print(f"round {number + 1} of {options.rounds} done after {time.monotonic() - begin:.0f} s", flush=True)
    finally:
        lab.close()
    return results, failures


def one_block(lab, kind, group, options, number, results, failures):
    load = os.getloadavg()[0]
    try:
        # Closing stops the switches after any outcome.
        with contextlib.closing(options.suite.measure(lab, kind, group, options)) as block:
            for result in block:
                lost = f"  LOST {result['lost']}" if result.get("lost") else ""
                print(f"  {number + 1}  {result['row']:30} {kind.name:7} {result['value']:8.3f} {result['unit']}{lost}",
                      flush=True)
                results.append(dict(result, round=number, switch=kind.name, load=load))
    except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
        print(f"  {number + 1}  {group:30} {kind.name:7} FAILED: {error}", file=sys.stderr, flush=True)
        failures.append({"round": number, "group": group, "switch": kind.name, "error": str(error)})


def favour():
    """Raises the priority of this session: sessions share the CPUs by the nice values of their autogroups."""
    if os.getpid() != os.getsid(0):
        try:
            os.setsid()
        except PermissionError:  # the leader of a process group cannot; run again in a child
            os.execvp("setsid", ["setsid", "--wait", sys.executable, *sys.argv])
    with open("/proc/self/autogroup", "w") as file:
        file.write("-15")
    os.nice(-15)


def main():
    options = parse()
    if os.geteuid() != 0:
        sys.exit("tools/bench: namespaces and XDP need root: sudo tools/bench")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.favour:
        favour()
    if any(issubclass(kind, OpenVSwitch) for kind in options.kinds):
        OpenVSwitch.fetch()
    results, failures = collect(options)
    suite = options.suite
    names = [kind.name for kind in options.kinds]
    ratios = [pair for pair in suite.ratios if set(pair) <= set(names)]
    table = report.summarize(results, ratios)
    text = report.markdown(table, names, ratios, suite.ranges)
    path = report.save(options, results, failures, table, text)
    lost = sum(max(0, r.get("lost", 0)) for r in results)
    sent = sum(r.get("sent", 0) for r in results if "lost" in r)
    print(f"\n{text}\n\nframes sent {sent}, lost {lost}; medians of {options.rounds} rounds; "
          f"details: {path.relative_to(ROOT)}")
    for failure in failures:
        print(f"failed: {failure['group']} {failure['switch']} round {failure['round'] + 1}: {failure['error']}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
