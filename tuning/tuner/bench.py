"""`tune bench`: what each setting changes here, measured with a cluster and the load generator.

One setting at a time, as A B A B: each round measures the machine as it was found and with the
setting applied, in turn; the setting is undone after each B. Nothing is compared across rounds but
ratios of the same round, because the speed of a shared machine drifts.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from .change import apply, to_change, undo
from .settings import select

TOP = Path(__file__).resolve().parent.parent.parent
# What a change must exceed, beyond the spread of the rounds, to be called one.
NOISE = 0.03
READY_S = 30

WORKLOADS = {
    "set-p16": ["-t", "set", "-P", "16", "-r", "100000"],
    "get-p16": ["-t", "get", "-P", "16", "-r", "100000", "--fill"],
    "set-p1": ["-t", "set", "-r", "100000"],
    "rate": ["-t", "set", "-r", "100000", "--rate", "5k"],
}
# Not a setting of the kernel: the nodes on one half of the CPUs, the load on the other.
PLACEMENT = "cpu_placement"


def add_arguments(command):
    command.add_argument("--rounds", type=int, default=5, help="A and B each so often (default 5)")
    command.add_argument("--seconds", type=int, default=3, help="of load a round (default 3)")
    command.add_argument(
        "--workload", choices=sorted(WORKLOADS), action="append",
        help="default: set-p16 and rate; may be repeated")
    command.add_argument(
        "--bin", type=Path, default=TOP / "target" / "release", metavar="FOLDER",
        help="where mayfly and mayfly-loadgen are (default: target/release)")


class Failed(Exception):
    """The cluster or the load did not run."""


class Cluster:
    """A local cluster on free ports that ends with the block it is used in."""

    def __init__(self, folder, cpus):
        self.folder, self.cpus = folder, cpus

    def __enter__(self):
        self.port = free_ports(3)
        # Output goes to a file: a pipe that nobody reads would fill and stop the nodes.
        self.output = tempfile.TemporaryFile("w+")
        command = [str(self.folder / "mayfly"), "local", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, stdout=self.output, stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cpus))
        deadline = time.monotonic() + READY_S
        while "ready" not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Failed(f"no cluster started: {self.said().strip()}")
            time.sleep(0.05)
        return self

    def said(self):
        self.output.seek(0)
        return self.output.read()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def measure(self, workload, seconds, cpus):
        """(requests a second, p99 in ms) of one run."""
        with tempfile.NamedTemporaryFile(suffix=".json") as result:
            command = [str(self.folder / "mayfly-loadgen"), "-p", str(self.port), "-q",
                       "--duration", f"{seconds}s", "--json", result.name, *WORKLOADS[workload]]
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=60 + 3 * seconds,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus))
            if ran.returncode != 0:
                raise Failed(f"the load generator failed: {ran.stderr.strip()}")
            test = json.loads(Path(result.name).read_text())["tests"][0]
        return test["rps"], test["response_ms"]["p99"]


def free_ports(count):
    """The first of `count` consecutive ports that are free now, with their cluster ports."""
    for first in range(21000, 32000, 10):
        sockets = []
        try:
            for port in range(first, first + count):
                for each in (port, port + 10000):
                    listener = socket.socket()
                    sockets.append(listener)
                    listener.bind(("127.0.0.1", each))
            return first
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
    raise Failed("no free ports")


def halves(cpus):
    """The CPUs of the nodes and those of the load; the same ones when there is only one."""
    ordered = sorted(cpus)
    cut = (len(ordered) + 1) // 2
    return set(ordered[:cut]), set(ordered[cut:] or ordered)


def verdict(ratios, more_is_better):
    """Better, worse or no effect, of the ratios B/A of the rounds.

    An effect is one that every round shows and that is larger than the noise.
    """
    middle = median(ratios)
    if abs(middle - 1) <= NOISE or min(ratios) <= 1 <= max(ratios):
        return "no effect"
    return "better" if (middle > 1) == more_is_better else "worse"


def one_round(options, machine, journal, name, workload):
    """[(rps, p99) as found, (rps, p99) with `name` applied]."""
    everywhere = os.sched_getaffinity(0)
    settings = [] if name == PLACEMENT else select("dedicated", [name])
    results = []
    for is_applied in (False, True):
        nodes, generator = everywhere, everywhere
        if is_applied and name == PLACEMENT:
            nodes, generator = halves(everywhere)
        try:
            if is_applied and settings:
                failed = [o for o in apply(machine, journal, settings) if o.what == "failed"]
                if failed:
                    raise Failed(f"{failed[0].path}: {failed[0].detail}")
            with Cluster(options.bin, nodes) as cluster:
                cluster.measure(workload, 1, generator)
                results.append(cluster.measure(workload, options.seconds, generator))
        finally:
            if is_applied and settings:
                failed = [o for o in undo(machine, journal) if o.what == "failed"]
                if failed:
                    raise Failed(f"not restored: {failed[0].path}: {failed[0].detail}")
    return results


def measure_setting(options, machine, journal, name, workload):
    rounds = [one_round(options, machine, journal, name, workload) for _ in range(options.rounds)]
    rates = [after[0] / before[0] for before, after in rounds]
    tails = [after[1] / before[1] for before, after in rounds]
    # An open loop asks for the same rate whatever the setting: only its tail can change.
    is_open = "--rate" in WORKLOADS[workload]
    ratios = tails if is_open else rates
    return dict(
        name=name, workload=workload, rounds=len(rounds),
        rps=median(before[0] for before, _ in rounds),
        p99_ms=median(before[1] for before, _ in rounds),
        rps_ratio=median(rates), rps_spread=[min(rates), max(rates)],
        p99_ratio=median(tails), p99_spread=[min(tails), max(tails)],
        verdict=verdict(ratios, more_is_better=not is_open))


def run(options, machine, journal):
    if options.rounds < 1 or options.seconds < 1:
        raise SystemExit("tune: --rounds and --seconds must be at least 1")
    if journal.changes():
        raise SystemExit("tune: settings are applied; run `tune undo` first, bench would undo them")
    settings = select(options.profile, options.only, options.skip)
    names = sorted({finding.setting.name for finding in to_change(machine, settings)})
    if not options.only:
        names.append(PLACEMENT)
    rows = []
    try:
        for name in names:
            for workload in options.workload or ["set-p16", "rate"]:
                print(f"tune: measuring {name}, {workload}", file=sys.stderr, flush=True)
                rows.append(measure_setting(options, machine, journal, name, workload))
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        print(f"tune: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tune: stopped; what was measured:", file=sys.stderr)
    print(json.dumps(dict(results=rows), indent=1) if options.json else table(rows))
    return 0


def table(rows):
    lines = [
        "| Setting | Workload | rps, B/A (least to most) | p99, B/A (least to most) | Verdict |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        ratios = " | ".join(
            f"{row[key + '_ratio']:.2f} ({row[key + '_spread'][0]:.2f} to "
            f"{row[key + '_spread'][1]:.2f})" for key in ("rps", "p99"))
        lines.append(f"| {row['name']} | {row['workload']} | {ratios} | {row['verdict']} |")
    return "\n".join(lines)
