"""The actors of the scenario with Dramatiq; run as a program it is a worker until it is ended."""

import os
import signal
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

# After so many milliseconds what a silent worker had in its hands is given out again.
SILENCE_MS = 2000

# This often, in percent, a worker that fetches messages looks for such ones.
MAINTENANCE_PERCENT = 50_000

client = redis.Redis.from_url(os.environ["MAYFLY_BROKER"])
broker = RedisBroker(url=os.environ["MAYFLY_BROKER"], heartbeat_timeout=SILENCE_MS,
                     maintenance_chance=MAINTENANCE_PERCENT)
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["MAYFLY_BROKER"])))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True, min_backoff=50, max_backoff=500)
def double(number):
    time.sleep(0.01)
    client.hincrby("runs", number, 1)
    return 2 * number


@dramatiq.actor(store_results=True, min_backoff=50, max_backoff=100)
def fail_at_first(number):
    if client.hincrby("failures", number, 1) == 1:
        raise RuntimeError("this is meant to happen once")
    client.hincrby("runs", number, 1)
    return number


if __name__ == "__main__":
    dramatiq.Worker(broker, worker_threads=2, worker_timeout=100).start()
    # Until a signal ends it, as a machine that fails would.
    signal.pause()
