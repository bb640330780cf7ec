"""The command line of `tune`: what each command prints, and its exit code."""

import argparse
import json
import os
import sys

from . import bench, limits
from .change import apply, same, to_change, undo
from .journal import PATH, Journal
from .machine import Machine
from .settings import PROFILES, Unknown, look, restorable, select

DESCRIPTION = """\
Checks and sets a Linux machine for Mayfly.

  check    what is not as it should be, and why; writes nothing and needs no root
  plan     the commands that apply would run
  apply    sets what is not as wanted; each old value is written down first
  undo     restores what apply changed, in reverse order
  status   what apply changed, and whether it still is so
  bench    measures one setting after the other with the load generator, and undoes each

The exit code of check is the number of required checks that failed; of apply, undo and bench it is
1 when something could not be done. Security mitigations and the firewall are never touched.
Settings that are written are lost at a reboot, as every sysctl is.
"""


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="tune", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="/", help="the folder to take for / (for tests)")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name, profile=True):
        command = commands.add_parser(name)
        command.add_argument("--json", action="store_true", help="one JSON document")
        if profile:
            command.add_argument(
                "--profile", choices=PROFILES, default="safe",
                help="safe: for any machine; latency: costs power; dedicated: nothing else runs")
            command.add_argument(
                "--only", metavar="NAME", action="append", default=[],
                help="this setting alone; may be repeated")
            command.add_argument(
                "--skip", metavar="NAME", action="append", default=[], help="leave this one alone")
        return command

    check = add("check")
    check.add_argument(
        "--peer", metavar="HOST:PORT", action="append", default=[], type=address,
        help="measure the round trip to this node, too; may be repeated")
    add("plan")
    add("apply")
    add("undo", profile=False).add_argument(
        "--force", action="store_true", help="also what somebody else has changed meanwhile")
    add("status", profile=False)
    bench.add_arguments(add("bench"))
    return parser.parse_args(arguments)


def address(text):
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return host.strip("[]"), int(port)


def chosen(options):
    """The settings that the options name."""
    return select(options.profile, options.only, options.skip)


def main(arguments):
    options = parse(arguments)
    if options.command in ("apply", "undo", "bench") and options.root == "/" and os.geteuid() != 0:
        print(f"tune: {options.command} writes settings of the kernel: run it as root",
              file=sys.stderr)
        return 1
    machine = Machine(options.root)
    journal = Journal(machine)
    command = dict(check=run_check, plan=run_plan, apply=run_apply, undo=run_undo,
                   status=run_status, bench=bench.run)[options.command]
    try:
        return command(options, machine, journal)
    except Unknown as error:
        raise SystemExit(f"tune: {error}") from error


def checks(options, machine):
    """All rows of `check`, as dicts, and which settings the machine lacks."""
    rows, absent = [], []
    for each in chosen(options):
        findings = list(look(machine, each))
        if not findings:
            absent.append(each.name)
        for found in findings:
            fix = f"tune apply --only {each.name}" if found.to_set is not None else each.advice
            rows.append(dict(
                name=each.name, ok=found.ok, required=each.required, value=restorable(found.value),
                wanted=found.wanted, why=each.why, path=found.path, fix=fix))
    if not options.only:
        others = [*limits.limits(), *limits.throttled(machine),
                  *limits.timing(machine, options.peer)]
        rows += [vars(check) for check in others]
    return rows, absent


def run_check(options, machine, _journal):
    try:
        rows, absent = checks(options, machine)
    except OSError as error:
        raise SystemExit(f"tune: a peer cannot be measured: {error}") from error
    failed = sum(row["required"] and not row["ok"] for row in rows)
    if options.json:
        print(json.dumps(dict(checks=rows, absent=absent, failed_required=failed), indent=1))
        return failed
    for row in rows:
        mark = "ok  " if row["ok"] else ("FAIL" if row["required"] else "warn")
        print(f"{mark} {row['name']}: {row['value']}" + (
            "" if row["ok"] else f"  (wanted {row['wanted']})\n       {row['why']}\n"
            f"       fix: {row['fix']}"))
    if absent:
        print(f"not on this machine: {', '.join(absent)}")
    warned = sum(not row["ok"] for row in rows) - failed
    print(f"{len(rows)} checks: {failed} required failed, {warned} recommendations")
    return failed


def run_plan(options, machine, _journal):
    findings = to_change(machine, chosen(options))
    commands = [dict(name=each.setting.name, path=each.path, old=restorable(each.value),
                     new=each.to_set, risk=each.setting.risk) for each in findings]
    if options.json:
        print(json.dumps(dict(commands=commands), indent=1))
        return 0
    print("#!/bin/sh\n# What `tune apply` would run, as root; the old value stands behind each.")
    for each in commands:
        print(f"echo {each['new']} > {each['path']}  # {each['old']}; risk: {each['risk']}")
    if not commands:
        print("# Nothing: every setting that can be set is as wanted.")
    return 0


def told(outcomes, as_json, nothing):
    """Prints outcomes as they come and returns the exit code."""
    seen = []
    for each in outcomes:
        seen.append(each)
        if not as_json:
            print(f"{each.what:8} {each.path}: {each.detail}", flush=True)
    if as_json:
        print(json.dumps(dict(outcomes=[vars(each) for each in seen]), indent=1))
    elif not seen:
        print(nothing)
    return int(any(each.what == "failed" for each in seen))


def run_apply(options, machine, journal):
    outcomes = apply(machine, journal, chosen(options))
    return told(outcomes, options.json, "nothing to do: every setting is as wanted")


def run_undo(options, machine, journal):
    if journal.is_of_former_boot():
        journal.replace([])
        nothing = "nothing to restore: what was applied ended with the last reboot"
    else:
        nothing = "nothing to restore: nothing was applied"
    return told(undo(machine, journal, options.force), options.json, nothing)


def run_status(options, machine, journal):
    rows = [dict(change, value=restorable(machine.read(change["path"]) or "gone"))
            for change in journal.changes()]
    for row in rows:
        row["in_force"] = same(machine.read(row["path"]), row["new"])
    if options.json:
        print(json.dumps(dict(changes=rows), indent=1))
        return 0
    for row in rows:
        state = "in force" if row["in_force"] else f"now {row['value']}"
        print(f"{row['path']}: {row['old']} -> {row['new']}, {state}")
    print(f"{len(rows)} settings applied; kept in {PATH}" if rows else "nothing is applied")
    return 0
