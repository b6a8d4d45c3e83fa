from __future__ import annotations

from dataclasses import replace

from measurements import SPEEDS

from metastyle.bench.plots import against_size, scatter


def test_every_system_has_a_line_and_the_floor_is_that_of_metastyle() -> None:
    rows = [replace(row, size=size, floor=0.05) for row in SPEEDS if row.seconds for size in (256, 512)]
    drawn = against_size(rows)
    assert drawn.startswith("<svg") and drawn == against_size(rows)
    for row in rows:
        assert row.name in drawn
    assert "floor of MetaStyle" in drawn
    assert "floor" not in against_size([replace(row, floor=None) for row in rows])


def test_points_are_named_in_a_legend() -> None:
    drawn = scatter([("AdaIN", 0.5, 4.0), ("MetaStyle, 20 steps", 0.2, 2.0)], "seconds")
    assert "AdaIN" in drawn and "MetaStyle, 20 steps" in drawn
