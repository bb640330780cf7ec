"""redis-py while each node is restarted, one after the other: no request fails.

A client at one node waits with its own retries for the next process there; one of Sentinel goes to
whoever leads.
"""

import threading

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from common import PORTS, SENTINEL_PORTS, Threads, expect, restart_each_node, say, wait_until

# One server in the place of three has no Sentinel.
IS_STAND_IN = PORTS[0] == PORTS[1]


def retry():
    return Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), 60)


def connect(position):
    return redis.Redis("127.0.0.1", PORTS[position], decode_responses=True, retry=retry())


def connect_to_leader():
    sentinels = [("127.0.0.1", port) for port in SENTINEL_PORTS]
    return Sentinel(sentinels).master_for("mymaster", decode_responses=True, retry=retry())


def work(client, name, has_ended):
    """Writes, reads and transactions until told to end: how many of them."""
    rounds = 0
    while not has_ended.is_set():
        client.rpush(f"list:{name}", rounds)
        expect(client.lindex(f"list:{name}", -1), str(rounds))
        pipeline = client.pipeline()
        pipeline.sadd(f"set:{name}", rounds).scard(f"set:{name}")
        expect(pipeline.execute()[1], rounds + 1)
        rounds += 1
    return rounds


def main():
    checker = connect(1)
    checker.flushall()
    clients = {f"node {position}": connect(position) for position in range(3)}
    if not IS_STAND_IN:
        clients["leader"] = connect_to_leader()
    rounds, has_ended = {}, threading.Event()

    def run(name):
        rounds[name] = work(clients[name], name, has_ended)

    workers = Threads(run, clients)
    wait_until("some work of all", lambda: workers.errors or all(
        checker.scard(f"set:{name}") > 20 for name in clients))
    restart_each_node()
    wait_until("the restart of all nodes", lambda: workers.errors or checker.get("rolled"))
    before = {name: checker.scard(f"set:{name}") for name in clients}
    wait_until("work of all thereafter", lambda: workers.errors or all(
        checker.scard(f"set:{name}") > before[name] for name in clients))
    has_ended.set()
    workers.join()
    for name, count in rounds.items():
        again = checker.llen(f"list:{name}") - count
        say(f"{name}: {count} rounds, {again} writes made again")
        expect(checker.scard(f"set:{name}"), count)
        # Only a write whose answer was lost; each client lost its connection three times at most.
        assert 0 <= again <= 3, again
    say("all passed")


main()
