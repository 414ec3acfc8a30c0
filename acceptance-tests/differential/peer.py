"""Runs the connector we replace, many times: it is imported once, and each command is a fork of this process.

It runs under the Python that `airbyte-source-s3` is installed in, and talks over stdin and stdout, a JSON object a line:
{"arguments": ["read", ...], "stdout": path, "stderr": path, "environment": {...}} is answered with {"exit_code": 0}.
A fork ends as the program would: the same handler of uncaught exceptions, and threads are waited for.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time

# Longer than any command of the table takes; a command that hangs is an outcome too.
SECONDS = 120


def main() -> None:
    # stdout is the answers' from here on: the connector may print while it is imported.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    connector = imported()
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run(connector, request)
        print(json.dumps({"exit_code": wait(child)}), file=answers, flush=True)


def imported() -> type:
    """The connector's class, with everything loaded that does not depend on the command: a fork starts in a moment."""
    import boto3
    import jsonschema.validators
    import nltk

    # Tried at each import, for documents only; without a network each attempt waits for a name.
    nltk.download = lambda *_, **__: False
    from source_s3.v4 import SourceS3

    # Each start checks that the connector's specification is a JSON schema, which takes half a second.
    SourceS3.create().spec(None)
    for dialect in jsonschema.validators._META_SCHEMAS.values():
        dialect.check_schema = lambda *_, **__: None
    boto3.client("s3", region_name="us-east-1", aws_access_key_id="warm", aws_secret_access_key="warm")
    # The garbage collector of a fork would touch, and so copy, all pages.
    gc.collect()
    gc.freeze()
    return SourceS3


def wait(child: int) -> int:
    """The exit code of the child, which is ended when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -int(signal.SIGKILL)


def run(connector: type, request: dict) -> None:
    """One command, as the installed program runs it; never comes back."""
    os.environ.update(request.get("environment") or {})
    for path, descriptor in ((os.devnull, 0), (request["stdout"], 1), (request["stderr"], 2)):
        opened = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = ["source-s3", *request["arguments"]]
    code = 1
    try:
        connector.launch(sys.argv[1:])
        code = 0
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # what the interpreter does at its end: workers are waited for
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
