"""The tasks of the scenario with Celery, as its workers import them."""

import ctypes
import os
import signal
import time

import redis
from celery import Celery
from celery.signals import worker_process_init

PR_SET_PDEATHSIG = 1

# After so long a task that nobody has acknowledged may be given out again.
VISIBILITY_SECONDS = 3

app = Celery("tasks", broker=os.environ["MAYFLY_BROKER"], backend=os.environ["MAYFLY_BACKEND"])
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=2,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    result_expires=600,
    redis_retry_on_timeout=True,
    result_backend_transport_options={"retry_policy": {"timeout": 60, "max_retries": 100}},
)
runs = redis.Redis.from_url(os.environ["MAYFLY_BACKEND"])


@worker_process_init.connect
def end_with_the_worker(**_):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@app.task
def double(number):
    time.sleep(0.01)
    runs.hincrby("runs", number, 1)
    return 2 * number


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, default_retry_delay=0.1)
def fail_at_first(self, number):
    if self.request.retries == 0:
        raise self.retry(exc=RuntimeError("this is meant to happen once"))
    return number
