"""Runs one command and writes what it cost as JSON to a file descriptor: python -I -S meter.py FD COMMAND...

A process of its own, because Linux counts the memory of the parent at the time of the fork as the child's peak: a
large Python program cannot measure a small one, this small one can (down to about 9 MiB).
"""

import json
import os
import signal
import sys
import time

descriptor, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(descriptor, False)
# Ctrl-C reaches the command too; this waits for it. A handler, since an ignored signal would be inherited.
signal.signal(signal.SIGINT, lambda *_: None)
started = time.monotonic()
child = os.posix_spawnp(command[0], command, os.environ)
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
_, status, usage = os.wait4(child, 0)
cost = {
    "exit_code": os.waitstatus_to_exitcode(status),
    "wall_seconds": time.monotonic() - started,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "peak_bytes": usage.ru_maxrss * 1024,
}
os.write(descriptor, json.dumps(cost).encode())
