"""Damaged uploads are refused in one line or decoded, and the studio keeps running."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from metastyle.studio.settings import StudioSettings
from metastyle.weights.builtin_styles import builtin_path

from .conftest import encoded, files

COUNT = int(os.environ.get("METASTYLE_DAMAGED", "60"))
"""The number of files; set METASTYLE_DAMAGED=1000 for a long run."""
KINDS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "style", "clip")

Generator = np.random.Generator


def whole(kind: str) -> bytes:
    """An undamaged file."""
    if kind == "style":
        path = builtin_path("night")
        assert path is not None
        return path.read_bytes()
    if kind == "clip":
        return b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + bytes(range(256)) * 16
    if kind == "PNG":
        return encoded(seed=3)
    stream = io.BytesIO()
    Image.open(io.BytesIO(encoded(seed=3))).save(stream, kind)
    return stream.getvalue()


def cut(data: bytes, random: Generator) -> bytes:
    """Remove the end."""
    return data[: random.integers(1, len(data))]


def flipped(data: bytes, random: Generator) -> bytes:
    """Change a few bytes."""
    array = np.frombuffer(data, np.uint8).copy()
    array[random.integers(0, len(array), random.integers(1, 20))] = random.integers(0, 256)
    return array.tobytes()


def header(data: bytes, random: Generator) -> bytes:
    """Change bytes near the beginning, where sizes and types are."""
    array = np.frombuffer(data, np.uint8).copy()
    array[random.integers(0, min(64, len(array)), 4)] = random.choice([0, 1, 0x7F, 0x80, 0xFF], 4)
    return array.tobytes()


def shuffled(data: bytes, random: Generator) -> bytes:
    """Shuffle blocks."""
    blocks = [data[i : i + 256] for i in range(0, len(data), 256)]
    return b"".join(blocks[i] for i in random.permutation(len(blocks)))


def noise(data: bytes, random: Generator) -> bytes:
    """Keep the beginning and append random bytes."""
    return data[: random.integers(0, 40)] + random.bytes(int(random.integers(1, 4000)))


DAMAGES: tuple[Callable[[bytes, Generator], bytes], ...] = (cut, flipped, header, shuffled, noise)


@pytest.mark.timeout(3600)
def test_damaged_files_are_read_or_refused_in_one_line(client: TestClient, settings: StudioSettings) -> None:
    random = np.random.default_rng(11)
    originals = {kind: whole(kind) for kind in KINDS}
    refused = 0
    for number in range(COUNT):
        kind = KINDS[number % len(KINDS)]
        damage = DAMAGES[number // len(KINDS) % len(DAMAGES)]
        data = damage(originals[kind], random)
        where = {"style": "styles", "clip": "clips"}.get(kind, "pictures")
        what = f"{number}: {damage.__name__} {kind}"
        before = files(settings.folder)
        answer = client.post(f"/api/{where}?name=damaged", content=data)
        if answer.status_code == 201:
            # Accepted pictures can be shown.
            if where == "pictures":
                seen = client.get(f"/api/pictures/{answer.json()['id']}/preview")
                assert Image.open(io.BytesIO(seen.content)).size == (
                    answer.json()["width"],
                    answer.json()["height"],
                ), what
            continue
        refused += 1
        assert answer.status_code in (413, 422), (what, answer.text)
        line = answer.json()["error"]
        assert line and "\n" not in line and "(this is a bug)" not in line, (what, line)
        assert str(settings.folder) not in line, (what, "the error contains a path of the server")
        assert files(settings.folder) == before, (what, "files were left behind")
    assert refused > COUNT // 2
    assert client.post("/api/pictures?name=a.png", content=encoded(seed=78)).status_code == 201
