"""Huey: a consumer at each node, and the leader dies while they work.

A consumer fetches with BRPOP, which takes a task out of its queue: one whose BRPOP was answered by
a node that died with the answer is lost to Huey on any server, at most one for each thread of the
consumer at the dying node. Its sender sends it again.
"""

import os

from common import Program, expect, kill_the_leader, say, url, wait_until

os.environ["MAYFLY_BROKER"] = url(1)

import huey_app  # noqa: E402

JOBS = 100
DELAYED = 6
RETRIED = 6
THREADS = 2


def consumer(position):
    os.environ["MAYFLY_BROKER"] = url(position)
    return Program("huey_consumer", "huey_app.huey", "-w", str(THREADS), "-s", "1", "-q")


def main():
    client, huey = huey_app.huey.storage.conn, huey_app.huey
    client.flushall()
    with consumer(0) as first, consumer(1) as second, consumer(2) as third:
        tasks = [huey_app.double(number) for number in range(JOBS)]
        tasks += [huey_app.double.schedule((JOBS + number,), delay=1) for number in range(DELAYED)]
        retried = [huey_app.fail_at_first(1000 + number) for number in range(RETRIED)]
        wait_until("a third of the jobs", lambda: client.hlen("runs") > JOBS // 3)
        kill_the_leader()

        def is_idle():
            known = len(tasks) + len(retried)
            return client.hlen("runs") == known or \
                not (huey.pending_count() or huey.scheduled_count())

        wait_until("an empty queue", is_idle)
        try:
            wait_until("all jobs", lambda: client.hlen("runs") == len(tasks) + len(retried), 3)
        except AssertionError:
            lost = [number for number in range(len(tasks)) if not client.hexists("runs", number)]
            say(f"lost, and sent again: {lost}")
            assert len(lost) <= THREADS, lost
            for number in lost:
                tasks[number] = huey_app.double(number)
        expect([task.get(blocking=True, timeout=30) for task in tasks],
               [2 * number for number in range(len(tasks))])
        expect([task.get(blocking=True, timeout=30) for task in retried],
               [1000 + number for number in range(RETRIED)])
        twice = sum(int(count) > 1 for count in client.hvals("runs"))
        say(f"{client.hlen('runs')} jobs, {twice} of them more than once")
        assert twice <= THREADS, twice
        assert first.is_running() and second.is_running() and third.is_running()
    say("all passed")


main()
