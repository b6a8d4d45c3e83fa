"""The studio's HTTP interface with a real worker."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import metastyle
from metastyle.core.loss_network import LossNetwork
from metastyle.studio import assets
from metastyle.studio.app import create_app
from metastyle.studio.graphs import GRAPHS, flatten
from metastyle.studio.pace import expected
from metastyle.studio.settings import StudioSettings
from metastyle.weights.builtin_styles import builtin_path
from metastyle.weights.initialization import load_initialization

from .conftest import LIMITS, encoded, files


def events(client: TestClient, job: str) -> list[dict[str, Any]]:
    """All states of a job until its end."""
    with client.stream("GET", f"/api/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_picture_is_stored_once_and_has_a_preview(client: TestClient, photo: str) -> None:
    known = client.get(f"/api/pictures/{photo}").json()
    assert known == {"id": photo, "name": "photo", "width": 96, "height": 64, "alpha": False}
    preview = client.get(f"/api/pictures/{photo}/preview")
    assert Image.open(io.BytesIO(preview.content)).size == (96, 64)
    assert client.post("/api/pictures", content=encoded(seed=1)).json()["id"] == photo


def test_invalid_pictures_are_refused_and_leave_no_file(client: TestClient, settings: StudioSettings) -> None:
    before = files(settings.folder)
    cases = {
        b"": (422, "empty"),
        b"not a picture": (422, "not a picture"),
        encoded()[:400]: (422, "damaged"),
        encoded(2000, 501, kind="JPEG"): (422, "megapixels"),
        b"\0" * (settings.limits.picture_bytes + 1): (413, "larger than 1 MB"),
    }
    for content, (status, words) in cases.items():
        answer = client.post("/api/pictures", content=content)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
        assert str(settings.folder) not in answer.text
    assert files(settings.folder) - {"studio.sqlite-wal", "studio.sqlite-shm"} <= before | {"studio.sqlite"}


def test_a_body_without_a_stated_length_is_limited_too(client: TestClient, settings: StudioSettings) -> None:
    chunks = (b"\0" * 65536 for _ in range(settings.limits.picture_bytes // 65536 + 2))
    assert client.post("/api/pictures", content=chunks).status_code == 413


def test_names_are_not_used_in_paths(client: TestClient, settings: StudioSettings) -> None:
    name = "..%2F..%2Fetc%2Fevil%0Aname.png"
    answer = client.post(f"/api/pictures?name={name}", content=encoded(seed=3)).json()
    assert answer["name"] == "evil name"
    assert not any("evil" in one for one in files(settings.folder))
    for path in ("/api/pictures/..%2Fstudio.sqlite/preview", "/api/styles/..%2F..%2Fx/file"):
        assert client.get(path).status_code in (404, 422)


def test_built_in_styles_are_listed_and_can_be_downloaded(client: TestClient) -> None:
    listed = {style["id"]: style for style in client.get("/api/styles").json()}
    assert listed["starry-night"]["origin"] == "builtin"
    assert "Gogh" in listed["starry-night"]["note"]
    path = builtin_path("starry-night")
    assert path is not None
    assert client.get("/api/styles/starry-night/file").content == path.read_bytes()


def test_the_page_gets_its_model(client: TestClient) -> None:
    model = client.get("/model/model.json").json()
    initialization, base = load_initialization()
    assert model["base"] == base
    assert model["segments"][-1] == ["out.bias", [3], 1_679_232]
    theta = np.frombuffer(client.get("/model/theta.f16").content, "<f2")
    own = flatten(dict(initialization.network.named_parameters())).numpy()
    np.testing.assert_array_equal(theta, own.astype(np.float16))
    for name in GRAPHS:
        answer = client.get(f"/model/{name}.onnx")
        assert len(answer.content) > 5000
        known = client.get(f"/model/{name}.onnx", headers={"if-none-match": answer.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
    assert client.get("/model/other.onnx").status_code == 404


def test_files_with_a_digest_in_their_name_are_cached_by_browsers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<html></html>")
    (page / "assets" / "x-1a2b.wasm").write_bytes(b"\0asm")
    monkeypatch.setattr(assets, "PAGE", page)
    app = create_app(StudioSettings(folder=tmp_path / "own", device="cpu", limits=LIMITS))
    client = TestClient(app, base_url="http://127.0.0.1:8741")
    assert client.get("/").headers["cache-control"] == "no-cache"
    wasm = client.get("/assets/x-1a2b.wasm")
    assert wasm.headers["content-type"] == "application/wasm", "needed for streaming compilation"
    assert "immutable" in wasm.headers["cache-control"]
    assert client.get("/assets/none.wasm").status_code == 404


def test_a_painting_becomes_a_style_that_paints(
    client: TestClient, painting: str, photo: str, loss_network: LossNetwork, tmp_path: Path
) -> None:
    """Adaptation takes three steps; the downloaded style paints the same in Python."""
    request = {"painting": painting, "photos": [photo], "effort": "draft", "steps": 3, "name": "noise"}
    job = client.post("/api/adaptations", json=request).json()
    states = events(client, job["id"])
    assert states[-1]["state"] == "done", states[-1]
    steps = [s["progress"]["step"] for s in states if s["progress"]]
    assert steps == sorted(steps)
    assert states[-1]["result"]["steps"] == 3
    pace = states[-1]["result"]["pace"]
    seconds = client.get("/api/studio").json()["adaptation_seconds"]
    assert seconds == expected(pace)
    assert 0 < seconds["draft"] < seconds["normal"] < seconds["fine"]
    style_id = states[-1]["result"]["style"]
    assert client.get("/api/styles").json()[0] == {
        "id": style_id,
        "name": "noise",
        "origin": "painting",
        "grain": 0.3,
        "note": "",
        "painting": painting,
    }
    path = tmp_path / "style.safetensors"
    path.write_bytes(client.get(f"/api/styles/{style_id}/file").content)
    style = metastyle.load(path)
    assert (style.painting, len(style.curve)) == ("noise", 3)

    wanted = {"photo": photo, "styles": [{"style": style_id}], "format": "png"}
    painted = client.post("/api/paintings", json=wanted).json()
    assert events(client, painted["id"])[-1]["result"]["width"] == 96
    result = client.get(f"/api/jobs/{painted['id']}/result")
    in_python = style.stylize(io.BytesIO(client.get(f"/api/pictures/{photo}/preview").content), device="cpu")
    ours = np.asarray(Image.open(io.BytesIO(result.content)), int)
    # The preview is a JPEG of the uploaded PNG, so the results are only similar.
    assert np.abs(ours - np.asarray(in_python, int)).mean() < 6
    assert client.delete(f"/api/jobs/{painted['id']}").status_code == 204
    assert client.get(f"/api/jobs/{painted['id']}/result").status_code == 404


def test_a_stopped_adaptation_becomes_a_style(
    client: TestClient, painting: str, loss_network: LossNetwork
) -> None:
    request = {"painting": painting, "effort": "draft", "steps": 500, "name": "long"}
    job = client.post("/api/adaptations", json=request).json()["id"]
    with client.stream("GET", f"/api/jobs/{job}/events") as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            state = json.loads(line.removeprefix("data: "))
            if (state["progress"] or {}).get("revision", 0) >= 2 and state["state"] == "running":
                numbers = np.frombuffer(client.get(f"/api/jobs/{job}/parameters").content, "<f2")
                assert numbers.shape == (1_679_235,)
                assert np.isfinite(numbers).all()
                client.post(f"/api/jobs/{job}/stop")
    assert state["state"] == "done"
    assert 1 <= state["result"]["steps"] < 500
    assert client.get(f"/api/jobs/{job}/parameters").status_code == 404


def test_a_canceled_job_leaves_no_style(client: TestClient, painting: str, loss_network: LossNetwork) -> None:
    before = client.get("/api/styles").json()
    request = {"painting": painting, "effort": "draft", "steps": 500, "name": "unwanted"}
    running, waiting = (client.post("/api/adaptations", json=request).json()["id"] for _ in range(2))
    assert client.delete(f"/api/jobs/{waiting}").status_code == 204
    assert client.get(f"/api/jobs/{waiting}").json()["state"] == "canceled"
    client.delete(f"/api/jobs/{running}")
    assert events(client, running)[-1]["state"] == "canceled"
    assert client.get("/api/styles").json() == before


def test_a_full_queue_refuses_jobs(
    client: TestClient, painting: str, loss_network: LossNetwork, settings: StudioSettings
) -> None:
    request = {"painting": painting, "effort": "draft", "steps": 500, "name": "many"}
    answers = [client.post("/api/adaptations", json=request) for _ in range(settings.limits.waiting + 2)]
    # Whether the fourth or the fifth is one too many depends on when the worker takes the first.
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused and all(answer.status_code == 503 for answer in refused)
    assert "waiting already" in refused[0].json()["error"]
    for job in client.get("/api/jobs").json():
        if job["state"] in ("queued", "running"):
            client.delete(f"/api/jobs/{job['id']}")
            events(client, job["id"])


def test_a_mixture_is_stored_with_its_parts(client: TestClient) -> None:
    parts = [{"style": "night", "weight": 3}, {"style": "mosaic", "weight": 1}]
    mixture = client.post("/api/mixtures", json={"styles": parts, "name": "a mixture"}).json()
    assert mixture["origin"] == "mixture"
    assert re.match(r"0.75 .* \+ 0.25 ", mixture["note"])
    again = client.patch(f"/api/styles/{mixture['id']}", json={"name": "renamed"}).json()
    assert again["name"] == "renamed"
    copy = client.get(f"/api/styles/{mixture['id']}/file").content
    imported = client.post("/api/styles?name=copy.safetensors", content=copy).json()
    assert (imported["name"], imported["origin"]) == ("copy", "imported")
    for style in (mixture, imported):
        assert client.delete(f"/api/styles/{style['id']}").status_code == 204
        assert client.get(f"/api/styles/{style['id']}/file").status_code == 404


def test_an_invalid_style_is_refused(client: TestClient) -> None:
    answer = client.post("/api/styles", content=b"\x80\x04cos\nsystem\n")
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("path", "document", "words"),
    [
        ("/api/paintings", {"photo": "nothing", "styles": []}, "no picture nothing"),
        ("/api/paintings", {"photo": "../x", "styles": []}, "photo"),
        ("/api/paintings", {"photo": "a", "styles": [], "strength": 9}, "strength"),
        ("/api/paintings", {"photo": "a", "styles": [], "other": 1}, "other"),
        ("/api/adaptations", {"painting": "nothing"}, "no picture nothing"),
        ("/api/mixtures", {"styles": [{"style": "night"}], "name": "x"}, "styles"),
    ],
)
def test_impossible_requests_are_refused_in_one_line(
    client: TestClient, path: str, document: dict[str, Any], words: str
) -> None:
    answer = client.post(path, json=document)
    assert answer.status_code in (404, 422)
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_the_interface_is_documented(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    assert {"/api/pictures", "/api/adaptations", "/api/paintings", "/api/jobs/{job}/events"} <= set(
        document["paths"]
    )
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            assert about["description"], f"{method} {path} has no description"
