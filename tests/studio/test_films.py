"""Films over the HTTP interface: clips, previews, films with sound, and jobs that are stopped or fail."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

av = pytest.importorskip("av")
pytest.importorskip("cv2")

from clips import make_clip, moving  # noqa: E402

from metastyle.studio import film_tasks  # noqa: E402
from metastyle.studio.settings import StudioSettings  # noqa: E402
from metastyle.studio.task import CanceledError, Task  # noqa: E402


def finished(client: TestClient, job: str) -> dict[str, object]:
    with client.stream("GET", f"/api/jobs/{job}/events") as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    state: dict[str, object] = json.loads(lines[-1].removeprefix("data: "))
    return state


@pytest.fixture(scope="module")
def clip(client: TestClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", moving(12))
    answer = client.post("/api/clips?name=holiday.mp4", content=path.read_bytes())
    assert answer.status_code == 201, answer.text
    about = answer.json()
    assert (about["name"], about["width"], about["height"]) == ("holiday", 64, 48)
    assert about["seconds"] == pytest.approx(0.48, abs=0.1)
    return str(about["id"])


def test_a_clip_becomes_a_film_with_sound(client: TestClient, clip: str, tmp_path: Path) -> None:
    wanted = {"clip": clip, "styles": [{"style": "night"}], "smoothing": 0.3}
    job = client.post("/api/films", json=wanted).json()["id"]
    state = finished(client, job)
    assert state["state"] == "done", state
    path = tmp_path / "film.mp4"
    path.write_bytes(client.get(f"/api/jobs/{job}/result").content)
    with av.open(str(path)) as film:
        kinds = {stream.type for stream in film.streams}
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert kinds == {"video", "audio"}
    assert len(frames) == 12
    assert np.abs(frames[0].astype(int) - moving(1)[0]).mean() > 10, "the frame was not painted"


def test_a_preview_is_three_frames_in_one_picture(client: TestClient, clip: str) -> None:
    wanted = {"clip": clip, "styles": [{"style": "night"}], "preview": True}
    job = client.post("/api/films", json=wanted).json()["id"]
    assert finished(client, job)["state"] == "done"
    picture = Image.open(io.BytesIO(client.get(f"/api/jobs/{job}/result").content))
    assert picture.size == (3 * 64, 48)


@pytest.mark.parametrize("preview", [False, True])
def test_an_animation_is_a_clip(preview: bool, client: TestClient) -> None:
    stream = io.BytesIO()
    first, *others = (Image.fromarray(pixels) for pixels in moving(4, (32, 24)))
    first.save(stream, "WEBP", save_all=True, append_images=others, duration=50)
    answer = client.post("/api/clips?name=wave.webp", content=stream.getvalue())
    assert answer.status_code == 201, answer.text
    assert answer.json()["seconds"] == pytest.approx(0.2)
    wanted = {"clip": answer.json()["id"], "styles": [{"style": "night"}], "preview": preview}
    state = finished(client, client.post("/api/films", json=wanted).json()["id"])
    assert state["state"] == "done", state


def test_invalid_clips_and_requests_are_refused(client: TestClient, clip: str) -> None:
    answer = client.post("/api/clips?name=x.mp4", content=b"not a film at all")
    assert answer.status_code == 422
    assert "the file" in answer.json()["error"]
    wrong = {"clip": clip, "styles": [{"style": "night"}], "begin": 2, "end": 1}
    assert "not after" in client.post("/api/films", json=wrong).json()["error"]
    assert client.post("/api/films", json={"clip": "none", "styles": [{"style": "night"}]}).status_code == 404


def test_a_film_can_be_begun_again_as_long_as_its_clip_is_there(
    client: TestClient, settings: StudioSettings, tmp_path: Path
) -> None:
    """The record of a film says how it was asked for, and its clip can be seen in parts until it is gone."""
    content = make_clip(tmp_path / "clip.mp4", moving(12)).read_bytes()
    about = client.post("/api/clips?name=lake.mp4", content=content).json()
    look = {"strength": 0.8, "grain": 0.5, "brush": 1.5, "keep_color": True, "smoothing": 0.7, "size": 32}
    wanted = {"clip": about["id"], "styles": [{"style": "night", "weight": 1.0}], "begin": 0.1, "end": 0.3}
    job = client.post("/api/films", json=wanted | look).json()["id"]
    asked = next(one for one in client.get("/api/jobs").json() if one["id"] == job)["request"]
    assert asked == wanted | look | {"name": "lake"}

    address = f"/api/clips/{about['id']}"
    assert client.get(address).json() == about
    whole = client.get(f"{address}/file")
    assert (whole.content, whole.headers["content-type"]) == (content, "video/mp4")
    part = client.get(f"{address}/file", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    client.delete(f"/api/jobs/{job}")

    (settings.folder / "clip" / about["id"]).unlink()
    for answer in (
        client.get(address),
        client.get(f"{address}/file"),
        client.post("/api/films", json=wanted),
    ):
        assert (answer.status_code, "there is no clip" in answer.json()["error"]) == (404, True)
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [("a.mkv", "libx264", "video/webm"), ("a.avi", "mpeg4", "application/octet-stream")],
)
def test_clips_are_served_as_what_they_are(
    name: str, codec: str, kind: str, client: TestClient, tmp_path: Path
) -> None:
    """Whatever they are called: browsers go by the type."""
    content = make_clip(tmp_path / name, moving(3), codec=codec).read_bytes()
    clip = client.post("/api/clips?name=page.html", content=content).json()["id"]
    assert client.get(f"/api/clips/{clip}/file").headers["content-type"] == kind


class Reports(list[dict[str, object]]):
    """The progress that a task reports; sets ``event`` at the third report."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self.event = event

    def __call__(self, progress: dict[str, object]) -> None:
        self.append(progress)
        if len(self) == 3:
            self.event.set()


def as_task(folder: Path, event: str) -> Task:
    """The task of a film that is stopped or canceled after three frames."""
    for name in ("clip", "work", "result"):
        (folder / name).mkdir(exist_ok=True)
    make_clip(folder / "clip" / "c.mp4", moving(12)).rename(folder / "clip" / "c")
    events = {"stop": threading.Event(), "cancel": threading.Event()}
    asked = {"clip": "c", "styles": [{"style": "night", "weight": 1.0}], "smoothing": 0.3, "strength": 1.0}
    asked |= {"size": None, "begin": None, "end": None, "brush": None, "grain": None, "keep_color": False}
    return Task("j", "film", asked, folder, "cpu", Reports(events[event]), events["stop"], events["cancel"])


def test_a_stopped_film_has_the_finished_frames(tmp_path: Path) -> None:
    made = film_tasks.film(as_task(tmp_path, "stop"))
    assert (made["file"], made["width"], made["height"]) == ("j.mp4", 64, 48)
    with av.open(str(tmp_path / "result" / "j.mp4")) as film:
        assert 3 <= len(list(film.decode(video=0))) < 12


def test_a_canceled_film_leaves_no_result(tmp_path: Path) -> None:
    task = as_task(tmp_path, "cancel")
    with pytest.raises(CanceledError):
        film_tasks.film(task)
    assert not list((tmp_path / "result").iterdir())


def test_a_failed_film_raises_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("metastyle.films.temporal.TemporalPainter.__call__", full)
    with pytest.raises(MemoryError):
        film_tasks.film(as_task(tmp_path, "stop"))
