"""Kills a studio at random moments and starts it again: nothing may be lost, and nothing left behind.

python scripts/kill_studio.py [--kills 20] [--seed 0]

Every second kill comes as soon as a file has appeared or disappeared, because most seconds are arithmetic.
While it runs, a client uploads, adapts, paints, makes films, keeps mixtures, and removes some of it. After
the last kill every job that was accepted has to end as done, with a result that can be read; every accepted
upload has its bytes; the folder holds what the records name and nothing else; no process is left.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import av
import numpy as np
import psutil
from PIL import Image

LONGEST = 14.0
"""Seconds that a studio lives at most; it takes about four until it answers."""
DRAIN = 1200.0
"""Seconds for the jobs that are left after the last kill."""


KINDS = ("picture", "clip", "style", "result", "work")


class Client(threading.Thread):
    """Asks for work until it is told to end, and records what was accepted."""

    def __init__(self, address: str, seed: int, clip: bytes) -> None:
        super().__init__(daemon=True)
        self.address, self.clip = address, clip
        self.random = np.random.default_rng(seed)
        self.ending = threading.Event()
        self.uploads: dict[str, tuple[str, bytes]] = {}
        """By their path: what was uploaded, and as what."""
        self.jobs: dict[str, str] = {}
        self.removed: set[str] = set()
        self.mixtures: set[str] = set()
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        """Ask, and rest for a moment."""
        while not self.ending.is_set():
            what = self.random.choice(["picture", "clip", "adapt", "paint", "film", "mix", "remove"])
            try:
                getattr(self, f"_{what}")()
                self.answers["accepted"] += 1
            except HTTPError as error:
                self.answers[f"refused with {error.code}"] += 1
            except (OSError, HTTPException):
                self.answers["without an answer"] += 1
            time.sleep(self.random.exponential(0.2))

    def call(self, path: str, data: bytes | dict[str, Any] | None = None, method: str | None = None) -> bytes:
        """An answer's body."""
        body = json.dumps(data).encode() if isinstance(data, dict) else data
        kind = {"content-type": "application/json"} if isinstance(data, dict) else {}
        request = Request(f"{self.address}/api/{path}", body, kind, method=method)
        answer: bytes = urlopen(request, timeout=60).read()
        return answer

    def state(self, path: str, data: dict[str, Any] | bytes | None = None) -> dict[str, Any]:
        """An answer in JSON."""
        document: dict[str, Any] = json.loads(self.call(path, data))
        return document

    def _picture(self) -> str:
        data = picture(self.random)
        item: str = self.state("pictures?name=p.png", data)["id"]
        self.uploads[item] = ("picture", data)
        return item

    def _clip(self) -> str:
        item: str = self.state("clips?name=c.mp4", self.clip)["id"]
        self.uploads[item] = ("clip", self.clip)
        return item

    def _adapt(self) -> None:
        wanted = {
            "painting": self._known("picture"),
            "name": "killed",
            "effort": "draft",
            "style_size": 128,
            "steps": int(self.random.integers(1, 6)),
        }
        self.jobs[self.state("adaptations", wanted)["id"]] = "adapt"

    def _paint(self) -> None:
        wanted = {"photo": self._known("picture"), "styles": [{"style": "night"}], "size": 320}
        self.jobs[self.state("paintings", wanted)["id"]] = "paint"

    def _film(self) -> None:
        wanted = {"clip": self._known("clip"), "styles": [{"style": "night"}]}
        self.jobs[self.state("films", wanted)["id"]] = "film"

    def _mix(self) -> None:
        wanted = {"name": "mixed", "styles": [{"style": "night"}, {"style": "mosaic", "weight": 0.5}]}
        self.mixtures.add(self.state("mixtures", wanted)["id"])

    def _remove(self) -> None:
        """A finished job, with its result, or a mixture."""
        done = [job for job in self.jobs if self.random.random() < 0.3 and self._state_of(job) == "done"]
        for path in [
            *(f"jobs/{job}" for job in done[:1]),
            *(f"styles/{one}" for one in [*self.mixtures][:1]),
        ]:
            item = path.partition("/")[2]
            self.removed.add(item)  # perhaps; without an answer it may be there or not
            self.call(path, method="DELETE")

    def _state_of(self, job: str) -> str | None:
        return None if job in self.removed else str(self.state(f"jobs/{job}")["state"])

    def _known(self, kind: str) -> str:
        known = [item for item, (what, _) in self.uploads.items() if what == kind]
        if len(known) < 3:
            return self._picture() if kind == "picture" else self._clip()
        return str(self.random.choice(known))


def main() -> int:
    """Kill, start again, and check; the exit code is 1 if something was lost or left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        folder, scratch = Path(top) / "own", Path(top) / "scratch"
        scratch.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}", options.seed, clip(Path(top) / "clip.mp4"))
        faults = _killed(client, folder, scratch, port, options.kills, np.random.default_rng(options.seed))
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults")
    return bool(faults)


def _killed(
    client: Client, folder: Path, scratch: Path, port: int, kills: int, random: np.random.Generator
) -> list[str]:
    children: set[psutil.Process] = set()
    moments: Counter[str] = Counter()
    client.start()
    for number in range(kills):
        studio = _start(folder, scratch, port)
        lives = random.uniform(0.5, LONGEST)
        time.sleep(lives)
        if number % 2:
            _wait_for_a_change(folder)
        children |= set(psutil.Process(studio.pid).children(recursive=True))
        moment = _moment(folder)
        studio.send_signal(signal.SIGKILL)
        if studio.wait(timeout=30) != -signal.SIGKILL:
            return [f"the studio ended on its own, with exit code {studio.returncode}"]
        moments[moment] += 1
        print(f"kill {number + 1:2d} after {lives:4.1f} s, {moment}", flush=True)
    studio = _start(folder, scratch, port)
    try:
        client.ending.set()
        client.join()
        began = time.monotonic()
        faults = list(_check(client))
        print(f"the rest took {time.monotonic() - began:.0f} s")
    finally:
        children |= set(psutil.Process(studio.pid).children(recursive=True))
        studio.terminate()
        studio.wait(timeout=30)
    kinds = Counter(client.jobs.values())
    print(f"requests: {dict(client.answers)}")
    print(f"accepted: {dict(kinds)}, uploads {len(client.uploads)}, mixtures {len(client.mixtures)}")
    print(f"kills: {dict(moments)}")
    faults += [f"left behind: {name}" for name in _strays(folder, scratch)]
    for item, (kind, data) in client.uploads.items():
        if (folder / kind / item).read_bytes() != data:
            faults.append(f"the {kind} {item} has other bytes than were sent")
    _, alive = psutil.wait_procs([child for child in children if child.is_running()], timeout=5)
    return faults + [f"a process is left: {process}" for process in alive]


def _start(folder: Path, scratch: Path, port: int) -> subprocess.Popen[bytes]:
    words = ["-m", "metastyle", "studio", "--no-open", "--quiet", "--device", "cpu", "--port", str(port)]
    environment = {
        **os.environ,
        "TMPDIR": str(scratch),
        "TORCHINDUCTOR_CACHE_DIR": str(folder.parent / "torch"),
    }
    return subprocess.Popen([sys.executable, *words, "--folder", str(folder)], env=environment)


def _wait_for_a_change(folder: Path) -> None:
    """Until a file appears or disappears, for a few seconds at most."""
    before, until = _files(folder), time.monotonic() + 5
    while time.monotonic() < until and _files(folder) == before:
        pass


def _files(folder: Path) -> set[str]:
    folders = [folder / kind for kind in KINDS if (folder / kind).is_dir()]
    return {path.as_posix() for one in folders for path in one.iterdir()}


def _moment(folder: Path) -> str:
    """What the studio is doing, by its records."""
    try:
        with _records(folder) as db:
            row = db.execute("SELECT kind FROM job WHERE state = 'running'").fetchone()
    except sqlite3.Error:
        return "before it had records"
    return f"during {row[0]}" if row else "without a running job"


def _check(client: Client) -> Iterator[str]:
    """What was accepted, and is not as it should be."""
    _until_it_answers(client)
    for item, (kind, _) in client.uploads.items():
        if kind == "picture":
            client.call(f"pictures/{item}/preview")
    styles = {style["id"] for style in json.loads(client.call("styles"))}
    yield from (f"a mixture is lost: {one}" for one in client.mixtures - client.removed - styles)
    deadline = time.monotonic() + DRAIN
    pending = [job for job in json.loads(client.call("jobs")) if job["state"] in ("queued", "running")]
    unheard = {job["id"]: job["kind"] for job in pending if job["id"] not in client.jobs}
    for job, kind in {**client.jobs, **unheard}.items():
        try:
            state = client.state(f"jobs/{job}")
            while state["state"] in ("queued", "running") and time.monotonic() < deadline:
                time.sleep(0.2)
                state = client.state(f"jobs/{job}")
        except HTTPError as error:
            if job not in client.removed:
                yield f"{kind} {job} is lost: {error.code}"
            continue
        if state["state"] != "done":
            yield f"{kind} {job} is {state['state']}: {state.get('error')}"
        elif kind == "adapt":
            client.call(f"styles/{state['result']['style']}/file")
        else:
            yield from _unreadable(job, kind, client.call(f"jobs/{job}/result"))


def _unreadable(job: str, kind: str, data: bytes) -> Iterator[str]:
    try:
        if kind == "paint":
            Image.open(io.BytesIO(data)).load()
            return
        with av.open(io.BytesIO(data)) as film:
            frames = sum(1 for _ in film.decode(video=0))
        if frames != FRAMES:
            yield f"film {job} has {frames} of {FRAMES} frames"
    except (OSError, av.FFmpegError) as error:
        yield f"{kind} {job} cannot be read: {error}"


def _strays(folder: Path, scratch: Path) -> list[str]:
    """Files that no record names, and those that a record names and that are not there."""
    with _records(folder) as db:
        named = {f"{kind}/{item}" for item, kind in db.execute("SELECT id, kind FROM item")}
        about = db.execute("SELECT id, about FROM item WHERE kind = 'picture'").fetchall()
        results = db.execute("SELECT result FROM job WHERE state = 'done'").fetchall()
    named |= {f"picture/{item}.{json.loads(known)['preview']}" for item, known in about}
    named |= {f"result/{made['file']}" for (row,) in results if "file" in (made := json.loads(row))}
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.parent != folder and (path.is_file() or path.parent.name == "work")
    }
    lost = [f"{name} is named by a record and is not there" for name in sorted(named - there)]
    return sorted(there - named) + [str(path) for path in scratch.rglob("*")] + lost


@contextmanager
def _records(folder: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"file:{folder / 'studio.sqlite'}?mode=ro", uri=True)
    try:
        yield db
    finally:
        db.close()


def _until_it_answers(client: Client) -> None:
    for _ in range(600):
        try:
            client.call("studio")
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the studio does not answer")


FRAMES = 24


def clip(path: Path) -> bytes:
    """A film of a second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(FRAMES):
            ramp = np.linspace(0, 255, 160)[None, :, None] + np.zeros((120, 1, 3)) + 4 * number
            container.mux(stream.encode(av.VideoFrame.from_ndarray((ramp % 256).astype(np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def picture(random: np.random.Generator) -> bytes:
    """A picture that no other upload equals."""
    stream = io.BytesIO()
    small = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(small).resize((400, 300), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
