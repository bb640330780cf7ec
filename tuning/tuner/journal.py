"""What `apply` has changed, written down before each change, so that `undo` can restore it.

A line of JSON for each change, on the disk before the machine is touched: a kill at any moment
leaves at worst a line whose change was not made, and restoring that is harmless.
"""

import json
import os
from pathlib import Path

PATH = "/var/lib/mayfly-tune/journal"


class Journal:
    def __init__(self, machine, path=PATH):
        self.machine = machine
        self.file = Path(machine.at(path))

    def changes(self):
        """The changes of this boot, oldest first: dicts of boot, name, path, old, new."""
        try:
            lines = self.file.read_text().splitlines()
        except FileNotFoundError:
            return []
        changes = []
        for line in lines:
            try:
                changes.append(json.loads(line))
            except ValueError:
                # Only the last line can be cut short, and its change was never begun.
                break
        boot = self.machine.boot_id()
        return [change for change in changes if change["boot"] == boot]

    def is_of_former_boot(self):
        """Whether it only holds changes that ended with a former boot of the machine."""
        return self.file.exists() and not self.changes()

    def write_down(self, name, path, old, new):
        boot = self.machine.boot_id()
        # A line that a kill cut short would swallow the one appended behind it.
        kept = [*self.changes(), dict(boot=boot, name=name, path=path, old=old, new=new)]
        self.replace(kept)

    def replace(self, changes):
        """Puts `changes` in place of what was there, at once or not at all."""
        if not changes:
            self.file.unlink(missing_ok=True)
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(".new")
        with open(beside, "w") as file:
            file.writelines(json.dumps(change) + "\n" for change in changes)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
