"""Dramatiq: a worker at each node, and the leader dies while they work.

A worker fetches messages with a script that notes which worker has them, and acknowledges what is
done; what a worker had that is not heard of any more is given out again. The worker at the dying
node lives on, so what it was given in an answer that it never got is its own until it ends: then
each message has run at least once.
"""

import os

from common import FOLDER, Program, expect, kill_the_leader, say, url, wait_until

os.environ["MAYFLY_BROKER"] = url(1)

from dramatiq import group  # noqa: E402

import dramatiq_app  # noqa: E402

JOBS = 100
DELAYED = 10
RETRIED = 6


def worker(position):
    os.environ["MAYFLY_BROKER"] = url(position)
    return Program(os.path.join(FOLDER, "dramatiq_app.py"))


def finish(client, first):
    all_jobs = set(range(JOBS + DELAYED + RETRIED))

    def missing():
        return all_jobs - {int(number) for number in client.hkeys("runs")}

    try:
        wait_until("all jobs", lambda: not missing(), 4)
    except AssertionError:
        say(f"held by the worker at the dying node: {sorted(missing())}")
        first.process.terminate()
        wait_until("all jobs", lambda: not missing())


def main():
    client = dramatiq_app.client
    client.flushall()
    double, fail_at_first = dramatiq_app.double, dramatiq_app.fail_at_first
    with worker(0) as first, worker(1) as second, worker(2) as third:
        plain = group(double.message(number) for number in range(JOBS)).run()
        delayed = [double.send_with_options(args=(JOBS + number,), delay=1000)
                   for number in range(DELAYED)]
        retried = [fail_at_first.send(JOBS + DELAYED + number) for number in range(RETRIED)]
        wait_until("a third of the jobs", lambda: client.hlen("runs") > JOBS // 3)
        kill_the_leader()
        finish(client, first)
        options = {"block": True, "timeout": 30_000}
        expect(list(plain.get_results(**options)), [2 * number for number in range(JOBS)])
        expect([message.get_result(**options) for message in delayed],
               [2 * (JOBS + number) for number in range(DELAYED)])
        expect([message.get_result(**options) for message in retried],
               [JOBS + DELAYED + number for number in range(RETRIED)])
        twice = sum(int(count) > 1 for count in client.hvals("runs"))
        say(f"{client.hlen('runs')} jobs, {twice} of them more than once")
        # What the two threads at the dying node and its queue of fetched messages held.
        assert twice <= JOBS // 4, twice
        assert second.is_running() and third.is_running()
    say("all passed")


main()
