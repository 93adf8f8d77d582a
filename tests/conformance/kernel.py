# SPDX-License-Identifier: Apache-2.0
"""What the running kernel can do, asked of the kernel and not of the switch: a test may rest on that for a skip or a remedy."""
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
    """XDP programs learn of a VLAN tag that the kernel keeps beside the frame (Linux 6.8, xdp-rx-metadata.rst)."""
    return "bpf_xdp_metadata_rx_vlan_tag" in Path("/proc/kallsyms").read_text(encoding="ascii")


@cache
def takes_frames_in_pieces():
    """AF_XDP carries frames larger than a buffer (Linux 6.6, af_xdp.rst: XDP_USE_SG). An older kernel refuses the flag before it
    looks at anything else; a newer one misses the device, which is not given."""
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


def need_frames_in_pieces(lab):
    """Skips a test with frames above 3.8 kB where AF_XDP does not carry them."""
    if lab.datapath_type == "user" and not takes_frames_in_pieces():
        pytest.skip("AF_XDP takes frames larger than 3.8 kB from Linux 6.6 on (docs/operations.md)")
