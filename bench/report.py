# SPDX-License-Identifier: Apache-2.0
"""Makes tables of the results, and writes both to files."""

import datetime
import json
import os
import platform
import statistics

from switches import ROOT


def summarize(results, ratios):
    """Per row: each switch's median and range, and medians of the ratios within a round. Where less is better the ratio
    is inverted, so that above 1 always favours the first switch."""
    table = {}
    for result in results:
        row = table.setdefault(result["row"], {"unit": result["unit"], "values": {}, "ratios": {},
                                               "lower_is_better": result.get("lower_is_better", False)})
        row["values"].setdefault(result["switch"], {})[result["round"]] = result["value"]
    for row in table.values():
        row["medians"] = {name: statistics.median(by_round.values()) for name, by_round in row["values"].items()}
        row["ranges"] = {name: (min(v.values()), max(v.values())) for name, v in row["values"].items()}
        for first, second in ratios:
            above, below = (second, first) if row["lower_is_better"] else (first, second)
            pairs = [(row["values"].get(above, {}).get(r), v) for r, v in row["values"].get(below, {}).items()]
            quotients = [a / b for a, b in pairs if a is not None and b > 0]
            if quotients:
                row["ratios"][f"{first}/{second}"] = statistics.median(quotients)
    return table


def figure(value):
    """Up to three decimals for small numbers."""
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def cell(row, name, ranges):
    if name not in row["medians"]:
        return ""
    if not ranges:
        return f"{row['medians'][name]:.3f}"
    low, high = row["ranges"][name]
    return f"{figure(row['medians'][name])} ({figure(low)} to {figure(high)})"


def markdown(table, names, ratios, ranges):
    heads = ["row", "unit", *names, *(f"{a}/{b}" for a, b in ratios)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * 2 + "---:|" * (len(heads) - 2)]
    for name, row in table.items():
        unit = row["unit"] + (", less is better" if row["lower_is_better"] else "")
        cells = [name, unit, *(cell(row, n, ranges) for n in names)]
        cells += [f"{row['ratios'][r]:.2f}" if r in row["ratios"] else "" for r in (f"{a}/{b}" for a, b in ratios)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def save(options, results, failures, table, text):
    directory = ROOT / "build" / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = directory / f"{now}.json"
    machine = {"kernel": platform.release(), "cpus": os.cpu_count()}
    document = {"machine": machine, "suite": options.suite.name, "rounds": options.rounds, "seconds": options.seconds,
                "table": table, "results": results, "failures": failures}
    path.write_text(json.dumps(document, indent=1))
    path.with_suffix(".md").write_text(text + "\n")
    return path
