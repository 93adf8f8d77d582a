# SPDX-License-Identifier: Apache-2.0
"""The systemd unit beside units that are ordered as those of Debian's ifupdown and cloud-init: no cycle, nothing unknown."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = (ROOT / "vswitchd/vswitchd.service.in").read_text().replace("@CMAKE_INSTALL_FULL_SBINDIR@/vswitchd", "/bin/true")
ONESHOT = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
# The order of these is theirs; what they do is not of interest here.
OTHERS = {
    "networking.service": ("Wants=network.target\nAfter=local-fs.target network-pre.target\n"
                           "Before=network.target shutdown.target network-online.target\n"),
    "systemd-networkd.service": "After=network-pre.target systemd-sysctl.service\nBefore=network.target shutdown.target\n",
    "cloud-init-local.service": "Wants=network-pre.target\nBefore=network-pre.target sysinit.target shutdown.target\n",
    "cloud-init.service": ("Wants=cloud-init-local.service networking.service\nAfter=cloud-init-local.service networking.service\n"
                           "Before=network-online.target sysinit.target shutdown.target\n"),
    "nftables.service": "Wants=network-pre.target\nBefore=network-pre.target shutdown.target\n",
}


@pytest.fixture
def verify(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    for name, order in OTHERS.items():
        (tmp_path / name).write_text(f"[Unit]\nDefaultDependencies=no\nConflicts=shutdown.target\n{order}{ONESHOT}")
    wanted = " ".join(["vswitchd.service", *OTHERS])
    (tmp_path / "boot.target").write_text(f"[Unit]\nRequires=multi-user.target\nWants={wanted}\nAfter=vswitchd.service\n")

    def run(unit):
        (tmp_path / "vswitchd.service").write_text(unit)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "boot.target"], capture_output=True, text=True,
                              env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, timeout=60)
        return [line for line in done.stderr.splitlines() if any(n in line for n in ("vswitchd", "cycle", *OTHERS))]
    return run


def test_no_cycle_with_what_configures_the_network(verify):
    assert verify(UNIT) == []


def test_default_dependencies_would_be_a_cycle(verify):
    found = verify(UNIT.replace("DefaultDependencies=no\n", ""))
    assert any("ordering cycle" in line for line in found), found


def test_a_setting_that_systemd_does_not_know_is_seen(verify):
    assert verify(UNIT.replace("[Service]\n", "[Service]\nRestartAlways=yes\n")) != []
