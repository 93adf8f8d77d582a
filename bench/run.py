#!/usr/bin/python3
"""Compares Heddle's user-space datapath with Debian's Open vSwitch and with a bare AF_XDP forwarder. See
docs/performance.md; tools/bench builds what this needs and starts it. Needs root."""

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import statistics
import sys
import time

import rows
import switches
from lab import Lab
from switches import ALL, ROOT, OpenVSwitch

RATIOS = (("heddle", "ovs"), ("heddle", "floor"), ("ovs", "floor"))
START_SECONDS = {"heddle": 1.0, "ovs": 2.5, "floor": 0.5, "bridge": 0.5}


def parse():
    p = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    p.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    p.add_argument("--seconds", type=float, default=1.5, help="measured time of each cell (default 1.5)")
    p.add_argument("--only", default=",".join(rows.GROUPS), help=f"of: {','.join(rows.GROUPS)}")
    p.add_argument("--switches", default=",".join(ALL), help=f"of: {','.join(ALL)}")
    p.add_argument("--sizes", default=",".join(map(str, rows.SIZES)), help="bytes of a frame")
    p.add_argument("--flows", default=",".join(map(str, rows.FLOWS)), help="numbers of flows")
    p.add_argument("--quick", action="store_true", help="one short round, 64-byte frames, fewest and most flows")
    p.add_argument("--sink", choices=("xdp", "tc"), default="xdp",
                   help="the far guest counts frames at XDP (default), or takes them as skbs and counts at tc ingress")
    p.add_argument("--favour", action="store_true", help="run before other work on this machine (nice -15)")
    p.add_argument("--build", default="build/release", help="build directory (default build/release)")
    options = p.parse_args()
    switches.BIN = ROOT / options.build / "bin"
    options.groups = [g for g in rows.GROUPS if g in options.only.split(",")]
    options.kinds = [ALL[name] for name in ALL if name in options.switches.split(",")]
    options.sizes = [int(size) for size in options.sizes.split(",")]
    options.flows = [int(flows) for flows in options.flows.split(",")]
    if options.quick:
        options.rounds, options.seconds = 1, 0.7
        options.sizes, options.flows = options.sizes[:1], [options.flows[0], options.flows[-1]]
    if not options.groups or not options.kinds or options.rounds < 1:
        p.error("nothing to measure")
    return options


def estimate(options):
    """Seconds, about."""
    total = 0
    cells = len(options.sizes) * len(options.flows)
    for group in options.groups:
        for kind in options.kinds:
            hosts = len((rows.RATES | rows.TCP).get(group, (("h1",),))[0])
            total += START_SECONDS[kind.name] * hosts
            if group in rows.RATES:
                total += cells * (options.seconds + 1.3)
            elif group in rows.TCP:
                total += len(rows.STREAMS) * (max(2, options.seconds) + 0.7)
            elif kind.name in ("heddle", "ovs"):
                total += 8
    return total * options.rounds


def collect(options):
    results, failures = [], []
    print(f"about {estimate(options) / 60:.0f} minutes; load now {os.getloadavg()[0]:.1f}", flush=True)
    begin = time.monotonic()
    lab = Lab()
    try:
        for number in range(options.rounds):
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
        with contextlib.closing(rows.measure(lab, kind, group, options)) as block:  # stops the switches, come what may
            for result in block:
                lost = f"  LOST {result['lost']}" if result.get("lost") else ""
                print(f"  {number + 1}  {result['row']:30} {kind.name:7} {result['value']:8.3f} {result['unit']}{lost}",
                      flush=True)
                results.append(dict(result, round=number, switch=kind.name, load=load))
    except (RuntimeError, ValueError) as error:
        print(f"  {number + 1}  {group:30} {kind.name:7} FAILED: {error}", file=sys.stderr, flush=True)
        failures.append({"round": number, "group": group, "switch": kind.name, "error": str(error)})


def summarize(results):
    """Per row: each switch's median, and medians of the ratios within a round."""
    table = {}
    for result in results:
        row = table.setdefault(result["row"], {"unit": result["unit"], "values": {}})
        row["values"].setdefault(result["switch"], {})[result["round"]] = result["value"]
    for row in table.values():
        row["medians"] = {name: statistics.median(by_round.values()) for name, by_round in row["values"].items()}
        row["ratios"] = {}
        for above, below in RATIOS:
            pairs = [(row["values"].get(above, {}).get(r), v) for r, v in row["values"].get(below, {}).items()]
            quotients = [a / b for a, b in pairs if a is not None and b > 0]
            if quotients:
                row["ratios"][f"{above}/{below}"] = statistics.median(quotients)
    return table


def markdown(table, names):
    heads = ["row", "unit", *names, *(f"{a}/{b}" for a, b in RATIOS)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * 2 + "---:|" * (len(heads) - 2)]
    for name, row in table.items():
        cells = [name, row["unit"]]
        cells += [f"{row['medians'][n]:.3f}" if n in row["medians"] else "" for n in names]
        cells += [f"{row['ratios'][r]:.2f}" if r in row["ratios"] else "" for r in (f"{a}/{b}" for a, b in RATIOS)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def save(options, results, failures, table):
    directory = ROOT / "build" / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = directory / f"{now}.json"
    machine = {"kernel": platform.release(), "cpus": os.cpu_count()}
    document = {"machine": machine, "rounds": options.rounds, "seconds": options.seconds, "table": table,
                "results": results, "failures": failures}
    path.write_text(json.dumps(document, indent=1))
    path.with_suffix(".md").write_text(markdown(table, [kind.name for kind in options.kinds]) + "\n")
    return path


def favour():
    """Compilers next door are a session of their own, and a session's share of the CPUs is its autogroup's."""
    if os.getpid() != os.getsid(0):
        try:
            os.setsid()
        except PermissionError:  # a process group's leader cannot: begin again as its child
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
    if OpenVSwitch in options.kinds:
        OpenVSwitch.fetch()
    results, failures = collect(options)
    table = summarize(results)
    lost = sum(max(0, r.get("lost", 0)) for r in results)
    sent = sum(r.get("sent", 0) for r in results)
    print("\n" + markdown(table, [kind.name for kind in options.kinds]))
    print(f"\nframes sent {sent}, lost {lost}; medians of {options.rounds} rounds; "
          f"details: {save(options, results, failures, table).relative_to(ROOT)}")
    for failure in failures:
        print(f"failed: {failure['group']} {failure['switch']} round {failure['round'] + 1}: {failure['error']}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
