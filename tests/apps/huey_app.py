"""The tasks of the scenario with Huey, as its consumers import them."""

import os
import time

from huey import RedisHuey
from redis import ConnectionPool
from redis.backoff import ConstantBackoff
from redis.retry import Retry

# The consumer at the dying node waits for the next one there.
retry = Retry(ConstantBackoff(0.1), 60)
pool = ConnectionPool.from_url(os.environ["MAYFLY_BROKER"], retry=retry)
huey = RedisHuey("work", connection_pool=pool)


@huey.task()
def double(number):
    time.sleep(0.01)
    huey.storage.conn.hincrby("runs", number, 1)
    return 2 * number


@huey.task(retries=2, retry_delay=1)
def fail_at_first(number):
    if huey.storage.conn.hincrby("failures", number, 1) == 1:
        raise RuntimeError("this is meant to happen once")
    huey.storage.conn.hincrby("runs", number, 1)
    return number
