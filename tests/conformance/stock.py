# SPDX-License-Identifier: Apache-2.0
"""Programs of other projects, unpacked from Debian's packages to build/peer; none is installed or started.

    python3 tests/conformance/stock.py    # fetches the clients, for a machine without network later
"""
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import SOURCE
from net import Failure, run

PEER = SOURCE / "build/peer"
PACKAGES = ("openvswitch-common", "openvswitch-switch")


def apt(*argv, where=None):
    """The output of apt-get. A Failure has its error."""
    def ask():
        return subprocess.run(["apt-get", *argv], cwd=where, capture_output=True, text=True, check=False)
    done = ask()
    if done.returncode != 0:  # no package lists yet, or older than the archive
        run("apt-get", "update", check=False, timeout=300)
        done = ask()
    if done.returncode != 0:
        raise Failure(f"`apt-get {' '.join(argv)}` failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    return done.stdout


def download(where, packages):
    """Downloads packages and unpacks them to `where`/root."""
    apt("download", *packages, where=where)
    root = Path(where) / "root"
    for deb in Path(where).glob("*.deb"):
        run("dpkg", "-x", deb, root)
    for d in ("bin", "sbin", "lib"):  # Debian 12 has these in /usr, its packages not always
        if (root / d).exists():
            (root / "usr" / d).mkdir(parents=True, exist_ok=True)
            run("cp", "-a", f"{root}/{d}/.", root / "usr" / d)


def with_what_they_need(packages):
    """`packages` and their dependencies that are not installed on this machine."""
    planned = apt("install", "--simulate", "--no-install-recommends", *packages)
    return re.findall(r"^Inst (\S+) \(", planned, re.M)  # "Inst NAME [OLD] (NEW" is installed in an older version


def unpack(name, packages, alone=False):
    """The root directory of the packages and, unless `alone`, of their missing dependencies, in build/peer/`name`.
    Created on first use, completely or not at all."""
    target = PEER / name
    if not target.exists():
        PEER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PEER) as work:
            os.mkdir(f"{work}/root")
            if missing := list(packages) if alone else with_what_they_need(packages):
                download(work, missing)
            with contextlib.suppress(OSError):  # another run was faster
                os.rename(f"{work}/root", target)
    return target


def fetch():
    """Directory of Open vSwitch's clients."""
    return unpack("root", PACKAGES, alone=True) / "usr/bin"


if __name__ == "__main__":
    try:
        fetch()
    except Failure as e:
        sys.exit(f"tests/conformance/stock.py: {e}")
