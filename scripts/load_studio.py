"""Many clients at once beside a running adaptation: what they wait, and what it costs in memory.

python scripts/load_studio.py [--clients 100] [--seconds 600]

Each client asks for what pages ask for: a style file, the list of styles, the jobs, what the studio is;
it uploads a photograph at first, and at times orders it painted, until the queue says that it is full. One
adaptation follows another all the time. In the end every accepted job has to be done, with its result.
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


class Adapting(threading.Thread):
    """One adaptation after another."""

    def __init__(self, painting: str, until: float) -> None:
        super().__init__(daemon=True)
        self.painting, self.until = painting, until
        self.jobs: list[str] = []
        self.running = 0.0
        """Seconds in which an adaptation ran."""

    def run(self) -> None:
        """Order the next one when the last is done, and look at it twice a second."""
        state = {"state": "done"}
        while time.monotonic() < self.until:
            if state["state"] == "done":
                try:
                    wanted = json.dumps({"painting": self.painting, "name": "beside"}).encode()
                    answer = _call("adaptations", wanted, {"content-type": "application/json"})
                    self.jobs.append(json.loads(answer)["id"])
                except HTTPError:
                    pass  # the queue is full
            time.sleep(0.5)
            if self.jobs:
                state = json.loads(_call(f"jobs/{self.jobs[-1]}"))
                self.running += 0.5 * (state["state"] == "running")


class Memory(threading.Thread):
    """The memory of the server and of its worker, again and again."""

    def __init__(self, studio: psutil.Process, until: float) -> None:
        super().__init__(daemon=True)
        self.studio, self.until = studio, until
        self.server: list[int] = []
        self.worker: list[int] = []

    def run(self) -> None:
        """Look, and rest."""
        while time.monotonic() < self.until:
            self.server.append(self.studio.memory_info().rss)
            self.worker.append(sum(one.memory_info().rss for one in self.studio.children(recursive=True)))
            time.sleep(1)


def main() -> None:
    """Start a studio, start an adaptation, let the clients ask, print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=600)
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
    adapting = Adapting(painting, time.monotonic() + 1e6)
    adapting.start()
    while not adapting.jobs or not json.loads(_call(f"jobs/{adapting.jobs[0]}"))["progress"]:
        time.sleep(0.2)
    until = time.monotonic() + seconds
    adapting.until, adapting.running = until, 0.0
    clients = [Client(number, until) for number in range(1, count + 1)]
    memory = Memory(studio, until)
    threads = [memory, adapting, *clients]
    for thread in threads[:1] + clients:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{count} clients for {seconds:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    _print_times(clients)
    ordered = [job for client in clients for job in client.jobs]
    print(f"answers: {dict(sum((client.answers for client in clients), Counter[int]()))}")
    print(f"an adaptation ran for {adapting.running / seconds:.0%} of the time")
    _print_memory(memory)
    for job in adapting.jobs[-1:]:
        _call(f"jobs/{job}/stop", b"")  # good enough: the pictures that wait have their turn
    lost = [job for job in ordered + adapting.jobs if not _ends_well(job, adapting.jobs)]
    print(f"accepted: {len(ordered)} pictures, {len(adapting.jobs)} adaptations; lost: {len(lost)}")


def _print_times(clients: list[Client]) -> None:
    print("\n| requests | | median | p99 | longest |\n|---|---|---|---|---|")
    for kind in ("small", "file", "upload", "order"):
        took = np.array([t for client in clients for k, t in client.took if k == kind])
        if len(took):
            median, p99 = np.percentile(took, [50, 99])
            print(f"| {kind} | {len(took)} | {median:.3f} s | {p99:.3f} s | {took.max():.3f} s |")
    print()


def _print_memory(memory: Memory) -> None:
    """The most of each tenth of the time."""
    for name, seen in (("server", memory.server), ("worker", memory.worker)):
        tenths = [part.max() / 1e6 for part in np.array_split(np.array(seen), 10) if len(part)]
        print(f"the {name}'s memory in MB, by tenths: {' '.join(f'{most:.0f}' for most in tenths)}")


def _ends_well(job: str, adaptations: list[str]) -> bool:
    """Wait until a job is done; whether it has its result."""
    try:
        while (state := json.loads(_call(f"jobs/{job}")))["state"] in ("queued", "running"):
            time.sleep(0.2)
        if state["state"] == "done":
            return bool(_call(f"styles/{job}/file" if job in adaptations else f"jobs/{job}/result"))
    except HTTPError:
        pass
    return False


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
