# SPDX-License-Identifier: Apache-2.0
"""A place for other people's programs on a host of the lab: its network namespace, its name for a host name, and a mount namespace
in which their packages (unpacked by stock.py, not installed) lie over this machine's directories and Heddle has Open vSwitch's
place.

/usr, /etc and /var are this machine's, the packages' over them and a tmpfs on top; /run is empty but for /run/vswitch, the
host's. `ovs-vsctl` is vsctl under that name, behind a line of shell that notes each call. All that the programs write is gone
with the last of them, but for what they write below the lab's directory.
"""
import shlex

from lab import BIN
from net import run

SET_UP = r"""
set -e
hostname {host}
mount -t tmpfs heddle {work}
for d in usr etc var; do
  lower=
  for root in {roots}; do [ ! -d "$root/$d" ] || lower=$lower$root/$d:; done
  mkdir {work}/$d {work}/$d.work
  mount -t overlay heddle -o "lowerdir=$lower/$d,upperdir={work}/$d,workdir={work}/$d.work" /$d
done
mount -t tmpfs heddle /run
mkdir /run/vswitch {work}/heddle
mount --bind {rundir} /run/vswitch
ln -s {bin}/vsctl {work}/heddle/ovs-vsctl
rm -f /usr/bin/ovs-vsctl
cp {wrapper} /usr/bin/ovs-vsctl
"""
# One write for each call, after it; a NUL behind each word.
WRAPPER = r"""#!/bin/bash
{work}/heddle/ovs-vsctl "$@"
status=$?
{{ printf '%s\0' $status "$@"; echo; }} >>{calls}
exit $status
"""


class Sandbox:
    def __init__(self, host, name, *roots):
        """`roots`: of packages, as stock.unpack() gives them; what is in the first hides what is in the next."""
        self.host = host
        self.dir = host.dir / name
        work, wrapper = self.dir / "work", self.dir / "ovs-vsctl"
        work.mkdir(parents=True)
        self._calls = self.dir / "calls"
        self._calls.touch()
        wrapper.write_text(WRAPPER.format(work=work, calls=self._calls))
        wrapper.chmod(0o755)
        self._set_up = SET_UP.format(host=host.ns.name, work=work, roots=shlex.join(map(str, roots)), rundir=host.rundir, bin=BIN,
                                     wrapper=wrapper)

    def argv(self, script):
        """The command that sets the place up and runs `script`, of sh, there. Each such command has a place of its own."""
        return ["ip", "netns", "exec", self.host.ns.name, "unshare", "--mount", "--uts", "sh", "-c", self._set_up + script]

    def run(self, script, **kw):
        return run(*self.argv(script), **kw)

    def calls(self):
        """What ovs-vsctl was asked so far: [(exit status, [arguments])]."""
        lines = [line.split("\0")[:-1] for line in self._calls.read_text().splitlines()]
        return [(int(status), argv) for status, *argv in lines]
