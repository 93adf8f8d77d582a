# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel, unpacked and not installed, and initial RAM disks, for the guests of the tests.

The kernel is from the package to which linux-image-cloud-amd64 refers (in build/vm; remove that to get a newer one).
"""
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

STORE = Path(__file__).resolve().parents[2] / "build/vm"
PACKAGE = "linux-image-cloud-amd64"


class Failure(Exception):
    """The guest cannot be started; the text has the reason and the remedy."""


def output(*argv, **kw):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, **kw)
    if done.returncode != 0:
        raise Failure(f"`{' '.join(map(str, argv))}` exited with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def fetch(target):
    """Unpacks the kernel package to `target`, completely or not at all."""
    def download(where):
        found = re.search(r"Depends: (linux-image-\S+)", output("apt-cache", "depends", PACKAGE))
        if not found:
            raise Failure(f"apt-cache knows no kernel behind {PACKAGE}: this needs Debian's package lists")
        output("apt-get", "download", found.group(1), cwd=where)

    STORE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORE) as tmp:
        try:
            download(tmp)
        except Failure:  # no package lists yet, or older than the archive
            output("apt-get", "update")
            download(tmp)
        output("dpkg", "-x", next(Path(tmp).glob("*.deb")), f"{tmp}/kernel")
        version = next(Path(tmp).glob("kernel/lib/modules/*")).name
        output("depmod", "-b", f"{tmp}/kernel", version)
        with contextlib.suppress(OSError):  # another run was faster
            os.rename(f"{tmp}/kernel", target)


def kernel():
    """(directory of the unpacked package, kernel version)"""
    directory = STORE / "kernel"
    if not directory.exists():
        fetch(directory)
    return directory, next(directory.glob("lib/modules/*")).name


def kernel_image(directory):
    return next(directory.glob("boot/vmlinuz-*"))


def initramfs(work, directory, version, init, modules, files=None, directories=()):
    """Makes an archive below `work`: Busybox, the modules (below /modules, named in their load order), `init`, further
    `files` {name: text} and empty directories."""
    root = work / "initramfs"
    for d in ("bin", "dev", "proc", "sys", "modules", *directories):
        (root / d).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if not busybox:
        raise Failure("busybox is missing: sudo tools/deps test")
    shutil.copy(busybox, root / "bin")
    shutil.copy(init, root / "init")
    for name, text in (files or {}).items():
        (root / name).write_text(text)
    order = []
    for module in modules:
        for line in output("modprobe", "-d", directory, "-S", version, "--show-depends", module).splitlines():
            path = line.removeprefix("insmod ").strip()  # built-in ones print "builtin"
            if path.startswith("/") and path not in order:
                order.append(path)
    for n, path in enumerate(order):
        shutil.copy(path, root / f"modules/{n:02}-{os.path.basename(path)}")
    names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
    with open(work / "initramfs.cpio", "wb") as archive:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(), stdout=archive, check=True)
    return work / "initramfs.cpio"
