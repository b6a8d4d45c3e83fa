from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle.core.settings import AdaptationSettings
from metastyle.images import contents, procedural
from metastyle.images.contents import Contents, open_reduced, photo_pool, procedural_pool, spread
from metastyle.images.decode import open_picture
from metastyle.images.picture import Picture


def flat(*levels: int) -> list[Picture]:
    return [Picture(np.full((80, 100, 3), level, np.uint8)) for level in levels]


def never() -> Sequence[Picture]:
    raise AssertionError("the photographs are not needed")


def test_the_pool_has_the_given_share_of_procedural_pictures() -> None:
    pool = Contents(lambda: flat(51, 102), procedural=0.25).pool(8, 64, seed=3)
    assert pool.shape == (8, 3, 64, 64)
    assert (
        torch.allclose(pool[:6, 0, 0, 0], torch.tensor([0.2, 0.4] * 3)) and pool[:6].std((2, 3)).max() < 1e-6
    )
    assert torch.equal(pool[6:], procedural_pool(2, 64, seed=3))
    few = Contents(lambda: flat(51)).pool(1, 64, seed=3)
    assert few.shape[0] == 1 and torch.allclose(few, torch.tensor(0.2))
    assert torch.equal(Contents().pool(2, 64, seed=3), procedural_pool(2, 64, seed=3))
    assert torch.equal(Contents(lambda: flat(51), procedural=1.0).pool(2, 64, 3), procedural_pool(2, 64, 3))


def test_a_small_pool_uses_evenly_spaced_photographs() -> None:
    levels = photo_pool(flat(0, 51, 102, 153, 204, 255), 3, 64, 0, 1.5)[:, 0, 0, 0]
    assert torch.allclose(levels, torch.tensor([0, 0.4, 0.8]))
    assert spread([1, 2], 5) == [1, 2] and spread([], 3) == []


def test_crops_are_seen_up_to_the_given_scale() -> None:
    stripes = np.zeros((600, 800, 3), np.uint8)
    stripes[:, np.arange(800) // 4 % 2 == 0] = 255  # too fine for 64 pixels across the shorter side
    photo = Picture(stripes)
    for zoom, seen in ((1.0, False), (1.5, False), (9.0, True)):
        pool = Contents(lambda: [photo], procedural=0.0, zoom=zoom).pool(12, 64, 0)
        assert (pool.std((1, 2, 3)).max().item() > 0.2) == seen
    small = Picture(stripes[:32, :64])
    assert Contents(lambda: [small], procedural=0.0, zoom=9.0).pool(2, 64, 0).shape == (2, 3, 64, 64)


def test_contents_avoid_transparent_parts() -> None:
    photo = flat(100)[0]
    alpha = np.full((80, 100), 255, np.uint8)
    alpha[:, 50:], photo.pixels[:, 50:] = 0, 255
    pool = photo_pool([replace(photo, alpha=alpha)], 4, 64, 0, 1.5)
    assert pool.max() < 0.45


def test_the_identity_depends_on_pixels_or_place_and_on_the_procedural_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = [
        Contents(),
        Contents(lambda: flat(1)),
        Contents(lambda: flat(2)),
        Contents(lambda: flat(1), procedural=0.5),
        Contents(lambda: flat(1), procedural=0.0),
        Contents(never, place="a"),
        Contents(never, place="b"),
        Contents(never, procedural=0.5, place="b"),
        Contents(never, zoom=3.0, place="b"),
        Contents(lambda: flat(1), zoom=3.0),
    ]
    before = [each.identity for each in known]
    assert len(set(before)) == len(known)
    assert Contents(lambda: flat(1)).identity == before[1]
    assert Contents(never, place="a", stand="later").identity == before[5]
    monkeypatch.setattr(procedural, "VERSION", "another")
    assert [a == b.identity for a, b in zip(before, known, strict=True)].count(True) == 1  # only photographs


def test_the_record_of_contents_has_no_file_names() -> None:
    assert Contents().record() == {"contents": "procedural"}
    own = Contents(lambda: flat(1, 2), place="p", stand="s")
    record = own.record()
    about = record["learned_on"]
    assert record["contents"] == "photos and procedural"
    assert about["procedural_share"] == contents.PROCEDURAL_SHARE
    assert len(set(about["photographs"])) == 2 and (about["place"], about["stand"]) == ("p", "s")
    assert Contents(lambda: flat(1), procedural=0.0).record()["contents"] == "photos"
    assert not own.differs(record) and not Contents(lambda: flat(3)).differs(record)
    assert Contents(never, place="p", stand="later").differs(record)
    assert not own.differs({"contents": "synthetic"})  # an older version, which recorded no photographs


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_are_decoded_at_a_reduced_size(tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((1600, 1200))
    coarse.convert(mode).save(path, exif=exif)
    assert open_picture(path, at_least=290).size == (300, 400)
    assert open_picture(path, at_least=301).size == (600, 800)
    small = open_reduced(path, 100)
    assert min(small.size) == 100
    expected = np.asarray(
        Image.fromarray(open_picture(path).pixels).resize(small.size, Image.Resampling.LANCZOS)
    )
    assert np.abs(small.pixels.astype(int) - expected).mean() < 2


def test_other_pictures_are_reduced_but_not_enlarged(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (400, 300), (9, 9, 9)).save(stream, "PNG")
    assert open_reduced(stream, 100).size == (133, 100)
    assert open_reduced(stream, 1000).size == (400, 300)


def test_spread_chooses_evenly_spaced_items() -> None:
    paths = [Path(f"{n}.png") for n in range(7)]
    assert [p.stem for p in spread(paths, 3)] == ["0", "2", "4"]
    assert spread(paths, 7) == spread(paths, 9) == paths
    assert spread([], 3) == []


@pytest.mark.parametrize(
    ("steps", "batch", "pool", "contents"),
    [(60, 1, 24, 24), (5, 2, 24, 10), (0, 1, 24, 1), (40, 4, 100, 100)],
)
def test_pool_has_no_more_contents_than_steps_need(steps: int, batch: int, pool: int, contents: int) -> None:
    settings = AdaptationSettings(steps=steps, batch=batch, pool=pool, size=64)
    assert Contents().pool(settings.contents, settings.size, settings.seed).shape == (contents, 3, 64, 64)
