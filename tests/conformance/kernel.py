# SPDX-License-Identifier: Apache-2.0
"""Features of the running kernel, read from the kernel and not from the switch, for skips and workarounds in tests."""
import ctypes
import errno
import os
import socket
import struct
from functools import cache
from pathlib import Path

import pytest


@cache
def tells_vlan_tags():
    """XDP programs can read a VLAN tag in the packet's metadata (Linux 6.8, xdp-rx-metadata.rst)."""
    return "bpf_xdp_metadata_rx_vlan_tag" in Path("/proc/kallsyms").read_text(encoding="ascii")


@cache
def takes_frames_in_pieces():
    """AF_XDP carries frames larger than a buffer (Linux 6.6, af_xdp.rst: XDP_USE_SG). An older kernel refuses the flag
    first; a newer kernel refuses the missing device."""
    family, use_sg = 44, 1 << 4  # AF_XDP; linux/if_xdp.h
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.socket(family, socket.SOCK_RAW, 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "AF_XDP socket")
    try:
        libc.bind(fd, struct.pack("=HHIII", family, use_sg, 0, 0, 0), 16)
        return ctypes.get_errno() != errno.EINVAL
    finally:
        os.close(fd)


def need_open_vxlan_header(lab):
    """Skips a test with reserved bits in the VXLAN header when the kernel's vxlan device drops such packets."""
    version = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if lab.datapath_type == "kernel" and version < (6, 14):
        pytest.skip("the kernel's vxlan device ignores reserved bits from Linux 6.14 on (docs/operations.md)")


def need_frames_in_pieces(lab):
    """Skips a test with frames above 3.8 kB when AF_XDP does not carry them."""
    if lab.datapath_type == "user" and not takes_frames_in_pieces():
        pytest.skip("AF_XDP takes frames larger than 3.8 kB from Linux 6.6 on (docs/operations.md)")
