"""The studio command in a separate process, for tests of interruptions."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def call(port: int, path: str, data: bytes | dict[str, Any] | None = None) -> Any:
    """The answer of the HTTP interface."""
    body = json.dumps(data).encode() if isinstance(data, dict) else data
    kind = {"content-type": "application/json"} if isinstance(data, dict) else {}
    request = Request(f"http://127.0.0.1:{port}/api/{path}", body, kind)
    return json.load(urlopen(request, timeout=60))


class Studio:
    """A running studio."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        words = ["-m", "metastyle", "studio", "--no-open", "--quiet", "--device", "cpu"]
        options = ["--port", str(self.port), "--folder", str(folder)]
        self.process = subprocess.Popen([sys.executable, *words, *options], env=os.environ)
        for _ in range(600):
            try:
                call(self.port, "studio")
                return
            except OSError:
                assert self.process.poll() is None, "the studio has ended"
                time.sleep(0.1)
        raise AssertionError("the studio does not respond")

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal."""
        self.process.send_signal(by)
        self.process.wait(timeout=30)

    def wait(self, job: str, *states: str) -> dict[str, Any]:
        """Wait until the job is in one of these states, and return it."""
        for _ in range(4000):  # minutes on a busy machine
            state: dict[str, Any] = call(self.port, f"jobs/{job}")
            if state["state"] in states:
                return state
            time.sleep(0.1)
        raise AssertionError(f"the job is still {state}")
