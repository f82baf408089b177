# What the Python drivers share. Lines of JSON come in on stdin, {"scenario": ..., "patience": seconds}, and for each one goes out:
# {"scenario": ..., "ok": true or false, "note": ...}; {"beyond": ...} in place of ok for what a client has no means to express.
# A driver that needs the broker restarted prints {"ask": "restart"} (or "kill", "squeeze", "relieve") and goes on when a line comes back: the URL of
# a squeezed broker, or a word.

import hashlib
import json
import os
import random
import sys
import time
import traceback

URL = sys.argv[1]
LARGE_BYTES = 10 * 1024 * 1024


class Beyond(Exception):
    pass


class Patience:
    """How long to wait for what should come: a rescue, not a measure."""

    seconds = 30.0


def same(what, actual, expected):
    if actual != expected:
        raise AssertionError(f'{what} is {actual!r}, not {expected!r}')


def fresh(word):
    return f'foreign.{word}.{random.getrandbits(40):x}'


def large_body():
    return os.urandom(LARGE_BYTES)


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def until(what, condition, step):
    """Takes steps until the condition holds; a step waits for something to happen, but not for long."""
    end = time.monotonic() + Patience.seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f'{what} did not come in {Patience.seconds} s')
        step()


def retried(action, errors):
    """The first answer of an action that fails while the broker is away."""
    end = time.monotonic() + Patience.seconds
    while True:
        try:
            return action()
        except errors:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def say(line):
    sys.stdout.write(json.dumps(line) + '\n')
    sys.stdout.flush()


def ask(what):
    say({'ask': what})
    line = sys.stdin.readline()
    if line == '':
        sys.exit('the test has gone')
    return line.strip()


def answer(scenario, script):
    try:
        say({'scenario': scenario, 'ok': True, 'note': script()})
    except Beyond as error:
        say({'scenario': scenario, 'beyond': str(error)})
    except Exception as error:
        traceback.print_exc()
        say({'scenario': scenario, 'ok': False, 'note': f'{type(error).__name__}: {error}'})


def serve(scripts, answer=answer):
    for line in iter(sys.stdin.readline, ''):
        asked = json.loads(line)
        Patience.seconds = asked['patience']
        answer(asked['scenario'], scripts[asked['scenario']])
