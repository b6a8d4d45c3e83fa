"""Clips damaged in 160 ways are painted as far as possible or refused in one line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import decoded, make_clip, moving

from metastyle.errors import MetastyleError
from metastyle.films.clip import open_clip
from metastyle.films.encode import choose_encoding
from metastyle.films.job import FilmJob
from metastyle.films.painter import FrameByFrame

CASES = 160
KINDS = ("cut", "bits", "zeros", "swapped", "header")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same film in six containers and three codecs."""
    folder, frames = tmp_path_factory.mktemp("whole"), moving(12, (32, 32))
    faststart = {"movflags": "+faststart"}
    return [
        make_clip(folder / "late.mp4", frames),
        make_clip(folder / "fast.mp4", frames, container_options=faststart),
        make_clip(folder / "a.mkv", frames),
        make_clip(folder / "a.ts", frames, sound="mp2"),
        make_clip(folder / "a.avi", frames, codec="mpeg4", options={}, sound="mp3"),
        make_clip(folder / "a.webm", frames, codec="libvpx-vp9", options={"b:v": "90k"}, sound="libopus"),
    ]


def damaged(whole: list[Path], seed: int) -> tuple[str, bytes]:
    """The extension and the bytes of a damaged film."""
    rng = random.Random(seed)
    path = whole[seed % len(whole)]
    data = bytearray(path.read_bytes())
    kind = KINDS[seed % len(KINDS)]
    if kind == "cut":
        data = data[: rng.randrange(len(data))]
    elif kind == "bits":
        for _ in range(rng.choice([1, 5, 50, 500])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "zeros":
        start, length = rng.randrange(len(data)), rng.choice([10, 200, 2000])
        data[start : start + length] = bytes(len(data[start : start + length]))
    elif kind == "swapped":
        a, b = rng.randrange(len(data) - 300), rng.randrange(len(data) - 300)
        data[a : a + 300], data[b : b + 300] = data[b : b + 300], data[a : a + 300]
    else:
        for _ in range(10):
            data[rng.randrange(min(len(data), 600))] = rng.randrange(256)
    return path.suffix, bytes(data)


def outcomes(whole: list[Path], folder: Path) -> Iterator[str]:
    """Whether each damaged film is refused, painted partly or painted whole."""
    for seed in range(CASES):
        suffix, content = damaged(whole, seed)
        path, out = folder / f"clip{suffix}", folder / "out.mp4"
        path.write_bytes(content)
        painted = 0
        try:
            clip = open_clip(path)
            job = FilmJob(clip, out, choose_encoding(out, None, None), identity={}, frames_per_segment=5)
            for progress in job.run(FrameByFrame(lambda pixels: pixels)):
                painted = progress.frames
            notes = job.finish()
        except MetastyleError as error:
            lines = [str(error)]
            assert painted == 0, f"{seed}: {error}"
            yield "refused"
        else:
            lines = [*notes, job.damage.sentence(path) or ""]
            assert len(decoded(out)) == painted > 0, seed
            out.unlink()
            yield "partly" if lines[-1] else "whole"
        assert all("\n" not in line and len(line) < 400 for line in lines), seed
        assert [p.name for p in folder.iterdir()] == [path.name], seed
        path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_damaged_films_are_painted_or_refused_in_one_line(
    whole: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = list(outcomes(whole, tmp_path))
    assert len(found) == CASES
    assert all(found.count(kind) > CASES // 20 for kind in ("refused", "partly", "whole"))
    said = capfd.readouterr()
    assert said.out == "" and said.err == ""
