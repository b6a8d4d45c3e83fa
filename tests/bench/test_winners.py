import dataclasses
from collections.abc import Sequence

from measurements import CELLS, FILMS, SPEEDS

from metastyle.bench.quality import FilmQuality, Quality
from metastyle.bench.speed import Speed
from metastyle.bench.winners import winners


def winner(
    about: str,
    *,
    speeds: Sequence[Speed] = SPEEDS,
    cells: Sequence[Quality] = CELLS,
    films: Sequence[FilmQuality] = FILMS,
) -> str:
    return next(line for line in winners(speeds, cells, films) if line.startswith(about))


def test_times_within_each_others_spread_share_the_first_place() -> None:
    assert winner("fastest at 256²") == (
        "fastest at 256², in seconds: Johnson et al. (0.1) and MetaStyle, 60 steps (0.11)."
    )  # no difference, because its fastest round was as fast
    slower = [dataclasses.replace(r, fastest=0.105) if r.method == "metastyle" else r for r in SPEEDS]
    assert winner("fastest at 256²", speeds=slower) == (
        "fastest at 256², in seconds: Johnson et al. (0.1); of the networks that take any style "
        "MetaStyle, 60 steps (0.11)."
    )


def test_the_winner_is_named_even_if_it_is_another_system() -> None:
    assert winner("lowest perceptual loss under VGG-16, relative") == (
        "lowest perceptual loss under VGG-16, relative to Gatys et al.: Johnson et al. (1.5); "
        "of the networks that take any style MetaStyle, 60 steps (2)."
    )
    assert winner("least flicker") == "least flicker: MetaStyle, 60 steps (11)."


def test_a_picture_that_no_system_made_does_not_win_but_is_named() -> None:
    kept = {"null photograph": 1e-3, "null painting": 1e3}
    nulls = [
        Quality(method, f"({method})", "any", painting, "p", x, x, x, x, 1e-6, 0.5 / x)
        for method, x in kept.items()
        for painting in "xy"
    ]
    line = winner("lowest content loss under VGG-19", cells=[*nulls, *CELLS])
    assert line.startswith("lowest content loss under VGG-19: Gatys et al. (6.5)")
    assert line.endswith("; the photograph itself would win.")
    assert "itself" not in winner("lowest content loss under VGG-19")
    assert "the photograph itself would win" in winner("most structure kept", cells=[*CELLS, *nulls])


def test_metastyle_is_listed_wherever_it_is() -> None:
    worse = [dataclasses.replace(c, other_style=999.0) if c.method == "metastyle" else c for c in CELLS]
    line = winner("lowest style loss under VGG-19", cells=worse)
    assert line.endswith("any style AdaIN (52); MetaStyle, 60 steps (999).")


def test_means_over_different_pairs_are_not_compared() -> None:
    some = [c for c in CELLS if (c.method, c.painting) != ("johnson", "y")]
    line = winner("lowest style loss under VGG-19", cells=some)
    assert "Johnson" not in line.split("(without")[0]
    assert line.endswith("(without Johnson et al.: not measured on all pairs).")


def test_values_that_are_not_finite_do_not_count() -> None:
    undefined = [dataclasses.replace(c, structure=float("nan")) if c.method == "adain" else c for c in CELLS]
    line = winner("most structure kept", cells=undefined)
    assert "nan" not in line and "without AdaIN" in line


def test_one_system_alone_does_not_win() -> None:
    lines = winners([], CELLS, FILMS[:1])
    assert lines and not any(line.startswith("least flicker") for line in lines)


def test_only_what_was_measured_has_a_winner() -> None:
    assert [line.split(":")[0] for line in winners([], [], FILMS)] == ["least flicker"]
