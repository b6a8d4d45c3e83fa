"""A studio that was killed continues its jobs when it is started again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from metastyle.core.loss_network import LossNetwork

from .conftest import encoded
from .running import Studio, call

pytest.importorskip("uvicorn")


def children(process: int) -> set[int]:
    psutil = pytest.importorskip("psutil")
    return {child.pid for child in psutil.Process(process).children(recursive=True)}


def alive(process: int) -> bool:
    psutil = pytest.importorskip("psutil")
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.timeout(900)  # four processes import torch, perhaps on a busy machine
def test_jobs_survive_a_killed_studio_and_a_killed_worker(tmp_path: Path, loss_network: LossNetwork) -> None:
    """The worker ends with its server; the next server finishes the running job and the waiting one."""
    studio = Studio(tmp_path / "own")
    painting = call(studio.port, "pictures?name=p.png", encoded(seed=8))["id"]
    wanted = {"painting": painting, "effort": "draft", "steps": 4, "name": "killed"}
    running, waiting = (call(studio.port, "adaptations", wanted | {"steps": n})["id"] for n in (4, 1))
    for _ in range(600):
        progress = studio.wait(running, "queued", "running", "done")["progress"] or {}
        if progress.get("step", 0) >= 1:
            break
        time.sleep(0.1)
    workers = children(studio.process.pid)
    assert workers
    studio.end(signal.SIGKILL)

    again = Studio(tmp_path / "own")
    try:
        assert again.wait(running, "done", "failed")["result"]["steps"] == 4
        assert again.wait(waiting, "done", "failed")["result"]["steps"] == 1
        assert {style["name"] for style in call(again.port, "styles") if style["origin"] == "painting"} == {
            "killed"
        }
        assert not any(alive(worker) for worker in workers), "a worker outlived its server"

        # If a worker is killed, for example because memory runs out, its job is done again.
        job = call(again.port, "adaptations", wanted | {"steps": 1})["id"]
        again.wait(job, "running")
        for worker in children(again.process.pid):
            os.kill(worker, signal.SIGKILL)
        assert again.wait(job, "done", "failed")["state"] == "done"
    finally:
        again.end()
