"""`redis.lock.Lock` among clients at all nodes, and the leader dies while they take turns.

The lock takes with SET NX PX, and gives back and extends by scripts. An owner whose reply to SET
was lost with its node does not know that it has the lock; it waits for the time to live to end. So
the time to live is short, and what the lock protects refuses an owner that comes after it.
"""

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import LockError
from redis.retry import Retry

from common import PORTS, Threads, expect, kill_the_leader, say, wait_until

OWNERS = 6
TURNS = 15
LEASE_SECONDS = 3


def connect(position):
    return redis.Redis("127.0.0.1", PORTS[position], decode_responses=True,
                       retry=Retry(ConstantBackoff(0.1), 300))


def turn(client, name):
    """Reads, and writes what it has read and one more: two at once would lose a count."""
    lock = client.lock("lock", timeout=LEASE_SECONDS, sleep=0.02)
    lock.acquire()
    try:
        lock.extend(LEASE_SECONDS, replace_ttl=True)
        with client.pipeline() as pipeline:
            # The token of the lock is its fence: nothing is written unless it is still this one's.
            pipeline.watch("lock")
            if pipeline.get("lock") != lock.local.token.decode():
                return False
            count = int(pipeline.get("count") or 0)
            pipeline.multi()
            pipeline.set("count", count + 1).rpush("trace", name)
            pipeline.execute()
            return True
    except (redis.WatchError, LockError):
        return False
    finally:
        try:
            lock.release()
        except LockError:
            say(f"{name}: the lock was no longer its own")


def main():
    checker = connect(1)
    checker.flushall()

    again = []

    def take_turns(owner):
        client = connect(owner // 2)
        for number in range(TURNS):
            while not turn(client, f"{owner}:{number}"):
                again.append(f"{owner}:{number}")

    owners = Threads(take_turns, range(OWNERS))
    half = OWNERS * TURNS // 2
    wait_until("half of the turns", lambda: owners.errors or checker.llen("trace") >= half)
    kill_the_leader()
    owners.join()
    trace = checker.lrange("trace", 0, -1)
    expect(int(checker.get("count")), len(trace))
    expect(len(set(trace)), OWNERS * TURNS)
    expect(checker.exists("lock"), 0)
    say(f"taken again: {again}")
    assert len(again) <= OWNERS, "only who was held up by the death may have to take it again"
    say("all passed")


main()
