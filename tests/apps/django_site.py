"""Django's cache and sessions, and the channels of its web sockets, and the leader dies.

The cache has Redis's several addresses: it writes to the first and reads from the others, which
here are the same data at any moment.
"""

import asyncio

import django
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as Broken
from redis.retry import Retry

from common import Threads, expect, kill_the_leader, say, url, wait_until

WRITES = 150


def cache_at(*positions):
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [url(position) for position in positions],
        "OPTIONS": {"retry": Retry(ConstantBackoff(0.1), 100)},
    }


settings.configure(
    CACHES={"default": cache_at(0, 1, 2), "second": cache_at(1, 2), "third": cache_at(2, 0, 1)},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SECRET_KEY="of a test",
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import caches  # noqa: E402


def tour(cache, other):
    cache.set("text", {"a": [1, "grüße"]}, 100)
    expect(other.get("text"), {"a": [1, "grüße"]})
    expect(other.add("text", "again"), False)
    cache.set_many({"x": 1, "y": 2}, 100)
    expect(other.get_many(["x", "y", "z"]), {"x": 1, "y": 2})
    expect(cache.incr("x", 5), 6)
    expect(other.decr("x"), 5)
    expect(cache.get_or_set("made", lambda: "once"), "once")
    expect(other.touch("made", 50), True)
    expect([cache.delete("y"), other.delete("y")], [True, False])
    try:
        cache.incr("none")
        raise AssertionError("it counted what is not there")
    except ValueError:
        pass


def visit(name):
    """Writes through one cache and reads what it has just written, and keeps a session."""
    cache = caches[name]
    for number in range(WRITES):
        cache.set(f"{name}:{number}", number, 600)
        expect(cache.get(f"{name}:{number}"), number)
        cache.incr(f"count:{name}")


def visit_as_user(session_key):
    for _ in range(WRITES // 5):
        session = SessionStore(session_key)
        session["count"] = session["count"] + 1
        session.save()


async def persist(at_dying, command, *arguments):
    """A channel layer reports a broken connection; whoever has one sends again."""
    for _ in range(200):
        try:
            return await command(*arguments)
        except (Broken, OSError):
            assert at_dying
            await asyncio.sleep(0.1)
    raise AssertionError("no answer")


async def exchange(make, kill):
    """Sends to a group from one node what members of it hear at the others."""
    layers = [make(position) for position in range(3)]
    channels = []
    for layer in layers:
        channels.append(await layer.new_channel())
        await layer.group_add("room", channels[-1])

    async def hear(position, count):
        heard = set()
        while len(heard) < count:
            receive = layers[position].receive
            message = await persist(position == 0, receive, channels[position])
            heard.add(message["number"])

    async def send(count):
        for number in range(count):
            await layers[1].group_send("room", {"type": "chat", "number": number})
            if number == count // 2 and kill is not None:
                kill()
            await asyncio.sleep(0.005)

    # Who listens at the dying node may miss what is sent meanwhile.
    listeners = range(3) if kill is None else (1, 2)
    await asyncio.wait_for(asyncio.gather(send(100), *(hear(at, 100) for at in listeners)), 60)
    for layer in layers:
        await layer.close_pools() if hasattr(layer, "close_pools") else await layer.flush()


def core_layer(position):
    return RedisChannelLayer(hosts=[url(position)], capacity=1000)


def pubsub_layer(position):
    return RedisPubSubChannelLayer(hosts=[url(position)])


def main():
    caches["second"].clear()
    for name, other in (("default", "second"), ("second", "third"), ("third", "default")):
        caches["second"].clear()
        tour(caches[name], caches[other])
    asyncio.run(exchange(pubsub_layer, None))
    for name in ("default", "second", "third"):
        caches["second"].set(f"count:{name}", 0, None)
    session = SessionStore()
    session["count"] = 0
    session.create()
    visitors = Threads(visit, ("default", "second", "third"))
    user = Threads(visit_as_user, [session.session_key])
    wait_until("half of the visits", lambda: visitors.errors
               or caches["second"].get("count:second") > WRITES // 2)
    asyncio.run(exchange(core_layer, kill_the_leader))
    visitors.join()
    user.join()
    for name in ("default", "second", "third"):
        count = caches["second"].get(f"count:{name}")
        say(f"{name}: {count} for {WRITES}")
        # A count whose answer was lost with its node is made again.
        assert WRITES <= count <= WRITES + (name == "default"), count
        found = caches["third"].get_many([f"{name}:{number}" for number in range(WRITES)])
        expect(len(found), WRITES)
    expect(SessionStore(session.session_key)["count"], WRITES // 5)
    say("all passed")


main()
