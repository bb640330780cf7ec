"""Records a history with redis-py, by another client than the suite's own, in the same form.

    record.py SEED PORT,PORT,... KEY... < pipe > history.edn

One thread on each port does this and that to the keys, until standard input ends. Values are those
from 1,000,000,000 on, processes and clients those from 1000 on, so that they are nobody else's.
"""

import itertools
import json
import random
import sys
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SEED = int(sys.argv[1])
PORTS = [int(port) for port in sys.argv[2].split(",")]
KEYS = sys.argv[3:]

# Next to five hundred milliseconds of the other recorder.
ANSWER_SECONDS = 0.6
OPERATIONS_MAX = 100
UNKNOWN_MAX = 3

stop = threading.Event()
processes = itertools.count(1000)
values = itertools.count(1_000_000_000)
events = []
complaints = []


def connect(port):
    # A command that is sent twice is no longer one operation.
    return redis.Redis(host="127.0.0.1", port=port, decode_responses=True,
                       socket_timeout=ANSWER_SECONDS, single_connection_client=True,
                       retry=Retry(NoBackoff(), 0))


def edn(value):
    if value is None:
        return "nil"
    if value is True:
        return ":ok"
    if isinstance(value, list):
        return "[" + " ".join(edn(item) for item in value) + "]"
    return str(value)


def integer(value):
    return value if value is None else int(value)


def choose(dice, key, seen):
    """The words for Jepsen, the name and arguments, and the call of an operation."""
    kind, value, percent = key.split(":")[0], next(values), dice.randrange(100)
    name = json.dumps(key)
    if kind == "counter":
        if percent < 70:
            return ":add", lambda _: f"[{name} 1]", "increment", [], lambda c: c.incr(key)
    elif kind == "list":
        if percent < 60:
            return (":txn", lambda _: f"[[:append {name} {value}]]", "append", [value],
                    lambda c: c.rpush(key, value))
        return (":txn", lambda reply: f"[[:r {name} {edn(reply)}]]", "range", [],
                lambda c: [int(item) for item in c.lrange(key, 0, -1)])
    elif percent < 25:
        return (":write", lambda _: f"[{name} {value}]", "set", [value],
                lambda c: c.set(key, value))
    elif percent < 35:
        return (":cas", lambda _: f"[{name} [nil {value}]]", "set-if-absent", [value],
                lambda c: c.set(key, value, nx=True))
    elif percent < 43:
        return ":write", lambda _: f"[{name} nil]", "delete", [], lambda c: c.delete(key)
    elif percent < 60 and key in seen:
        old = seen[key]
        return (":cas", lambda _: f"[{name} [{old} {value}]]", "set-if-equal", [old, value],
                lambda c: c.execute_command("SET", key, value, "IFEQ", old))
    return (":read", lambda reply: f"[{name} {edn(reply)}]", "get", [],
            lambda c: integer(c.get(key)))


def perform(link, who, key, operation):
    """Does it; its type, as Jepsen calls it, and its reply."""
    f, value, name, args, call = operation
    process, client, node = who
    common = (f":process {process}, :client {client}, :node {node}, :key {json.dumps(key)}, "
              f":command :{name}, :args {edn(args)}, :f {f}")
    invoked = time.monotonic_ns()
    try:
        reply, error = call(link), None
        kind = "fail" if f == ":cas" and not reply else "ok"
    except redis.exceptions.BusyLoadingError as refusal:
        reply, error, kind = None, f"LOADING {refusal}", "fail"
    except redis.exceptions.ResponseError as refusal:
        reply, error = None, str(refusal)
        code = error.split(" ")[0]
        kind = {"NOCLUSTER": "fail", "CLUSTERDOWN": "fail", "TIMEOUT": "info"}.get(code)
        if kind is None:
            complaints.append(f"{name} {key}: {error}")
            kind = "info"
    except (redis.exceptions.RedisError, OSError) as failure:
        reply, error, kind = None, type(failure).__name__, "info"
    returned = time.monotonic_ns()
    # Replies of SET are those of the server, not True or None, in the history.
    told = ":ok" if reply is True or reply == "OK" else edn(reply)
    end = f":reply {told}" if error is None else f":error {json.dumps(error)}"
    events.append((invoked, 0, f"{common}, :type :invoke, :value {value(None)}"))
    events.append((returned, 1, f"{common}, :type :{kind}, :value {value(reply)}, {end}"))
    return kind, name, reply


def work(node):
    dice = random.Random(SEED * 100 + node)
    process, link, seen = next(processes), None, {}
    done, unknown = {key: 0 for key in KEYS}, {key: 0 for key in KEYS}
    while not stop.wait(dice.random() * 0.03):
        key = dice.choice(KEYS)
        if done[key] >= OPERATIONS_MAX or unknown[key] >= UNKNOWN_MAX:
            continue
        try:
            link = link or connect(PORTS[node])
        except (redis.exceptions.RedisError, OSError):
            continue
        operation = choose(dice, key, seen)
        kind, name, reply = perform(link, (process, 1000 + node, node), key, operation)
        done[key] += 1
        if name == "get" and reply is not None:
            seen[key] = reply
        if kind == "info":
            link, process = None, next(processes)
            unknown[key] += operation[0] not in (":read", ":r")


def main():
    threads = [threading.Thread(target=work, args=(node,)) for node in range(len(PORTS))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    assert not complaints, complaints
    for index, (ns, _, rest) in enumerate(sorted(events)):
        print(f"{{:index {index}, :time {ns}, {rest}}}")


main()
