"""The studio's command in a process of its own, as tests of interruptions need it."""

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
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def call(port: int, path: str, data: bytes | dict[str, Any] | None = None) -> Any:
    """An answer of the interface."""
    body = json.dumps(data).encode() if isinstance(data, dict) else data
    kind = {"content-type": "application/json"} if isinstance(data, dict) else {}
    request = Request(f"http://127.0.0.1:{port}/api/{path}", body, kind)
    return json.load(urlopen(request, timeout=60))


class Studio:
    """A studio that answers."""

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
        raise AssertionError("the studio does not answer")

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal."""
        self.process.send_signal(by)
        self.process.wait(timeout=30)

    def wait(self, job: str, *states: str) -> dict[str, Any]:
        """The job, in one of these states."""
        for _ in range(4000):  # minutes on a machine that is busy
            state: dict[str, Any] = call(self.port, f"jobs/{job}")
            if state["state"] in states:
                return state
            time.sleep(0.1)
        raise AssertionError(f"the job stays {state}")
