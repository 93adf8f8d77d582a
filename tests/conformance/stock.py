"""Other people's programs, unpacked from Debian's packages to build/peer; nothing is installed, and nothing started.

    python3 tests/conformance/stock.py    # fetches the clients, for a machine that cannot do it later
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


def download(where, packages):
    """Downloads and unpacks to `where`/root. A Failure says what is in the way."""
    fetched = subprocess.run(["apt-get", "download", *packages], cwd=where, capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        raise Failure(f"cannot fetch Debian's {' and '.join(packages)}: {fetched.stderr.strip().splitlines()[-1:]}")
    for deb in Path(where).glob("*.deb"):
        run("dpkg", "-x", deb, Path(where) / "root")


def fetch():
    """Directory of the clients, fetched on first use. A Failure says what is in the way."""
    root = PEER / "root"
    if not (root / "usr/bin/ovs-vsctl").exists():
        PEER.mkdir(parents=True, exist_ok=True)
        download(PEER, PACKAGES)
    return root / "usr/bin"


def with_what_they_need(packages):
    """`packages` and those they depend on, as far as this machine has them not."""
    planned = subprocess.run(["apt-get", "install", "--simulate", "--no-install-recommends", *packages], capture_output=True,
                             text=True, check=False)
    if planned.returncode != 0:
        raise Failure(f"apt-get knows no way to {' and '.join(packages)}: {planned.stderr.strip().splitlines()[-1:]}")
    return re.findall(r"^Inst (\S+) \(", planned.stdout, re.M)  # "Inst NAME [OLD] (NEW" is there, and older


def unpack(name, packages):
    """Root directory of the packages and of what they need beyond this machine's, in build/peer/`name`: made on first use,
    whole or not at all."""
    target = PEER / name
    if not target.exists():
        PEER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PEER) as work:
            os.mkdir(f"{work}/root")
            if missing := with_what_they_need(packages):
                download(work, missing)
            with contextlib.suppress(OSError):  # another run was faster
                os.rename(f"{work}/root", target)
    return target


if __name__ == "__main__":
    try:
        fetch()
    except Failure as e:
        sys.exit(f"tests/conformance/stock.py: {e}")
