from __future__ import annotations

import re

import numpy as np
import pytest

from metastyle import api
from metastyle.errors import MetastyleError
from metastyle.images.decode import open_picture
from metastyle.images.picture import resize
from metastyle.weights.builtin_styles import PHOTOGRAPH, STYLES, artworks, builtin_names, builtin_path
from metastyle.weights.initialization import shipped_initialization


def test_there_are_a_dozen_styles_with_title_artist_year_and_terms() -> None:
    found = artworks()
    assert len(found) >= 12 and [a.name for a in found] == builtin_names()
    for a in found:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", a.name)
        assert a.title and a.artist and re.search(r"\d{4}", a.year)
        assert "public domain" in a.terms or "drawn by its own code" in a.terms
        assert a.path == builtin_path(a.name.upper())


def test_styles_are_small() -> None:
    assert all(a.size < 120_000 for a in artworks())
    assert sum(path.stat().st_size for path in STYLES.iterdir()) < 3_000_000


@pytest.mark.parametrize("name", builtin_names())
def test_each_style_is_based_on_the_shipped_initialization(name: str) -> None:
    path = builtin_path(name)
    assert path is not None
    assert api.load(path).base == shipped_initialization()[1]


def test_an_unknown_name_is_reported_with_a_near_one() -> None:
    with pytest.raises(MetastyleError, match=r"neither a file nor one of the .* did you mean night"):
        api.load("nigt")
    with pytest.raises(MetastyleError, match="'metastyle styles' lists them"):
        api.load("qqq")
    with pytest.raises(MetastyleError, match=r"nigt.safetensors"):
        api.load("nigt.safetensors")


def test_a_built_in_style_paints_a_photograph() -> None:
    photo = resize(open_picture(PHOTOGRAPH), 96)
    name = builtin_names()[0]
    painted = api.stylize(photo, name)
    assert painted.pixels.shape == photo.pixels.shape
    assert np.abs(painted.pixels.astype(int) - photo.pixels).mean() > 5
