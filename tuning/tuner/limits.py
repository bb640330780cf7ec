"""Checks that no setting file can express: limits of the process, quota, stolen time, timers.

Each returns rows like the findings of the settings: name, ok, required, value, wanted, why, fix.
"""

import math
import resource
import socket
import time
from dataclasses import dataclass

LOCKED_BYTES_MIN = 64 << 20
FILES_MIN = 16384
STEAL_PERCENT_MAX = 2.0
JITTER_SAMPLES = 500
# The defaults of the node: --raft.request-timeout and --raft.election-timeout.
HEARTBEAT_MS = 50
ELECTION_MS = 400


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    required: bool
    value: str
    wanted: str
    why: str
    fix: str


def limits():
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def text(value):
        return "unlimited" if value == resource.RLIM_INFINITY else str(value)

    def enough(value, least):
        return value == resource.RLIM_INFINITY or value >= least

    yield Check(
        "limit_memlock", enough(locked, LOCKED_BYTES_MIN), False, text(locked),
        f">= {LOCKED_BYTES_MIN}", "rings and their buffers are locked memory",
        "LimitMEMLOCK=infinity in the unit (tuning/systemd), ulimit -l, --ulimit memlock=-1",
    )
    yield Check(
        "limit_nofile", enough(files, FILES_MIN), False, text(files), f">= {FILES_MIN}",
        "each client and each peer is an open file",
        "LimitNOFILE= in the unit (tuning/systemd), ulimit -n, --ulimit nofile=",
    )


def throttled(machine):
    """Periods in which the quota of the cgroup of this process stopped it (cgroup v2)."""
    group = next(
        (line[3:] for line in (machine.read("/proc/self/cgroup") or "").splitlines()
         if line.startswith("0::")), None)
    stat = machine.read(f"/sys/fs/cgroup{group}/cpu.stat") if group else None
    fields = dict(line.split() for line in (stat or "").splitlines())
    if "nr_throttled" not in fields:
        return
    yield Check(
        "cgroup_throttled", fields["nr_throttled"] == "0", False, fields["nr_throttled"], "= 0",
        "a process that used up its quota stands still for the rest of the period",
        "whole CPUs (cpuset, static CPU manager) instead of a quota, or a larger one",
    )


def steal(before, after):
    """Percent of the CPU time between two first lines of /proc/stat that the host took away."""
    old, new = ([int(word) for word in line.split()[1:9]] for line in (before, after))
    spent = [b - a for a, b in zip(old, new)]
    total = sum(spent)
    return 100.0 * spent[7] / total if total > 0 else 0.0


def percentile(samples, share):
    """The least sample that at least `share` of all (0 to 1) do not exceed; of none it is 0."""
    if not samples:
        return 0.0
    rank = math.ceil(len(samples) * share)
    return sorted(samples)[max(rank, 1) - 1]


def jitter(samples=JITTER_SAMPLES):
    """By how many milliseconds sleeps of one millisecond came late."""
    late = []
    for _ in range(samples):
        start = time.monotonic()
        time.sleep(0.001)
        late.append((time.monotonic() - start) * 1000 - 1)
    return late


def round_trips(host, port, samples=20):
    """Milliseconds that connections to a peer took to open; an OSError where none can be made."""
    trips = []
    for _ in range(samples):
        start = time.monotonic()
        with socket.create_connection((host, port), timeout=2):
            trips.append((time.monotonic() - start) * 1000)
    return trips


def advice(rtt_ms, jitter_ms):
    """(heartbeat, election time-out) in ms for a round trip and a delay of timers in ms.

    A heartbeat need not be quicker than a round trip; a time-out must outlast ten of them and
    several delays in a row, or a healthy leader is deposed (etcd's rule, with the jitter added).
    Never less than the node's defaults, which suit one data centre.
    """
    heartbeat = max(HEARTBEAT_MS, round(rtt_ms * 1.5 + jitter_ms))
    election = max(ELECTION_MS, round(10 * rtt_ms + 10 * jitter_ms), 8 * heartbeat)
    return heartbeat, election


def timing(machine, peers):
    """Stolen time and late timers over a second or so, and what they mean for time-outs."""
    before = (machine.read("/proc/stat") or "").split("\n")[0]
    late = jitter()
    after = (machine.read("/proc/stat") or "").split("\n")[0]
    if before and after:
        stolen = steal(before, after)
        yield Check(
            "steal", stolen <= STEAL_PERCENT_MAX, False, f"{stolen:.1f} %",
            f"<= {STEAL_PERCENT_MAX:.0f} %", "time that the host gave to others looks like pauses",
            "a machine with CPUs of its own, or longer time-outs",
        )
    trips = [trip for host, port in peers for trip in round_trips(host, port)]
    rtt, delay = percentile(trips, 0.99), percentile(late, 0.999)
    heartbeat, election = advice(rtt, delay)
    measured = f"timers late by {delay:.2f} ms (p99.9), " + (
        f"peers {rtt:.2f} ms away (p99)" if trips else "no --peer measured")
    yield Check(
        "time_outs", election <= ELECTION_MS, False, measured,
        f"--raft.request-timeout {heartbeat} --raft.election-timeout {election}",
        "time-outs shorter than the pauses of the machine depose healthy leaders",
        "give these options to every node",
    )
