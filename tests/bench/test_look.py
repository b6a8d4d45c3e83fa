from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metastyle.bench import look
from metastyle.bench.look import (
    PAINTING,
    PHOTO,
    Key,
    Preference,
    draw,
    read_key,
    score,
    sentence,
    wilson,
    write,
)
from metastyle.bench.pictures import picture_path
from metastyle.errors import MetastyleError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of three paintings x two photographs by two systems, each in its own color; ours is red."""
    colors = {"ours": (255, 0, 0), "the other": (0, 255, 0), PHOTO: (0, 0, 255), PAINTING: (255, 255, 255)}
    for method, color in colors.items():
        for painting in ("<!--<script>", "y", "z"):
            for photo in "ab":
                path = picture_path(tmp_path, method, painting, photo)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((16, 16, 3), color, np.uint8)).save(path)
    return tmp_path


def test_the_page_does_not_reveal_which_system_made_a_picture(folder: Path, tmp_path: Path) -> None:
    key = draw(folder, "ours", "the other", 5, seed=3)
    assert len(set(key.pairs)) == 5 and {side for _, _, side in key.pairs} == {"left", "right"}
    page, keys = write(folder, key, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "ours" not in text and "the other" not in text and "<!--" not in text
    assert 'src="http' not in text and "fetch(" not in text  # the page needs no other file
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["page"] == key.page and read_key(keys) == key
    uris = {m: look._uri(picture_path(folder, m, "y", "a")) for m in ("ours", "the other", PHOTO, PAINTING)}
    for shown, (_, _, side) in zip(data["pairs"], key.pairs, strict=True):
        assert shown[side] == uris["ours"]
        assert shown["right" if side == "left" else "left"] == uris["the other"]
        assert data["pictures"][shown["photo"]] == uris[PHOTO]
        assert data["pictures"][shown["painting"]] == uris[PAINTING]


def test_the_pairs_depend_only_on_the_seed(folder: Path) -> None:
    assert draw(folder, "ours", "the other", 4, 1) == draw(folder, "ours", "the other", 4, 1)
    assert draw(folder, "ours", "the other", 4, 1).page != draw(folder, "ours", "the other", 4, 2).page
    assert len(draw(folder, "ours", "the other", 99, 1).pairs) == 6


def test_a_system_without_pictures_is_named(folder: Path) -> None:
    with pytest.raises(MetastyleError, match="has no pictures of 'a third': paint them with metastyle bench"):
        draw(folder, "ours", "a third", 4, 1)


def answers(path: Path, page: str, choices: list[str]) -> Path:
    path.write_text(json.dumps({"page": page, "choices": choices}))
    return path


def test_answers_are_counted_with_the_key(tmp_path: Path) -> None:
    key = Key("p", "ours", "other", 0, [("x", str(i), side) for i, side in enumerate(["left", "right"] * 3)])
    one = answers(tmp_path / "one.json", "p", ["left", "left", "none", "right", "left"])
    assert score(key, [one]) == Preference(ours=3, other=1, undecided=1)
    two = answers(tmp_path / "two.json", "p", ["right"])
    assert score(key, [one, two]) == Preference(3, 2, 1)
    assert sentence(key, Preference(8, 2, 1)) == (
        "ours was preferred to other in 8 of 10 pairs, no difference in 1: 80% (95 % interval 49% to 94%)"
    )
    assert "nothing was chosen" in sentence(key, Preference(0, 0, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"page": "q", "choices": []}', "answers for another page"),
        ('{"page": "p", "choices": ["left", "left"]}', "answers for another page"),
        ('{"page": "p", "choices": ["up"]}', "not answers saved by a page"),
        ('["left"]', "not answers saved by a page"),
        ("left", "not JSON"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(MetastyleError, match=message):
        score(Key("p", "ours", "other", 0, [("x", "a", "left")]), [path])
    with pytest.raises(MetastyleError, match=r"not a key of bench look|not JSON"):
        read_key(path)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_the_wilson_interval_has_known_values(successes: int, count: int, low: float, high: float) -> None:
    """The last row is the example of Newcombe (1998)."""
    assert wilson(successes, count) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
