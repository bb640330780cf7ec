"""What the scenarios in Python share. Usage of each: SCENARIO.py PORT.. SENTINEL_PORT.., three of
each, the leader's first"""

import os
import socket
import subprocess
import sys
import threading
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
PORTS = [int(port) for port in sys.argv[1:4]]
SENTINEL_PORTS = [int(port) for port in sys.argv[4:7]]


def say(text):
    print(text, flush=True)


def kill_the_leader():
    """Asks for it, and returns a function that waits for its death."""
    connection = socket.create_connection(("127.0.0.1", PORTS[0]), 60)
    say("kill the leader")

    def wait():
        """Its port soon has another node. One server in the place of three stays alive."""
        if PORTS[0] != PORTS[1]:
            try:
                assert connection.recv(1) == b""
            except ConnectionResetError:
                pass
        connection.close()

    return wait


def restart_each_node():
    """Asks for a new process in the place of each node; then there is the key `rolled`."""
    say("restart each node")


def url(position, database=0):
    return f"redis://127.0.0.1:{PORTS[position]}/{database}"


def expect(actual, expected):
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def wait_until(what, condition, seconds=90):
    """Returns what the condition returns when that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} seconds"
        time.sleep(0.02)
    return found


class Program:
    """Another program of this environment, which does not outlive this one."""

    def __init__(self, name, *arguments):
        path = os.path.join(os.path.dirname(sys.executable), name)
        environment = dict(os.environ, PYTHONPATH=FOLDER, PYTHONDONTWRITEBYTECODE="1")
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, path, *arguments]
        self.start = lambda: subprocess.Popen(
            command, stdout=sys.stderr, env=environment, cwd=FOLDER)
        self.process = self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """As a service manager ends it: first in peace."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def is_running(self):
        return self.process.poll() is None

    def start_again_if_ended(self):
        if not self.is_running():
            say(f"a worker ended with {self.process.returncode}, and is started again")
            self.process = self.start()


class Threads:
    """Runs a function once for each argument, and raises what one of them raised."""

    def __init__(self, function, arguments):
        self.errors = []
        self.threads = [
            threading.Thread(target=self.run, args=(function, argument), daemon=True)
            for argument in arguments
        ]
        for thread in self.threads:
            thread.start()

    def run(self, function, argument):
        try:
            function(argument)
        except BaseException as error:
            self.errors.append(error)
            raise

    def join(self, seconds=90):
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))
            assert self.errors or not thread.is_alive(), f"not within {seconds} seconds"
        if self.errors:
            raise self.errors[0]
