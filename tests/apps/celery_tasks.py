"""Celery: Redis as the broker and for the results, and the leader dies while two workers work.

Celery acknowledges late here, so a task runs again that a worker had in its hands when its
connection broke: Celery gives it out after the visibility timeout, when a worker connects, or
within a hundred seconds. One worker has the dying node as the first of its brokers and goes on with
the next by itself. Results have one address in Celery, a node that stays; Pub/Sub brings them.

Celery fetches a task with BRPOP, which takes it out of the queue, and notes it as being worked on
in a second step. A task whose BRPOP was answered by a node that died with the answer is lost to
Celery on any server; a worker fetches one at a time, so it is one at most. Its sender sends it
again.
"""

import os
import time

from common import Program, expect, kill_the_leader, say, url, wait_until

BROKERS = [";".join(url(position) for position in order)
           for order in ([0, 1, 2], [1, 2], [2, 1])]
os.environ["MAYFLY_BACKEND"] = url(2, database=1)
os.environ["MAYFLY_BROKER"] = BROKERS[1]

import redis  # noqa: E402
from celery import chain, chord, group  # noqa: E402

import celery_app  # noqa: E402

TASKS = 80


def worker(name, brokers):
    os.environ["MAYFLY_BROKER"] = brokers
    return Program("celery", "-A", "celery_app", "worker", "-n", f"{name}@localhost", "-c", "2",
                   "--loglevel", "WARNING", "--without-mingle")


def give_out_again():
    """Waits until all is done that is not in lost hands, and has a new worker find that."""
    broker = redis.Redis.from_url(url(1))

    def is_lost():
        visible = time.time() - celery_app.VISIBILITY_SECONDS - 0.5
        return not broker.llen("celery") and not broker.zcount("unacked_index", visible, "+inf")

    wait_until("an empty queue", is_lost)
    say(f"{broker.zcard('unacked_index')} tasks are in lost hands")
    found = worker("third", BROKERS[1])
    wait_until("all tasks acknowledged",
               lambda: not broker.llen("celery") and not broker.zcard("unacked_index"))
    return found


def main():
    runs = redis.Redis.from_url(url(1, database=1))
    runs.flushall()
    with worker("first", BROKERS[0]) as first, worker("second", BROKERS[2]) as second:
        alive = celery_app.app.control
        wait_until("both workers", lambda: len(alive.ping(timeout=1) or []) == 2)
        expect(celery_app.double.delay(-1).get(timeout=60), -2)
        before = group(celery_app.double.s(number) for number in range(TASKS))()
        wait_until("a quarter of the tasks", lambda: runs.hlen("runs") > TASKS // 4)
        wait_for_death = kill_the_leader()
        tasks = before.results + [celery_app.double.delay(number)
                                  for number in range(TASKS, 2 * TASKS)]
        wait_for_death()
        steps = chain(celery_app.double.s(1), celery_app.double.s(), celery_app.double.s())()
        joined = chord((celery_app.double.s(number) for number in range(10)),
                       celery_app.total.s())()
        retried = [celery_app.fail_at_first.delay(number) for number in range(5)]
        expect(steps.get(timeout=60), 8)
        expect(joined.get(timeout=60), 90)
        expect([task.get(timeout=60) for task in retried], list(range(5)))
        with give_out_again():
            lost = [number for number, task in enumerate(tasks) if not task.ready()]
            assert len(lost) <= 1, f"lost: {lost}"
            for number in lost:
                say(f"{number} is sent again")
                tasks[number] = celery_app.double.delay(number)
            expect([task.get(timeout=60) for task in tasks],
                   [2 * number for number in range(2 * TASKS)])
        say(f"{runs.hlen('runs')} different tasks in {sum(map(int, runs.hvals('runs')))} runs")
        # Celery itself now and then fails on what it sets up anew after a lost connection, and
        # ends; its service manager starts it again.
        first.start_again_if_ended()
        assert second.is_running(), f"it ended with {second.process.poll()}"
    say("all passed")


main()
