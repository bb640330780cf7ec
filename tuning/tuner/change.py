"""Apply and undo: the only code that writes to a machine."""

from dataclasses import dataclass

from .machine import Refused
from .settings import look, restorable


@dataclass(frozen=True)
class Outcome:
    """What became of one file: done, kept, skipped, failed, or changed by somebody else."""

    name: str
    path: str
    what: str
    detail: str


def same(one, two):
    """Whether a file that reads `one` is as if `two` had been written.

    The kernel shows masks of CPUs with leading zeros, as many as fit all CPUs that it may have.
    """
    def words(text):
        return [word.replace(",", "").lstrip("0") for word in text.split()]

    return one is not None and words(restorable(one)) == words(two)


def to_change(machine, settings):
    """The findings that `apply` would change."""
    return [
        finding
        for each in settings
        for finding in look(machine, each)
        if not finding.ok and finding.to_set is not None
    ]


def apply(machine, journal, settings):
    """Sets what is not as wanted; each old value is written down first."""
    known = {change["path"] for change in journal.changes()}
    for finding in to_change(machine, settings):
        name, path = finding.setting.name, finding.path
        old = restorable(finding.value)
        # The first old value is the one to come back to.
        if path not in known:
            journal.write_down(name, path, old, finding.to_set)
        try:
            machine.write(path, finding.to_set)
        except Refused as error:
            yield Outcome(name, path, "failed", str(error))
            continue
        if same(machine.read(path), finding.to_set):
            yield Outcome(name, path, "done", f"{old} -> {finding.to_set}")
        else:
            yield Outcome(name, path, "failed", f"the machine keeps {machine.read(path)}")


def undo(machine, journal, force=False):
    """Restores in reverse order; what somebody else changed meanwhile is left, unless forced."""
    left = journal.changes()
    for change in reversed(left.copy()):
        name, path, old, new = (change[key] for key in ("name", "path", "old", "new"))
        value = machine.read(path)
        if value is None:
            yield Outcome(name, path, "failed", "the setting is gone")
        elif same(value, old):
            yield Outcome(name, path, "kept", f"is {old} already")
            left.remove(change)
        elif not same(value, new) and not force:
            detail = f"set to {restorable(value)} by somebody else; --force restores {old}"
            yield Outcome(name, path, "failed", detail)
            continue
        else:
            try:
                machine.write(path, old)
            except Refused as error:
                yield Outcome(name, path, "failed", str(error))
                continue
            yield Outcome(name, path, "done", f"{restorable(value)} -> {old}")
            left.remove(change)
        journal.replace(left)
