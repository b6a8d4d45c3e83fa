from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metastyle.cli.contents import asked_for, cached_for_others, photographs
from metastyle.images.contents import MOST_PHOTOS

Draw = Callable[..., Path]


def test_photographs_given_by_name_are_identified_by_their_pixels(tmp_path: Path, draw: Draw) -> None:
    one, two = draw(tmp_path / "a.png", seed=1), draw(tmp_path / "b.png", seed=2)
    same = draw(tmp_path / "c.png", seed=1)
    known = photographs([one], [one], 64)
    assert known.identity == photographs([same], [same], 64).identity
    assert known.identity != photographs([two], [two], 64).identity
    assert known.identity != photographs([one, two], [one, two], 64).identity


def test_folders_and_patterns_are_identified_by_their_paths(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [draw(tmp_path / "in" / f"{name}.png", seed=seed) for seed, name in enumerate("ab")]
    folder, pattern = tmp_path / "in", tmp_path / "in" / "*.png"
    before = photographs([folder], photos, 64)
    monkeypatch.chdir(tmp_path)
    assert photographs([Path("in")], photos, 64).identity == before.identity
    assert photographs([pattern], photos, 64).identity != before.identity
    later = [*photos, draw(folder / "c.png", seed=3)]
    after = photographs([folder], later, 64)
    assert after.identity == before.identity
    assert not after.differs(after.record()) and after.differs(before.record())
    line = cached_for_others("waves", before.record(), after)
    assert line is not None and "--adapt-again" in line
    assert cached_for_others("waves", after.record(), after) is None


def test_chosen_photographs_are_evenly_spaced_and_readable(tmp_path: Path, draw: Draw) -> None:
    photos = [draw(tmp_path / f"{index:02}.png", seed=index) for index in range(3 * MOST_PHOTOS)]
    for index in range(0, len(photos), 3):
        photos[index].write_bytes(b"no picture")
    for index in range(3):
        photos[index].write_bytes(b"no picture")
    found = photographs([tmp_path], photos, 64).photos
    assert [Path(photo.name).stem for photo in found] == [f"{3 * k + 1:02}" for k in range(1, MOST_PHOTOS)]
    assert all(np.ptp(photo.pixels) > 0 for photo in found)


def test_an_existing_path_takes_precedence_over_the_keyword(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert asked_for(None) is None
    assert asked_for(Path("procedural")) == "procedural"
    (tmp_path / "procedural").mkdir()
    assert asked_for(Path("procedural")) == str(tmp_path / "procedural")
