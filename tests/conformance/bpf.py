# SPDX-License-Identifier: Apache-2.0
"""BPF programs of other software for tests, loaded and pinned by bpf(2), and the programs at a device's TC hooks.

Source: linux/bpf.h. Debian 12's bpftool does not support tcx, so bpf(2) is called directly.
"""
import ctypes
import errno
import os
import platform
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
_PROG_LOAD, _OBJ_PIN, _PROG_QUERY = 5, 6, 16
_TYPE_XDP = 6
_TCX_INGRESS, _TCX_EGRESS = 46, 47


def _bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = _libc.syscall(_SYSCALL, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return result, buffer.raw


def tc_programs(namespace, device):
    """The number of BPF programs at the device's TC hooks, attached by tcx or as filters of clsact."""
    count = 0
    with namespace.entered():
        index = int(namespace.ip(f"-o link show {device}").split(":")[0])
        for hook in (_TCX_INGRESS, _TCX_EGRESS):
            try:
                _, answer = _bpf(_PROG_QUERY, struct.pack("=IIIIQI", index, hook, 0, 0, 0, 0))
                count += struct.unpack_from("=I", answer, 24)[0]
            except OSError as e:
                if e.errno not in (errno.EINVAL, errno.ENOENT):  # a kernel without tcx; a device without programs
                    raise
    for hook in ("ingress", "egress"):
        shown = namespace.run("tc", "filter", "show", "dev", device, hook, check=False).stdout
        count += sum(" bpf " in line and " handle " in line for line in shown.splitlines())
    return count


def pin_xdp(path, dropped_type):
    """Pins an XDP program that drops frames of the EtherType and passes all others."""
    def op(code, dst=0, src=0, offset=0, value=0):
        return struct.pack("=BBhi", code, src << 4 | dst, offset, value)
    wanted = struct.unpack("=H", struct.pack("!H", dropped_type))[0]
    code = b"".join([
        op(0x61, 2, 1, 0),             # r2 = ctx->data
        op(0x61, 3, 1, 4),             # r3 = ctx->data_end
        op(0xB7, 0, value=2),          # r0 = XDP_PASS
        op(0xBF, 4, 2),                # r4 = r2
        op(0x07, 4, value=14),         # r4 += 14
        op(0x2D, 4, 3, 3),             # if r4 > r3 goto exit
        op(0x69, 2, 2, 12),            # r2 = EtherType in network order
        op(0x55, 2, 0, 1, wanted),     # if r2 != wanted goto exit
        op(0xB7, 0, value=1),          # r0 = XDP_DROP
        op(0x95)])
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    load = struct.pack("=IIQQ", _TYPE_XDP, len(code) // 8, ctypes.addressof(instructions), ctypes.addressof(licence))
    program, _ = _bpf(_PROG_LOAD, load)
    name = ctypes.create_string_buffer(os.fsencode(path))
    try:
        _bpf(_OBJ_PIN, struct.pack("=QI", ctypes.addressof(name), program))
    finally:
        os.close(program)
