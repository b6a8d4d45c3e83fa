"""Films through the interface: a clip in, a preview, a film with sound out; begun jobs go on after a kill."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

av = pytest.importorskip("av")
pytest.importorskip("cv2")

from clips import make_clip, moving  # noqa: E402


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
    assert np.abs(frames[0].astype(int) - moving(1)[0]).mean() > 10, "it has been painted"


def test_a_preview_is_three_frames_in_one_picture(client: TestClient, clip: str) -> None:
    wanted = {"clip": clip, "styles": [{"style": "night"}], "preview": True}
    job = client.post("/api/films", json=wanted).json()["id"]
    assert finished(client, job)["state"] == "done"
    picture = Image.open(io.BytesIO(client.get(f"/api/jobs/{job}/result").content))
    assert picture.size == (3 * 64, 48)


def test_what_is_no_clip_is_refused(client: TestClient, clip: str) -> None:
    answer = client.post("/api/clips?name=x.mp4", content=b"not a film at all")
    assert answer.status_code == 422
    assert "the file" in answer.json()["error"]
    wrong = {"clip": clip, "styles": [{"style": "night"}], "begin": 2, "end": 1}
    assert "not after" in client.post("/api/films", json=wrong).json()["error"]
    assert client.post("/api/films", json={"clip": "none", "styles": [{"style": "night"}]}).status_code == 404
