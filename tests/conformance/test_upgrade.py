# SPDX-License-Identifier: Apache-2.0
"""Upgrade and downgrade between daemons whose pinned maps differ, under a stream of 1,000 packets a second. The other
daemons are builds for this test alone: cmake/LayoutVariants.cmake."""
import itertools

import pytest
from lab import BIN
from lives import Stream, known, restart_under

RATE = 1000


def variant(name):
    program = BIN / f"vswitchd_{name}"
    if not program.exists():
        pytest.skip(f"{program.name} is not built here (targets vswitchd_additive, vswitchd_other_layout)")
    return program


@pytest.fixture
def pair(outliving):
    host = outliving.host("h").start()
    host.add_br("br0")
    guests = host.guest("br0", "vm1", "10.0.0.1/24"), host.guest("br0", "vm2", "10.0.0.2/24")
    known(*guests)
    return guests


def gap(lost):
    """Milliseconds of the longest run of lost packets."""
    runs = (len(list(run)) for _, run in itertools.groupby(enumerate(lost), lambda item: item[1] - item[0]))
    return 1000 * max(runs, default=0) / RATE


def pins(host):
    return {p.name for p in host.bpffs.glob("*/layout-*/*")}


def test_one_map_more_and_back(pair):
    host = pair[0].host
    newer = variant("additive")
    assert "addition" not in pins(host)
    with Stream(*pair, rate=RATE) as stream:
        for _ in range(3):
            restart_under(stream, host, times=1, program=newer)
            assert "addition" in pins(host), "the newer daemon made its map"
            restart_under(stream, host, times=1)
            assert "addition" not in pins(host), "the older one leaves nothing that it cannot keep up"
    stream.unharmed()
    assert "another layout" not in host.log_tail(1000)


def test_another_layout_and_back(pair, record_property):
    host = pair[0].host
    newer = variant("other_layout")
    with Stream(*pair, rate=RATE) as stream:
        for _ in range(3):
            restart_under(stream, host, times=1, program=newer)
            restart_under(stream, host, times=1)
    lost = stream.lost()
    print(f"\nanother layout, six changes: {len(lost)} of {stream.sent} packets lost, longest gap {gap(lost):.0f} ms")
    record_property("lost", len(lost))
    layouts = {p.parent.name for p in host.bpffs.glob("*/layout-*/names")}
    assert len(layouts) == 1, layouts
    pair[0].reaches("10.0.0.2")
    assert len(lost) < stream.sent / 2, "forwarding went on between the changes"
