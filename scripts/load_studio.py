"""Many clients at once beside a running adaptation: what they wait, and what it costs in memory.

python scripts/load_studio.py [--clients 100] [--seconds 60]

Each client asks for what pages ask for: the page, a style file, the list of styles, the jobs, its own
pictures; some upload a photograph, and some order one painted, until the queue says that it is full. In the
end no accepted job may be missing.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import psutil
from PIL import Image

PORT = 8799
SMALL = ("styles", "jobs", "studio")
PAUSE = 0.5
"""Seconds that a client rests between two requests, on average."""


class Client(threading.Thread):
    """One user; what its requests took, by their kind."""

    def __init__(self, number: int, until: float) -> None:
        super().__init__(daemon=True)
        self.random = np.random.default_rng(number)
        self.until = until
        self.took: list[tuple[str, float]] = []
        self.answers: Counter[int] = Counter()
        self.jobs: list[str] = []
        self.photo = ""

    def run(self) -> None:
        """Ask, rest, ask."""
        self.photo = self._ask("upload", "pictures?name=p.png", _picture(self.random))["id"]
        while time.monotonic() < self.until:
            time.sleep(self.random.exponential(PAUSE))
            if self.random.random() < 0.02:
                wanted = {"photo": self.photo, "styles": [{"style": "night"}], "size": 128}
                answer = self._ask("order", "paintings", json.dumps(wanted).encode())
                self.jobs += [answer["id"]] if "id" in answer else []
            elif self.random.random() < 0.1:
                self._ask("file", "styles/night/file")
            else:
                self._ask("small", str(self.random.choice(SMALL)))

    def _ask(self, kind: str, path: str, body: bytes | None = None) -> Any:
        headers = {"content-type": "application/json"} if kind == "order" else {}
        began = time.perf_counter()
        try:
            data = _call(path, body, headers)
            self.answers[200] += 1
        except HTTPError as error:
            data = error.read()
            self.answers[error.code] += 1
        self.took.append((kind, time.perf_counter() - began))
        return {} if kind == "file" else json.loads(data)


def main() -> None:
    """Start a studio, start an adaptation, let the clients ask, print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "metastyle", "studio", "--no-open", "--quiet", "--port", str(PORT)]
        studio = subprocess.Popen([*words, "--folder", str(Path(folder) / "own")], env=os.environ)
        try:
            _measure(options.clients, options.seconds, psutil.Process(studio.pid))
        finally:
            studio.terminate()
            studio.wait(timeout=30)


def _measure(count: int, seconds: float, studio: psutil.Process) -> None:
    _until_it_answers()
    painting = json.loads(_call("pictures?name=p.png", _picture(np.random.default_rng(0), 512)))["id"]
    wanted = json.dumps({"painting": painting, "effort": "fine", "name": "beside"}).encode()
    adaptation = json.loads(_call("adaptations", wanted, {"content-type": "application/json"}))["id"]
    while (json.loads(_call(f"jobs/{adaptation}"))["progress"] or {}).get("step", 0) < 1:
        time.sleep(0.2)
    before = studio.memory_info().rss
    clients = [Client(number, time.monotonic() + seconds) for number in range(1, count + 1)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    after = studio.memory_info().rss
    state = json.loads(_call(f"jobs/{adaptation}"))
    known = {job["id"] for job in json.loads(_call("jobs"))}
    jobs = [job for client in clients for job in client.jobs]
    answers = sum((client.answers for client in clients), Counter[int]())
    print(f"{count} clients for {seconds:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("\n| requests | | median | p99 | longest |\n|---|---|---|---|---|")
    for kind in ("small", "file", "upload", "order"):
        took = np.array([t for client in clients for k, t in client.took if k == kind])
        if len(took):
            median, p99 = np.percentile(took, [50, 99])
            print(f"| {kind} | {len(took)} | {median:.3f} s | {p99:.3f} s | {took.max():.3f} s |")
    print(f"\nanswers: {dict(answers)}; jobs accepted {len(jobs)}, lost {len(set(jobs) - known)}")
    print(f"the server's memory {before / 1e6:.0f} -> {after / 1e6:.0f} MB")
    print(f"the adaptation: {state['state']}, step {state['progress']['step'] if state['progress'] else '-'}")


def _until_it_answers() -> None:
    for _ in range(600):
        try:
            _call("studio")
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the studio does not answer")


def _call(path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = Request(f"http://127.0.0.1:{PORT}/api/{path}", body, headers or {})
    answer: bytes = urlopen(request, timeout=120).read()
    return answer


def _picture(random: np.random.Generator, edge: int = 160) -> bytes:
    stream = io.BytesIO()
    small = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(small).resize((edge, edge), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    main()
