"""What an application with redis-py does, on every node in turn. Usage: redis_py.py PORT..."""

import sys
import threading
import time

import redis
from redis.cache import CacheConfig

PORTS = [int(port) for port in sys.argv[1:]]


def connect(position, **options):
    port = PORTS[position % len(PORTS)]
    return redis.Redis("127.0.0.1", port, socket_timeout=30, **options)


def expect(actual, expected):
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def expect_error(text, call):
    try:
        call()
    except redis.ResponseError as error:
        assert text in str(error), f"expected '{text}', got '{error}'"
    else:
        raise AssertionError(f"expected an error: {text}")


def strings_and_numbers(client, other):
    expect(client.set("text", "grüße"), True)
    expect(other.get("text"), "grüße")
    expect(client.set("text", "x", nx=True), None)
    expect(client.mset({"a": "1", "b": "2"}), True)
    expect(other.mget("a", "none", "b"), ["1", None, "2"])
    expect(client.incr("a", 41), 42)
    expect(client.incrbyfloat("b", 0.5), 2.5)
    expect(other.exists("a", "b", "none"), 2)
    expect(client.delete("a", "b", "none"), 2)
    expect_error("WRONGTYPE", lambda: (client.rpush("list", "x"), client.get("list")))
    client.delete("list")


def collections(client, other):
    expect(client.hset("hash", mapping={"f": "1", "g": "2"}), 2)
    expect(other.hgetall("hash"), {"f": "1", "g": "2"})
    expect(client.rpush("list", "a", "b", "c"), 3)
    expect(other.lrange("list", 0, -1), ["a", "b", "c"])
    expect(client.sadd("set", "x", "y"), 2)
    expect(other.smembers("set"), {"x", "y"})
    expect(client.zadd("sorted", {"one": 1, "two": 2.5}), 2)
    expect([tuple(pair) for pair in other.zrange("sorted", 0, -1, withscores=True)],
           [("one", 1.0), ("two", 2.5)])
    expect(other.zscore("sorted", "two"), 2.5)
    expect(client.type("sorted"), "zset")
    expect(sorted(other.scan_iter(match="s*", count=10)), ["set", "sorted"])


def expiry(client, other):
    client.set("brief", "v", ex=100)
    assert 95 <= other.ttl("brief") <= 100
    expect(client.persist("brief"), True)
    expect(other.ttl("brief"), -1)
    expect(other.ttl("none"), -2)


def pipelines(client, other):
    pipeline = client.pipeline(transaction=False)
    for number in range(500):
        pipeline.set(f"p{number}", number).get(f"p{number}").incr("sum", number)
    replies = pipeline.execute()
    expect(len(replies), 1500)
    expect(replies[1::3], [str(number) for number in range(500)])
    expect(other.get("sum"), str(sum(range(500))))
    # An error in the middle takes nothing else along.
    pipeline = client.pipeline(transaction=False)
    pipeline.set("ok", 1).lpush("ok", "x").get("ok")
    first, second, third = pipeline.execute(raise_on_error=False)
    expect((first, third), (True, "1"))
    assert isinstance(second, redis.ResponseError), second


def binary(position):
    client = connect(position)
    everything = bytes(range(256)) * 100
    client.set(b"\x00\xff", everything)
    expect(connect(position + 1).get(b"\x00\xff"), everything)


def server_facts(client):
    expect(client.ping(), True)
    expect(client.echo("hello"), "hello")
    info = client.info()
    assert info["redis_version"].count(".") == 2, info["redis_version"]
    assert client.client_setname("smoke") and client.client_getname() == "smoke"
    assert any(entry["name"] == "smoke" for entry in client.client_list())
    assert client.config_get("maxclients")["maxclients"].isdigit()
    assert client.dbsize() > 0
    expect_error("unknown command", lambda: client.execute_command("NOSUCH"))


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "not within 30 seconds"
        time.sleep(0.01)


def receive(pubsub, kind, channel, data):
    """The next message, whatever comes of confirmations before it."""
    for _ in range(3):
        message = pubsub.get_message(timeout=30)
        assert message is not None, f"no {kind} on {channel}"
        if not message["type"].endswith("subscribe"):
            expect((message["type"], message["channel"], message["data"]), (kind, channel, data))
            return
    raise AssertionError("confirmations only")


def messages(client, other):
    pubsub = other.pubsub()
    pubsub.subscribe("news")
    pubsub.psubscribe("weather.*")
    expect([pubsub.get_message(timeout=30)["type"] for _ in range(2)],
           ["subscribe", "psubscribe"])
    expect(other.pubsub_numsub("news"), [("news", 1)])
    expect(other.pubsub_channels("n*"), ["news"])
    for number in range(3):
        client.publish("news", f"one {number}")
        client.publish("weather.paris", f"rain {number}")
        receive(pubsub, "message", "news", f"one {number}")
        receive(pubsub, "pmessage", "weather.paris", f"rain {number}")
    # Several together are one step, in order.
    client.pipeline().publish("news", "a").set("text", "b").publish("news", "c").execute()
    receive(pubsub, "message", "news", "a")
    receive(pubsub, "message", "news", "c")
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    kinds = [pubsub.get_message(timeout=30)["type"] for _ in range(2)]
    expect(kinds, ["unsubscribe", "punsubscribe"])
    pubsub.close()
    heard = []
    listener = other.pubsub()
    listener.subscribe(**{"handled": lambda message: heard.append(message["data"])})
    thread = listener.run_in_thread(sleep_time=0.01, daemon=True)
    wait_until(lambda: other.pubsub_numsub("handled") == [("handled", 1)])
    for number in range(100):
        client.publish("handled", number)
    wait_until(lambda: len(heard) >= 100)
    expect(heard, [str(number) for number in range(100)])
    thread.stop()
    thread.join(30)
    assert not thread.is_alive()


def caching(client, position):
    """redis-py keeps copies of what it reads, and drops what it is told to. It takes only servers
    for that which call themselves Redis 7.4, so it is told to take this one."""
    redis.connection.CacheProxyConnection.MIN_ALLOWED_VERSION = "7.2.0"
    options = {"decode_responses": True, "protocol": 3, "cache_config": CacheConfig()}
    cached = connect(position, **options)
    for number in range(20):
        for key in ("copied", "other"):
            client.set(key, str(number))
            wait_until(lambda: cached.get(key) == str(number))
            expect(cached.mget("copied", "other")[key == "other"], str(number))
    expect(cached.get_cache().size > 0, True)
    for _ in range(50):
        expect(cached.strlen("copied"), 2)
    # Only the first has come to the node.
    expect(connect(position).info("commandstats")["cmdstat_strlen"]["calls"], 1)
    client.flushall()
    wait_until(lambda: cached.get("copied") is None)
    expect(cached.strlen("copied"), 0)
    cached.close()


def threads():
    pool = redis.ConnectionPool(host="127.0.0.1", port=PORTS[0], decode_responses=True)
    client = redis.Redis(connection_pool=pool)

    def work():
        for _ in range(200):
            client.incr("threads")

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expect(connect(1, decode_responses=True).get("threads"), "1600")


def main():
    for position in range(len(PORTS)):
        for protocol in (2, 3):
            options = {"decode_responses": True, "protocol": protocol}
            client, other = connect(position, **options), connect(position + 1, **options)
            client.flushall()
            strings_and_numbers(client, other)
            collections(client, other)
            expiry(client, other)
            pipelines(client, other)
            messages(client, other)
            server_facts(client)
        caching(client, position)
        binary(position)
    threads()
    database = connect(0, db=3, decode_responses=True)
    database.set("apart", "yes")
    expect(connect(1, db=3, decode_responses=True).get("apart"), "yes")
    expect(connect(1, db=4).get("apart"), None)
    print("redis-py: all passed")


main()
