"""The machine as files below a root folder: what a setting reads, what writing it does.

Tests give a folder of their own as root; nothing here looks anywhere else.
"""

import errno
import os
from pathlib import Path


class Refused(Exception):
    """The machine did not take a value; the text says why."""


class Machine:
    def __init__(self, root="/"):
        self.root = Path(root)

    def at(self, path):
        """Where the absolute `path` of a setting is."""
        return self.root / path.lstrip("/")

    def read(self, path):
        """The text of a file without its end of line, or None if it cannot be read."""
        try:
            return self.at(path).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None

    def write(self, path, value):
        try:
            with open(self.at(path), "r+") as file:
                file.write(value + "\n")
                file.truncate()
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise Refused("not permitted; apply and undo need root") from error
            raise Refused(os.strerror(error.errno).lower()) from error

    def expand(self, path):
        """The existing files that `path` stands for, sorted."""
        paths = [path]
        if "{nic}" in path:
            paths = [path.replace("{nic}", name) for name in self.nics()]
        if "{nic-irq}" in path:
            paths = [path.replace("{nic-irq}", irq) for irq in self.nic_irqs()]
        found = []
        for each in paths:
            relative = each.lstrip("/")
            found += ["/" + str(p.relative_to(self.root)) for p in self.root.glob(relative)]
        return sorted(found)

    def nics(self):
        """Network interfaces that have a device, so neither loopback nor virtual pairs."""
        folders = self.at("/sys/class/net").glob("*/device")
        return sorted(folder.parent.name for folder in folders)

    def nic_irqs(self):
        """Numbers of the interrupts of the network cards."""
        irqs = set()
        for name in self.nics():
            device = self.at(f"/sys/class/net/{name}/device").resolve()
            # A virtio device has its interrupts at the PCI device above it.
            for folder in (device / "msi_irqs", device.parent / "msi_irqs"):
                if folder.is_dir():
                    irqs.update(each.name for each in folder.iterdir())
                    break
        return sorted(irqs, key=int)

    def rx_queues(self, nic):
        return len(list(self.at(f"/sys/class/net/{nic}/queues").glob("rx-*")))

    def cpus(self):
        """Numbers of the CPUs that are online."""
        return parse_cpu_list(self.read("/sys/devices/system/cpu/online") or "0")

    def boot_id(self):
        return self.read("/proc/sys/kernel/random/boot_id") or "unknown"


def parse_cpu_list(text):
    """[0, 1, 2, 5] of "0-2,5"."""
    cpus = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus
