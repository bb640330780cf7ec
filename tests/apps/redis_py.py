"""What an application with redis-py does, and how it goes on when the leader dies.

The tour of its commands is in the suite of clusters; here is what goes on for long: retries, as
redis-py makes them with the settings that its documentation shows, Pub/Sub, blocking, consumer
groups, optimistic transactions, and its client for clusters.
"""

import threading

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from common import PORTS, Threads, expect, kill_the_leader, say, wait_until

WRITES = 300

# One server in the place of three knows no cluster.
IS_STAND_IN = PORTS[0] == PORTS[1]


def retry():
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), 40)


def connect(position, **options):
    options = {"decode_responses": True, "retry": retry(), **options}
    return redis.Redis("127.0.0.1", PORTS[position], **options)


def connect_to_all():
    nodes = [ClusterNode("127.0.0.1", port) for port in PORTS]
    return RedisCluster(startup_nodes=nodes, decode_responses=True, retry=retry())


class Progress:
    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = 0

    def count(self):
        with self.lock:
            self.acknowledged += 1


def write(client, writer, progress):
    """A retry may count twice; the members of the set tell which writes there were."""
    for number in range(WRITES):
        client.sadd("written", f"{writer}:{number}")
        client.incr(f"written:{writer}")
        progress.count()


def transfer(client, progress):
    """Moves one from an account to another with the helper that watches keys."""
    def move(pipeline):
        left, right = int(pipeline.get("left") or 0), int(pipeline.get("right") or 0)
        pipeline.multi()
        pipeline.set("left", left - 1).set("right", right + 1)

    for _ in range(WRITES // 3):
        client.transaction(move, "left", "right")
        progress.count()


def pipe(client, progress):
    for number in range(WRITES // 10):
        pipeline = client.pipeline(transaction=number % 2 == 0)
        for step in range(10):
            pipeline.rpush("piped", 10 * number + step)
        expect(pipeline.execute()[-1], 10 * number + 10)
        progress.count()


def hear(client, heard):
    """Two listeners; the one at the dying node subscribes again by itself."""
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("news")
    while not heard or heard[-1] != "end":
        message = pubsub.get_message(timeout=1)
        if message:
            heard.append(message["data"])
    pubsub.close()


def speak(client, progress):
    for number in range(WRITES):
        client.publish("news", number)
        progress.count()


def work_on_stream(client, name, done):
    """A consumer of a group that acknowledges what it has done."""
    while len(done) < WRITES:
        for _, entries in client.xreadgroup("group", name, {"stream": ">"}, 5, block=100) or []:
            for entry, fields in entries:
                done.add(int(fields["number"]))
                client.xack("stream", "group", entry)


def feed(client, progress):
    for number in range(WRITES):
        client.xadd("stream", {"number": number})
        progress.count()


def block(client, popped):
    popped.append(client.blpop("queue", 0)[1])


def check(client, writers, heard):
    expect(client.scard("written"), writers * WRITES)
    for writer in range(writers):
        count = int(client.get(f"written:{writer}"))
        say(f"writer {writer}: {count} for {WRITES}")
        # Those of nodes that stay are retried by nobody, since they see no error.
        most = WRITES if writer in (1, 2) else WRITES + 1
        assert WRITES <= count <= most, f"writer {writer}: {count}"
    expect(int(client.get("left")) + int(client.get("right")), 0)
    expect(int(client.get("right")), 2 * (WRITES // 3))
    expect(client.lrange("piped", 0, -1), [str(number) for number in range(WRITES)])
    expect(heard[1], [str(number) for number in range(WRITES)] + ["end"])
    assert set(heard[0]) <= set(heard[1]), "a message that was never sent"


def main():
    checker = connect(1)
    checker.flushall()
    checker.xgroup_create("stream", "group", mkstream=True)
    clients = [connect(0), connect(1, protocol=2), connect(2, protocol=3)]
    if not IS_STAND_IN:
        clients.append(connect_to_all())
    progress, heard, done, popped = Progress(), [[], []], set(), []
    listeners = Threads(lambda which: hear(connect(which), heard[which]), range(2))
    wait_until("both listeners", lambda: all(
        connect(which).pubsub_numsub("news")[0][1] == (2 if IS_STAND_IN else 1)
        for which in range(2)))
    consumers = Threads(lambda name: work_on_stream(connect(name), name, done), (1, 2))
    blocked = Threads(lambda _: block(connect(2), popped), [0])
    steps = [lambda writer=writer: write(clients[writer], writer, progress)
             for writer in range(len(clients))]
    steps += [
        lambda: transfer(connect(1), progress),
        lambda: transfer(connect(2), progress),
        lambda: pipe(connect(2), progress),
        lambda: speak(connect(2), progress),
        lambda: feed(connect(1), progress),
    ]
    work = Threads(lambda step: step(), steps)
    wait_until("half of the work", lambda: work.errors or progress.acknowledged > 3 * WRITES)
    kill_the_leader()
    work.join()
    consumers.join()
    expect(done, set(range(WRITES)))
    expect(checker.xpending("stream", "group")["pending"], 0)
    checker.rpush("queue", "pushed")
    blocked.join()
    expect(popped, ["pushed"])
    wait_until("the listeners hear the end", lambda: checker.publish("news", "end") is not None
               and all(what and what[-1] == "end" for what in heard))
    listeners.join()
    heard[1] = heard[1][:heard[1].index("end") + 1]
    check(checker, len(clients), heard)
    say("all passed")


main()
