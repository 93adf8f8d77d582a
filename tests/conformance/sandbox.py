# SPDX-License-Identifier: Apache-2.0
"""A sandbox for programs of other projects on a host of the lab: the host's network namespace, the host's name as host
name, and a mount namespace in which their packages (unpacked by stock.py, not installed) overlay this machine's
directories and Heddle replaces Open vSwitch.

/usr, /etc and /var are overlays of this machine's directories, the packages' and a tmpfs; /run is empty except for
/run/vswitch, the host's. `ovs-vsctl` is vsctl under that name, behind a shell script that logs each call. Files that
the programs write are removed with the last program, except below the lab's directory.
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
# One write after each call; every word ends in a NUL.
WRAPPER = r"""#!/bin/bash
{work}/heddle/ovs-vsctl "$@"
status=$?
{{ printf '%s\0' $status "$@"; echo; }} >>{calls}
exit $status
"""


class Sandbox:
    def __init__(self, host, name, *roots):
        """`roots`: root directories of packages from stock.unpack(); earlier roots hide files of later ones."""
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
        """A command that sets up a sandbox and runs the sh script in it. Each command has its own sandbox."""
        return ["ip", "netns", "exec", self.host.ns.name, "unshare", "--mount", "--uts", "sh", "-c", self._set_up + script]

    def run(self, script, **kw):
        return run(*self.argv(script), **kw)

    def calls(self):
        """The calls of ovs-vsctl so far: [(exit status, [arguments])]."""
        lines = [line.split("\0")[:-1] for line in self._calls.read_text().splitlines()]
        return [(int(status), argv) for status, *argv in lines]
