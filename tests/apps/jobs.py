"""The jobs of the scenario with RQ, as its workers import them."""

import time

from rq import get_current_job


def double(number):
    """Leaves a trace of every run, and takes long enough to be in the hands of a worker."""
    time.sleep(0.01)
    get_current_job().connection.hincrby("runs", number, 1)
    return 2 * number


def fail_at_first(number):
    if get_current_job().connection.hincrby("failures", number, 1) == 1:
        raise RuntimeError("this is meant to happen once")
    return number
