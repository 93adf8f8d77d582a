"""Debian's Open vSwitch clients, unpacked from their packages to build/peer; nothing is installed.

    python3 tests/conformance/stock.py    # fetches them, for a machine that cannot do it later
"""
import subprocess
import sys

from lab import SOURCE
from net import Failure, run

PEER = SOURCE / "build/peer"
PACKAGES = ("openvswitch-common", "openvswitch-switch")


def fetch():
    """Directory of the clients, fetched on first use. A Failure says what is in the way."""
    root = PEER / "root"
    if not (root / "usr/bin/ovs-vsctl").exists():
        PEER.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(["apt-get", "download", *PACKAGES], cwd=PEER, capture_output=True, text=True, check=False)
        if fetched.returncode != 0:
            raise Failure(f"cannot fetch Debian's {' and '.join(PACKAGES)}: {fetched.stderr.strip().splitlines()[-1:]}")
        for deb in PEER.glob("openvswitch-*.deb"):
            run("dpkg", "-x", deb, root)
    return root / "usr/bin"


if __name__ == "__main__":
    try:
        fetch()
    except Failure as e:
        sys.exit(f"tests/conformance/stock.py: {e}")
