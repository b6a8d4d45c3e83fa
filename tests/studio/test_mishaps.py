"""Disconnected clients, removed files and full disks cause no traceback and leave no files."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from metastyle.studio.app import create_app
from metastyle.studio.settings import Limits, StudioSettings
from metastyle.studio.store import FullError, Store, new_id

from .conftest import LIMITS, encoded, files


def ended(client: TestClient, job: str) -> dict[str, Any]:
    for _ in range(600):
        state: dict[str, Any] = client.get(f"/api/jobs/{job}").json()
        if state["state"] not in ("queued", "running"):
            return state
        time.sleep(0.1)
    raise AssertionError(f"the job is still {state}")


@pytest.mark.parametrize("path", ["/api/pictures", "/api/styles", "/api/clips"])
def test_a_disconnected_client_leaves_no_file(tmp_path: Path, path: str) -> None:
    app = create_app(StudioSettings(folder=tmp_path, device="cpu", limits=LIMITS))
    messages = [{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}]
    before = files(tmp_path)

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(_: Any) -> None:
        return None

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8741"), (b"content-length", b"100000")],
    }
    asyncio.run(app(scope, receive, send))
    assert files(tmp_path) == before


def test_removed_files_are_reported(client: TestClient, settings: StudioSettings) -> None:
    picture = client.post("/api/pictures?name=a.png", content=encoded(seed=77)).json()["id"]
    wanted = {"photo": picture, "styles": []}
    job = client.post("/api/paintings", json=wanted).json()["id"]
    assert ended(client, job)["state"] == "done"
    for path in [*settings.folder.glob(f"picture/{picture}*"), *settings.folder.glob("result/*")]:
        path.unlink()
    for address in (f"/api/pictures/{picture}/preview", f"/api/jobs/{job}/result"):
        answer = client.get(address)
        assert (answer.status_code, "no longer" in answer.json()["error"]) == (404, True)
    failed = client.post("/api/paintings", json=wanted).json()["id"]
    assert ended(client, failed)["state"] == "failed"


def test_the_queue_survives_temporary_write_errors(
    client: TestClient, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = client.app.state.store  # type: ignore[attr-defined]

    def failing_twice(change: Callable[..., Any]) -> Callable[..., Any]:
        failures = [FullError("the disk is full")] * 2

        def wrapped(*given: Any, **named: Any) -> Any:
            if failures:
                raise failures.pop()
            return change(*given, **named)

        return wrapped

    for name in ("next_job", "finish"):
        monkeypatch.setattr(store, name, failing_twice(getattr(store, name)))
    for _ in range(2):
        job = client.post("/api/paintings", json={"photo": photo, "styles": []}).json()["id"]
        assert ended(client, job)["state"] == "done"


def test_the_queue_survives_when_no_worker_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without memory for a process, jobs wait until there is some."""
    start, failures = BaseProcess.start, [OSError(errno.ENOMEM, "no memory")] * 2

    def failing_twice(process: BaseProcess) -> None:
        if failures:
            raise failures.pop()
        start(process)

    monkeypatch.setattr(BaseProcess, "start", failing_twice)
    settings = StudioSettings(folder=tmp_path, device="cpu", limits=LIMITS)
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8741") as client:
        photo = client.post("/api/pictures", content=encoded()).json()["id"]
        job = client.post("/api/paintings", json={"photo": photo, "styles": []}).json()["id"]
        assert ended(client, job)["state"] == "done"
    assert not failures


def test_unfinished_work_is_removed_at_the_end_of_a_job(tmp_path: Path) -> None:
    store = Store(tmp_path, LIMITS)
    for state in ("done", "failed", "canceled"):
        job = store.enqueue("film", {})
        (tmp_path / "work" / job.id).mkdir()
        (tmp_path / "work" / job.id / "segment").write_bytes(b"x")
        (tmp_path / "work" / f"{job.id}.f16").write_bytes(b"x")
        (tmp_path / "result" / f"{job.id}.mp4").write_bytes(b"x")
        store.finish(job.id, state)
        assert (tmp_path / "result" / f"{job.id}.mp4").exists()
    assert not list((tmp_path / "work").iterdir())


def test_segments_of_films_count_towards_the_storage_limit(tmp_path: Path) -> None:
    store = Store(tmp_path, Limits(stored_bytes=200_000, free_bytes=0))
    store.check_room(0)
    (tmp_path / "work" / "a").mkdir()
    (tmp_path / "work" / "a" / "segment").write_bytes(bytes(300_000))
    with pytest.raises(FullError, match="at most"):
        store.check_room(0)


def test_what_a_killed_studio_has_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """Files without a record, temporary files and results of unfinished jobs go; all others stay."""
    store = Store(tmp_path, replace(LIMITS, waiting=9))
    kept, strays = set(), set()
    for kind in ("picture", "clip", "style"):
        kept.add(f"{kind}/{store.add(kind, 'a', {}).id}")
        strays |= {f"{kind}/{new_id()}", f"{kind}/.{new_id()}.part", f"{kind}/{new_id()}.jpg"}
        kept.add(f"{kind}/{kind}.jpg")  # somebody else's
    strays.add(f"picture/{'0a' * 16}.png")
    for kind in ("adapt", "paint", "film"):
        waiting, done, failed = (store.enqueue(kind, {}).id for _ in range(3))
        store.finish(done, "done", result={})
        store.finish(failed, "failed")
        kept |= {f"result/{done}.jpg", f"work/{waiting}.f16", f"work/{waiting}.d/job.json"}
        strays |= {f"result/{waiting}.jpg", f"result/{new_id()}.mp4", f"work/{new_id()}.safetensors"}
        strays |= {f"work/{done}.f16", f"work/{failed}.f16", f"style/{waiting}"}
    strays.add(f"work/{new_id()}/film.parts/job.json")
    for name in kept | strays:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    store.close()
    Store(tmp_path, LIMITS).close()
    assert {name for name in files(tmp_path) if "/" in name} == kept


def test_starts_that_a_killed_studio_interrupted_do_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path, LIMITS)
    job = store.enqueue("paint", {}).id
    for _ in range(5):
        assert store.next_job() is not None
        assert store.requeue() == 1
    taken = store.next_job()
    assert taken is not None and (taken.id, taken.starts) == (job, 1)


def test_files_are_on_the_disk_before_the_record_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails to sync is reported, and nothing is recorded as kept or done."""
    store = Store(tmp_path, LIMITS)
    job, item = store.enqueue("paint", {}).id, new_id()
    for name in (f"picture/{item}", f"picture/{item}.jpg", f"result/{job}.png"):
        (tmp_path / name).write_bytes(b"x")

    def failing(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr("metastyle.files.os.fsync", failing)
        with pytest.raises(FullError, match="the disk is full"):
            store.add("picture", "a", {}, item)
        with pytest.raises(FullError, match="the disk is full"):
            store.finish(job, "done", result={})
    state = store.job(job)
    assert store.items("picture") == [] and state is not None and state.state == "queued"
    store.add("picture", "a", {}, item)
    store.finish(job, "done", result={})
