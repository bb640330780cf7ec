"""The settings of settings.conf: read, compared with a machine, and what would be written."""

import configparser
from dataclasses import dataclass
from pathlib import Path

PROFILES = ("safe", "latency", "dedicated")
FILE = Path(__file__).resolve().parent.parent / "settings.conf"

# On fewer CPUs every one of them runs a role, and nothing can be kept free of interrupts.
IRQ_CPUS_MIN = 4


@dataclass(frozen=True)
class Setting:
    name: str
    path: str
    want: str
    to_set: str | None
    profile: str
    required: bool
    why: str
    # Of setting it; of one that nobody sets: what its owner can do.
    risk: str
    advice: str

    def is_in(self, profile):
        return PROFILES.index(self.profile) <= PROFILES.index(profile)


@dataclass(frozen=True)
class Finding:
    """One file of one setting on one machine."""

    setting: Setting
    path: str
    value: str
    wanted: str
    ok: bool
    # What `apply` writes, None when it must not.
    to_set: str | None


class Malformed(Exception):
    """settings.conf is not as it says it is."""


class Unknown(Exception):
    """A name that no setting has."""


def load(file=FILE):
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str
    parser.read_string(Path(file).read_text())
    return [setting(name, parser[name]) for name in parser.sections()]


def select(profile, only=(), skip=()):
    """The settings of a profile, or those of `only`, without those of `skip`."""
    settings = load()
    names = {each.name for each in settings}
    for name in [*only, *skip]:
        if name not in names:
            known = ", ".join(sorted(names))
            raise Unknown(f"no setting is called '{name}'; there are: {known}")
    taken = [each for each in settings if (each.name in only if only else each.is_in(profile))]
    return [each for each in taken if each.name not in skip]


def setting(name, section):
    last = "risk" if "set" in section or section.get("want", "").startswith("@") else "advice"
    missing = {"path", "want", "profiles", "need", "why", last} - set(section)
    if missing:
        raise Malformed(f"[{name}] lacks {', '.join(sorted(missing))}")
    if section["profiles"] not in PROFILES:
        raise Malformed(f"[{name}] has the profile '{section['profiles']}'")
    if section["need"] not in ("required", "wanted"):
        raise Malformed(f"[{name}] has the need '{section['need']}'")
    return Setting(
        name=name,
        path=section["path"],
        want=section["want"],
        to_set=section.get("set"),
        profile=section["profiles"],
        required=section["need"] == "required",
        why=section["why"],
        risk=section.get("risk", ""),
        advice=section.get("advice", ""),
    )


def mask_value(text):
    """The number of a mask of CPUs, such as "0000000f,ffffffff"."""
    return int(text.replace(",", ""), 16)


def mask_text(cpus):
    """As the kernel takes it: groups of 32 CPUs in hexadecimal, the highest first."""
    value = sum(1 << cpu for cpu in cpus)
    groups = []
    while True:
        low, value = value & 0xffffffff, value >> 32
        groups.append(f"{low:08x}" if value else f"{low:x}")
        if value == 0:
            return ",".join(reversed(groups))


def computed_mask(machine, name, path):
    """The CPUs that `name` stands for, or None where the machine has no use for it."""
    cpus = machine.cpus()
    if name == "@irq-cpus":
        return cpus[:1] if len(cpus) >= IRQ_CPUS_MIN else None
    if name == "@net-cpus":
        nic = path.split("/")[4]
        single = machine.rx_queues(nic) == 1 and len(cpus) >= IRQ_CPUS_MIN
        return cpus[1:] if single else None
    raise Malformed(f"nothing computes '{name}'")


def is_as_wanted(text, want):
    """Whether a file that reads `text` is as `want` says (see the head of settings.conf)."""
    operator, _, operand = want.partition(" ")
    operands = operand.split()
    if operator == "selected":
        return any(f"[{word}]" in text.split() for word in operands)
    first = (text.split() or [""])[0]
    if operator == "=":
        return first == operand
    if operator == "!=":
        return first != operand
    if operator == "in":
        return first in operands
    if operator in (">=", "<="):
        try:
            value = int(first)
        except ValueError:
            return False
        return value >= int(operand) if operator == ">=" else value <= int(operand)
    raise Malformed(f"'{want}' is no comparison")


def look(machine, each):
    """The findings of one setting: one for each of its files that can be read."""
    for path in machine.expand(each.path):
        text = machine.read(path)
        if text is None:
            continue
        if each.want.startswith("@"):
            cpus = computed_mask(machine, each.want, path)
            if cpus is None:
                continue
            wanted = mask_text(cpus)
            ok = mask_value(text) == mask_value(wanted)
            yield Finding(each, path, text, wanted, ok, wanted)
        else:
            ok = is_as_wanted(text, each.want)
            yield Finding(each, path, text, each.want, ok, each.to_set)


def restorable(text):
    """What must be written so that a file reads `text` again: of a choice, what is selected."""
    for word in text.split():
        if word.startswith("[") and word.endswith("]"):
            return word[1:-1]
    return text
