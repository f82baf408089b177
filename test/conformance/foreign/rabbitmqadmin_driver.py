# Runs RabbitMQ's rabbitmqadmin, unchanged, once per line of stdin: a JSON list of its arguments. Answers one line each: its exit code, stdout and stderr.
# Always: every run is a process of its own, forked from one that has Python and the script loaded already, which is what most of a run costs.
# Refuses: to know what the words mean.
import json
import os
import selectors
import sys
import traceback

import argparse, base64, copy, http.client, optparse, socket, ssl, urllib.parse  # noqa: what the script imports, loaded once

path = sys.argv[1]
with open(path, encoding="utf-8") as file:
    code = compile(file.read(), path, "exec")


def run(args):
    sys.argv = [path] + args
    try:
        exec(code, {"__name__": "__main__", "__file__": path})
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


for line in sys.stdin:
    pipes = [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        for fd, (_, write) in zip((1, 2), pipes):
            os.dup2(write, fd)
        run(json.loads(line))
    waiting = selectors.DefaultSelector()
    written = {}
    for name, (read, write) in zip(("stdout", "stderr"), pipes):
        os.close(write)
        waiting.register(read, selectors.EVENT_READ, name)
        written[name] = b""
    while waiting.get_map():
        for key, _ in waiting.select():
            chunk = os.read(key.fd, 65536)
            written[key.data] += chunk
            if not chunk:
                waiting.unregister(key.fd)
                os.close(key.fd)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    answer = {"code": status, **{name: each.decode("utf-8") for name, each in written.items()}}
    print(json.dumps(answer), flush=True)
