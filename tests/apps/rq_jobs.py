"""RQ: three workers, one at each node, and the leader dies while they work.

A worker takes a job out of its queue with BLMOVE into an "intermediate queue", and runs it in a
process of its own. When its node dies with a job in its hands, RQ itself does not run the job
again: after a minute the job is found abandoned and goes to the registry of failed ones, from
where whoever runs the queue puts it back. This does so after some seconds. A worker that is told
of a refused connection outside of its wait for jobs ends, and its service manager starts another.
Each job has run at least once in the end; only what a worker had in its hands may have run twice.
"""

import time

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry as ConnectionRetry
from rq import Queue, Retry
from rq.job import Job

from common import PORTS, Program, expect, kill_the_leader, say, url, wait_until

JOBS = 90
RETRIED = 6

# A job takes far less. RQ itself waits for a minute.
LOST_SECONDS = 5


def counts(queue):
    return f"{len(queue)} waiting, {queue.finished_job_registry.count} done, " \
        f"{queue.started_job_registry.count} begun, {queue.failed_job_registry.count} failed"


def put_back_lost(queue, client, lost):
    """Puts back what nobody has worked on for a while, and what has failed."""
    intermediate = queue.intermediate_queue
    held = {*intermediate.get_job_ids(), *queue.started_job_registry.get_job_ids(cleanup=False)}
    for job in [job for job in lost if job not in held]:
        del lost[job]
    for job in held:
        if time.monotonic() - lost.setdefault(job, time.monotonic()) > LOST_SECONDS:
            del lost[job]
            say(f"{job} was lost")
            intermediate.remove(job)
            found = Job.fetch(job, client)
            queue.started_job_registry.remove_executions(found)
            queue.enqueue_job(found)
    for job in queue.failed_job_registry.get_job_ids():
        say(f"{job} has failed")
        queue.failed_job_registry.requeue(job)


def settle(queue, client, workers):
    lost = {}

    def settled():
        for worker in workers:
            worker.start_again_if_ended()
        put_back_lost(queue, client, lost)
        return queue.finished_job_registry.count == JOBS + RETRIED

    try:
        wait_until("all jobs done", settled)
    except AssertionError as error:
        raise AssertionError(f"{error}: {counts(queue)}") from None


def main():
    client = redis.Redis(port=PORTS[1], retry=ConnectionRetry(ConstantBackoff(0.1), 50))
    client.flushall()
    queue = Queue("work", connection=client)
    workers = [Program("rq", "worker", "--quiet", "--url", url(position), "work")
               for position in range(3)]
    with workers[0], workers[1], workers[2]:
        jobs = [queue.enqueue("jobs.double", number, result_ttl=600) for number in range(JOBS)]
        retried = [queue.enqueue("jobs.fail_at_first", number, retry=Retry(max=3), result_ttl=600)
                   for number in range(RETRIED)]
        wait_until("a third of the jobs", lambda: client.hlen("runs") >= JOBS // 3)
        kill_the_leader()
        settle(queue, client, workers)
        say(counts(queue))
        expect([job.return_value() for job in jobs], [2 * number for number in range(JOBS)])
        expect([job.return_value() for job in retried], list(range(RETRIED)))
        runs = {int(number): int(count) for number, count in client.hgetall("runs").items()}
        expect(sorted(runs), list(range(JOBS)))
    assert all(count <= 2 for count in runs.values()), runs
    say("all passed")


main()
