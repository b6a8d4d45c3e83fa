from __future__ import annotations

from typing import Any

import pytest

from metastyle.films.settings import FilmSettings


class _Grainy:
    grain = 0.8


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 0.8),
        ({"smoothing": 0.0}, 0.0),
        ({"frame_by_frame": True}, 0.0),
        ({"smoothing": 0.0, "grain": 1.5}, 1.5),
        ({"grain": 0.0}, 0.0),
    ],
)
def test_films_have_grain_where_it_can_move_with_the_camera(
    settings: dict[str, Any], expected: float
) -> None:
    style: Any = _Grainy()
    assert FilmSettings(**settings).grain_of(style) == expected
