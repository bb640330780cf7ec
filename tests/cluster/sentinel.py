#!/usr/bin/env python3
"""Finds the leader by redis-py's Sentinel, kills it, and goes on with the next one.

usage: sentinel.py SENTINEL_PORT:PORT:PID ...
"""

import os
import signal
import sys
import time

import redis
from redis.sentinel import MasterNotFoundError, Sentinel

DEADLINE_SECONDS = 30


def main(nodes):
    nodes = [tuple(map(int, node.split(":"))) for node in nodes]
    sentinel = Sentinel([("127.0.0.1", port) for port, _, _ in nodes], socket_timeout=2)
    leader = sentinel.discover_master("mymaster")
    ports = {port for _, port, _ in nodes}
    assert leader[0] == "127.0.0.1" and leader[1] in ports, leader
    replicas = {port for _, port in sentinel.discover_slaves("mymaster")}
    assert replicas == ports - {leader[1]}, (leader, replicas)
    try:
        sentinel.discover_master("other")
        raise AssertionError("there is no such master")
    except MasterNotFoundError:
        pass
    master = sentinel.master_for("mymaster", decode_responses=True)
    replica = sentinel.slave_for("mymaster", decode_responses=True)
    assert master.set("k", "v") is True
    assert replica.get("k") == "v"
    pid = next(pid for _, port, pid in nodes if port == leader[1])
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            if master.incr("n") and sentinel.discover_master("mymaster") != leader:
                break
        except (redis.ConnectionError, redis.TimeoutError):
            pass
        assert time.monotonic() < deadline, "nobody else leads"
    assert master.get("k") == "v"
    print("sentinel: passed")


if __name__ == "__main__":
    main(sys.argv[1:])
