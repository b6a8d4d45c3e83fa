from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from metastyle.bench import adaptation
from metastyle.bench.adaptation import (
    Cell,
    Failure,
    evaluate,
    look_at,
    measure,
    measure_references,
    picture_path,
    results_of,
)
from metastyle.bench.adaptation_variants import Variant
from metastyle.bench.pictures import whole
from metastyle.core.adaptation import Adaptation
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import perceptual_loss, style_target
from metastyle.core.settings import AdaptationSettings
from metastyle.errors import MetastyleError
from metastyle.images.decode import list_pictures, open_picture

SETTINGS = AdaptationSettings(size=64, style_size=64, batch=1)
SIZES: dict[str, Any] = {"size": 66, "style_size": 64, "device": "cpu"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("photos", "paintings"):
        (tmp_path / name).mkdir()
        for index in range(3):
            noise = rng.integers(0, 256, (80 + 8 * index, 96, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{index}.png")
    return tmp_path


def paths(folder: Path, name: str, count: int) -> list[Path]:
    return list_pictures(folder / name)[:count]


def run(
    folder: Path, variants: list[Variant], steps: Any = (0, 2), photos: int = 2, **more: Any
) -> list[Cell]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    unseen = paths(folder, "photos", photos)
    paintings = more.pop("paintings", paths(folder, "paintings", 1))
    arguments = (variants, paintings, unseen, unseen, LossNetwork(), folder / "out")
    return list(measure(*arguments, steps=steps, **(SIZES | more)))


def test_each_cell_is_measured_once_and_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [
        Variant("random", "random", settings=SETTINGS),
        Variant("own photos", "random", "self", SETTINGS),
        Variant("norms", "random", "photos", replace(SETTINGS, parameters="instance_norm")),
    ]
    first = run(folder, variants)
    expected = [(v.name, s, p) for v in variants for s in (0, 2) for p in ("0", "1")]
    assert [(c.variant, c.steps, c.photo) for c in first] == expected
    assert all(c.total == pytest.approx(c.content + c.style, rel=1e-4) and c.total > 0 for c in first)
    assert len({c.total for c in first if c.steps == 0}) == 2  # the same start on two photographs
    assert len({c.total for c in first if c.steps == 2}) == 6
    for c in first:
        kept = open_picture(picture_path(folder / "out", c.variant, c.painting, c.photo, c.steps))
        assert max(kept.size) == 66

    def never(*_: object) -> None:
        raise AssertionError("a finished cell was measured again")

    monkeypatch.setattr(adaptation, "Adaptation", never)
    assert run(folder, variants) == first


def test_photographs_are_padded_for_rendering_and_cropped_back(folder: Path) -> None:
    """The loss is of the picture without the padding, for any height and width."""
    torch.manual_seed(0)
    network = LossNetwork()
    photos = look_at(paths(folder, "photos", 3), network, 66)
    assert [p.pixels.shape[2:] for p in photos] == [(55, 66), (60, 66), (66, 66)]
    target = style_target(network, whole(paths(folder, "paintings", 1)[0], 64))
    seen = []

    def render(x: Tensor) -> Tensor:
        seen.append(x)
        return 1 - x

    found = evaluate(render, network, photos, target)
    assert [x.shape[2:] for x in seen] == [(56, 68), (60, 68), (68, 68)]
    for photo, padded, (name, picture, loss) in zip(photos, seen, found, strict=True):
        down, across = (padded.shape[i] - photo.pixels.shape[i] for i in (2, 3))
        assert torch.equal(padded, F.pad(photo.pixels, (0, across, 0, down), mode="reflect"))
        assert name == photo.name and torch.equal(picture, 1 - photo.pixels)
        with torch.no_grad():
            content = network(photo.pixels, [CONTENT_LAYER])[CONTENT_LAYER]
            assert loss == perceptual_loss(network(1 - photo.pixels), content, target)


def test_losses_do_not_depend_on_a_variants_weights_and_painting_size(folder: Path) -> None:
    """At 0 steps, variants with other settings must have equal losses."""
    plain = run(folder, [Variant("plain", "random", settings=SETTINGS)], steps=(0,))
    other = replace(SETTINGS, content_weight=7.0, style_weight=3.0, style_size=96)
    both = run(
        folder, [Variant("plain", "random", settings=SETTINGS), Variant("o", "random", settings=other)], (0,)
    )
    assert [c.total for c in both if c.variant == "o"] == [c.total for c in plain]


def test_results_with_the_former_name_of_procedural_contents_are_resumed(folder: Path) -> None:
    first = run(folder, [Variant("v", "random", settings=SETTINGS)], steps=(0,))
    made = folder / "out" / "made.json"
    old = made.read_text(encoding="utf-8").replace('"procedural"', '"synthetic"')
    assert '"synthetic"' in old
    made.write_text(old, encoding="utf-8")
    assert run(folder, [Variant("v", "random", settings=SETTINGS)], steps=(0,)) == first
    with pytest.raises(MetastyleError, match="with other contents"):
        run(folder, [Variant("v", "random", "self", SETTINGS)], steps=(0,))


def test_results_of_another_photograph_are_added(folder: Path) -> None:
    variant = Variant("v", "random", settings=SETTINGS)
    first = run(folder, [variant], photos=1)
    more = run(folder, [variant], photos=2)
    expected = [("v", "0", photo, n) for photo in ("0", "1") for n in (0, 2)]
    assert [(c.variant, c.painting, c.photo, c.steps) for c in more] == expected
    assert more[:2] == first  # unchanged, including their seconds


def test_processes_divide_paintings_and_share_a_folder(folder: Path) -> None:
    variant, paintings = [Variant("v", "random", settings=SETTINGS)], paths(folder, "paintings", 2)
    run(folder, variant, paintings=paintings[:1], part="1of2")
    first = (folder / "out" / "results-1of2.json").read_bytes()
    second = run(folder, variant, paintings=paintings[1:], part="2of2")
    assert {c.painting for c in second} == {"0", "1"}  # those of the other process are read
    assert (folder / "out" / "results-1of2.json").read_bytes() == first
    own = json.loads((folder / "out" / "results-2of2.json").read_text(encoding="utf-8"))
    assert {row["painting"] for row in own} == {"1"}
    assert sorted(results_of(folder / "out"), key=str) == sorted(second, key=str)
    assert sorted(run(folder, variant, paintings=paintings), key=str) == sorted(second, key=str)


def test_a_constant_rate_is_measured_along_one_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    class Counted(Adaptation):
        def __init__(self, *arguments: Any) -> None:
            runs.append(arguments[4].steps)
            super().__init__(*arguments)

    monkeypatch.setattr(adaptation, "Adaptation", Counted)
    along = [Variant("along", "random", settings=replace(SETTINGS, schedule="constant"))]
    cells = run(folder, along, photos=1)
    assert [c.steps for c in cells] == [0, 2] and runs == [2]
    assert cells[0].seconds <= cells[1].seconds
    assert [c.steps for c in run(folder, along, (0, 2, 3), photos=1)] == [0, 2, 3] and runs == [2, 3]


class Copying:
    """A system that shows the painting's mean color and refuses dark paintings."""

    name, parameters, styles = "copying", 0, "any"

    def __init__(self, device: torch.device) -> None:
        pass

    def prepare(self, style: Tensor) -> Any:
        if style.mean() < 0.1:
            raise MetastyleError("this painting is too dark")
        return lambda photo: style.mean((2, 3), keepdim=True).expand_as(photo)


def test_references_are_measured_on_the_same_photographs(folder: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "paintings" / "0.png")
    photos, paintings = paths(folder, "photos", 2), paths(folder, "paintings", 2)
    torch.manual_seed(0)
    network = LossNetwork()

    def found() -> list[Cell | Failure]:
        return list(
            measure_references({"copying": Copying}, paintings, photos, network, folder / "out", **SIZES)
        )

    failure, *cells = first = found()
    assert failure == Failure("copying", "0", "this painting is too dark")
    style = whole(paintings[1], 64)
    color = style.mean((2, 3), keepdim=True)
    expected = evaluate(
        lambda x: color.expand(x.shape), network, look_at(photos, network, 66), style_target(network, style)
    )
    for cell, (name, _, loss) in zip(cells, expected, strict=True):
        assert isinstance(cell, Cell) and (cell.photo, cell.steps) == (name, None)
        assert (cell.total, cell.content, cell.style) == pytest.approx(
            tuple(x.item() for x in loss), rel=1e-5
        )
    assert found() == first  # unchanged cells, including their seconds


def test_a_different_variant_of_the_same_name_is_refused(folder: Path) -> None:
    def mine(**changes: Any) -> list[Variant]:
        return [Variant("mine", **({"model": "random", "settings": SETTINGS} | changes))]

    run(folder, mine(), steps=(0,))
    faster = replace(SETTINGS, learning_rate=0.5)
    for what, changes in (
        ("settings", {"settings": faster}),
        ("contents", {"contents": "self"}),
        ("weights", {"model": "shipped"}),
    ):
        with pytest.raises(MetastyleError, match=f"'mine' was measured there with other {what}"):
            run(folder, mine(**changes), steps=(0,))


def test_pictures_painted_with_another_amount_of_grain_are_not_mixed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [Variant("own", "random", settings=SETTINGS)]
    run(folder, own, steps=(0,))
    monkeypatch.setattr("metastyle.bench.adaptation_variants.PAINTED", 0.7)
    with pytest.raises(MetastyleError, match="'own' was measured there with other painted_grain"):
        run(folder, own, steps=(0,))


def test_the_photographs_used_for_adaptation_are_part_of_a_variant(folder: Path) -> None:
    own = [Variant("own", "random", "self", SETTINGS)]
    run(folder, own, steps=(0,), photos=1)
    with pytest.raises(MetastyleError, match="'own' was measured there with other photographs"):
        run(folder, own, steps=(0,), photos=2)


def test_other_pictures_of_the_same_names_are_refused(folder: Path) -> None:
    variants = [Variant("v", "random", settings=SETTINGS)]
    run(folder, variants, steps=(0,))
    with pytest.raises(MetastyleError, match=r"another photograph '0' \(66x55, this one is 60x50\)"):
        run(folder, variants, steps=(0,), size=60)
    with pytest.raises(MetastyleError, match="another painting '0'"):
        run(folder, variants, steps=(0,), style_size=80)
    Image.open(folder / "photos" / "0.png").rotate(180).save(folder / "photos" / "0.png")
    with pytest.raises(MetastyleError, match="another photograph '0'"):
        run(folder, variants, steps=(0,))
