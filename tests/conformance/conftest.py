# SPDX-License-Identifier: Apache-2.0
"""pytest set-up: the datapath parameter, the `lab` fixture, logs of failed tests.

    sudo /usr/bin/python3 -m pytest tests/conformance [--datapath kernel] [-k switching]
"""
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import lab as laboratory  # noqa: E402
from peers import keys, library, stock, twins  # noqa: E402, F401  (fixtures)

LOGS = laboratory.SOURCE / "build/conformance"


def pytest_addoption(parser):
    parser.addoption("--datapath", action="append", choices=sorted(laboratory.DATAPATHS),
                     help="datapath to test; may be given more than once (default: $HEDDLE_DATAPATHS, comma separated, or"
                          " all)")


def chosen_datapaths(config):
    chosen = config.getoption("datapath") or list(filter(None, os.environ.get("HEDDLE_DATAPATHS", "").split(",")))
    for name in chosen:
        if name not in laboratory.DATAPATHS:
            raise pytest.UsageError(f"HEDDLE_DATAPATHS: {name!r} is not one of {', '.join(laboratory.DATAPATHS)}")
    # Interned: pytest keeps module fixtures only while the parameter is the same object.
    return [sys.intern(name) for name in chosen] or sorted(laboratory.DATAPATHS)


def pytest_generate_tests(metafunc):
    """A file with ABOVE_DATAPATH = True tests code that is the same above either datapath: it runs once, unless a datapath
    is named, or HEDDLE_WHOLE is set as by tools/test --all."""
    if "datapath" not in metafunc.fixturenames:
        return
    datapaths = chosen_datapaths(metafunc.config)
    named = metafunc.config.getoption("datapath") or os.environ.get("HEDDLE_WHOLE")
    if getattr(metafunc.module, "ABOVE_DATAPATH", False) and not named:
        datapaths = datapaths[:1]
    metafunc.parametrize("datapath", datapaths, scope="module")


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the conformance tests make network namespaces: run them as root (sudo)", returncode=4)
    for program in ("vswitchd", "vsctl"):
        if not (laboratory.BIN / program).exists():
            pytest.exit(f"{laboratory.BIN / program} is missing: build it"
                        " (cmake --preset release && cmake --build build/release) or set HEDDLE_BIN", returncode=4)
    laboratory.remove_left_overs()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # to tear down fixtures


def pytest_sessionfinish(session):
    laboratory.remove_own()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.failed = True
        shared = getattr(item.getparent(pytest.Module), "shared_lab", None)
        for lab in getattr(item, "labs", []) + ([shared] if shared else []):
            where = LOGS / item.name.replace("/", "_")
            report.sections.append(("daemon logs", lab.keep_logs(where)))


@pytest.fixture
def lab(request, datapath, tmp_path):
    """A laboratory for this test alone."""
    made = laboratory.Lab(tmp_path, datapath)
    request.node.labs = [made]
    yield made
    made.close(check=not getattr(request.node, "failed", False))


@pytest.fixture
def bridged(lab):
    """A running switch with the bridge br0."""
    host = lab.host("h").start()
    host.add_br("br0")
    return host


@pytest.fixture
def pair(bridged):
    """Two guests on the switch's ports vm1 and vm2, whose addresses are learned."""
    guests = bridged.guest("br0", "vm1", "10.0.0.1/24"), bridged.guest("br0", "vm2", "10.0.0.2/24")
    laboratory.settle(bridged, "br0", guests)
    laboratory.make_known(bridged, *guests)
    return guests


@pytest.fixture
def outliving(lab):
    """The same, for a datapath that forwards without a daemon."""
    lab.needs("outlive its daemon")
    return lab


@pytest.fixture
def in_kernel(lab):
    """The same, for tests of the kernel datapath only."""
    lab.needs("leave frames to the kernel")
    return lab


@pytest.fixture(scope="module")
def shared_lab(request, datapath, tmp_path_factory):
    """A laboratory shared by all tests of a file, which must restore its state."""
    made = request.node.shared_lab = laboratory.Lab(tmp_path_factory.mktemp("lab"), datapath)
    yield made
    made.close()
