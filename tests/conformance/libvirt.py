# SPDX-License-Identifier: Apache-2.0
"""libvirt on a host of the lab: Debian's daemon and virsh, unpacked and not installed, and the guests that it
starts."""
import shlex
import subprocess
import sys
import uuid
from pathlib import Path
from xml.sax.saxutils import quoteattr

from lab import SOURCE
from net import TIME_SCALE, Failure, run, wait_until
from sandbox import Sandbox
from stock import unpack

sys.path.append(str(SOURCE / "tests/vm"))
import image  # noqa: E402

PACKAGES = ("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients")
GUEST_INIT = Path(__file__).with_name("libvirt_guest_init")
GUEST_MODULES = ("virtio_pci", "virtio_net")

# Only the QEMU driver: the others would search networks, storage and devices of this machine. At its start the daemon
# queries every emulator's capabilities, and dmidecode about this machine.
SET_UP = r"""
find /usr/lib/*/libvirt/connection-driver -name '*.so' ! -name '*_qemu.so' -delete
rm -f /usr/bin/qemu-system-i386 /usr/sbin/dmidecode
echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
echo 'libvirt-qemu:x:64055:' >>/etc/group
cp {conf}/*.conf /etc/libvirt/
exec libvirtd
"""
QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
"""
LIBVIRTD_CONF = """
auth_unix_rw = "none"
host_uuid = "{uuid}"
unix_sock_dir = "{dir}"
log_outputs = "2:file:{log}"
"""


def packages():
    """The directory of the programs. A Failure has the reason why they are missing."""
    return unpack("libvirt", PACKAGES)


class Libvirt:
    """A running libvirtd on `host`. close() ends the daemon and its guests, and raises a Failure for a failed call of
    ovs-vsctl."""

    def __init__(self, host):
        self.host = host
        self.sandbox = Sandbox(host, "libvirt", packages())
        self.dir = self.sandbox.dir
        self.log, self.output = self.dir / "libvirtd.log", self.dir / "output"
        self.uri = f"qemu+unix:///system?socket={self.dir}/libvirt-sock"
        conf = self.dir / "conf"
        conf.mkdir()
        (conf / "qemu.conf").write_text(QEMU_CONF)
        (conf / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(log=self.log, dir=self.dir, uuid=uuid.uuid4()))
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(self.sandbox.argv(SET_UP.format(conf=conf)), stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL)
        wait_until(self.serving, 60, "libvirtd answers")

    def serving(self):
        if self.process.poll() is not None:
            raise Failure(f"libvirtd ended with {self.process.returncode}:\n{self.said()}")
        return self.virsh("version", check=False).returncode == 0

    def said(self):
        """libvirt's error messages."""
        log = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-20:] + [x for x in log if " error " in x][-20:])

    def virsh(self, *argv, check=True, **kw):
        done = run("nsenter", f"--target={self.process.pid}", "--mount", "--net", "--", "virsh", "--quiet",
                   f"--connect={self.uri}", *argv, check=False, **kw)
        if check and done.returncode != 0:
            raise Failure(f"virsh {shlex.join(map(str, argv))}: {done.stderr.strip()}\n{self.said()}")
        return done

    def close(self):
        for name in self.virsh("list", "--name", check=False).stdout.split():
            self.virsh("destroy", name, check=False)
        self.process.terminate()
        try:
            self.process.wait(10 * TIME_SCALE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        failed = [argv for status, argv in self.sandbox.calls() if status != 0]
        if failed:
            raise Failure(f"ovs-vsctl failed libvirt at {failed}")


def network_device(bridge, mac, iface_id, more=""):
    """The XML of a device on a port of a bridge of Open vSwitch. `more`: further elements."""
    return f"""<interface type='bridge'>
      <source bridge={quoteattr(bridge)}/>
      <virtualport type='openvswitch'><parameters interfaceid='{iface_id}'/></virtualport>
      <mac address='{mac}'/><model type='virtio'/><rom enabled='no'/>{more}
    </interface>"""


class Domain:
    """A guest: Debian's kernel and GUEST_INIT. Its console is in the file self.console."""

    def __init__(self, libvirt, name, *devices):
        self.libvirt, self.name, self.uuid = libvirt, name, str(uuid.uuid4())
        work = libvirt.dir / name
        work.mkdir()
        self.console = work / "console"
        directory, version = image.kernel()
        ram_disk = image.initramfs(work, directory, version, GUEST_INIT, GUEST_MODULES)
        xml = work / "domain.xml"
        xml.write_text(f"""<domain type='qemu'>
  <name>{name}</name><uuid>{self.uuid}</uuid><memory unit='MiB'>192</memory><vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{image.kernel_image(directory)}</kernel><initrd>{ram_disk}</initrd>
    <cmdline>console=ttyS0 loglevel=4 panic=-1 mitigations=off nokaslr lsm= audit=0 tsc=reliable no_timer_check</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_crash>destroy</on_crash><on_reboot>destroy</on_reboot>
  <devices>
    <serial type='file'><source path='{self.console}'/></serial>
    <controller type='usb' model='none'/><memballoon model='none'/>
    {"".join(devices)}
  </devices>
</domain>""")
        libvirt.virsh("create", xml)

    def virsh(self, command, *argv, **kw):
        return self.libvirt.virsh(command, self.name, *argv, **kw)

    def port(self, mac):
        """The name of libvirt's tap for the device with this MAC address."""
        rows = [line.split() for line in self.virsh("domiflist").stdout.splitlines()]
        return next(row[0] for row in rows if row[-1:] == [mac])

    def wait_up(self, device="eth0"):
        wait_until(lambda: f"guest: {device} is up" in self.said(), 180, f"the guest has set up {device}")

    def said(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""
