from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle.bench.motion import Clip, pan
from metastyle.bench.stillness import (
    FOLLOWING,
    OWN,
    Row,
    Speed,
    adain_painter,
    errors,
    measure,
    measure_speed,
    paint,
    smoothed,
    table,
)
from metastyle.bench.table import read_rows
from metastyle.cli.main import main
from metastyle.core.network import TransformationNetwork
from metastyle.images.picture import Picture
from metastyle.images.procedural import dead_leaves
from metastyle.systems.adain import AdaIN
from metastyle.systems.vgg19 import Decoder, Encoder

pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def network() -> TransformationNetwork:
    torch.manual_seed(0)
    return TransformationNetwork().eval().requires_grad_(False)


@pytest.fixture
def clip() -> Clip:
    picture = (dead_leaves(1, 96, 1)[0] * 255).astype(np.uint8).transpose(1, 2, 0)
    return pan("pan", picture, height=64, width=72, count=2)


def test_known_changes_give_known_errors(clip: Clip) -> None:
    assert errors(clip.frames, clip.pairs) == pytest.approx((0, 0), abs=0.01)
    brighter = [frame // 2 + 10 * i for i, frame in enumerate(clip.frames)]
    assert errors([f.astype(np.uint8) for f in brighter], clip.pairs) == pytest.approx((10, 10), rel=0.01)
    checks = np.indices((64, 72)).sum(0)[..., None] % 2 * 20
    alternating = [(f // 2 + (checks if i % 2 else 0)).astype(np.uint8) for i, f in enumerate(clip.frames)]
    error, drift = errors(alternating, clip.pairs)
    assert error == pytest.approx(20 / np.sqrt(2), rel=0.02)
    assert drift == pytest.approx(10, rel=0.02)


def test_each_painter_is_measured_once_and_stored(
    network: TransformationNetwork, clip: Clip, tmp_path: Path
) -> None:
    clip = pan("pan", clip.frames[0], height=64, width=60, count=3)  # slow enough to be one shot
    rows = list(measure({"random": partial(paint, network, 0.0)}, [clip], tmp_path))
    assert len(rows) == 9 and len({row.way for row in rows}) == 9
    by_way = {row.way: row for row in rows}
    assert by_way[OWN].departure == 0 < by_way[FOLLOWING].departure
    assert by_way["following, smoothing 0.7"].error < by_way[FOLLOWING].error
    speeds = measure_speed(network, 1.0, tmp_path, height=16, width=16, rounds=1)
    assert speeds[0].ratio == 1 and all(speed.seconds > 0 for speed in speeds)

    def never(*_: object) -> dict[str, list[np.ndarray]]:
        raise AssertionError("a finished clip was painted again")

    assert list(measure({"random": never}, [clip], tmp_path)) == rows
    assert read_rows(tmp_path / "results.json", Row) == rows
    assert read_rows(tmp_path / "speeds.json", Speed) == speeds


def test_the_grain_of_smoothed_films_moves_with_the_camera(
    network: TransformationNetwork,
) -> None:
    picture = (dead_leaves(1, 176, 1)[0] * 255).astype(np.uint8).transpose(1, 2, 0)
    film = pan("pan", picture // 16 + 120, height=96, width=128, count=5)  # soft enough for grain
    ways = paint(network, 1.0, film.frames)
    still = smoothed(film.frames, ways[FOLLOWING], 0.5)  # its grain does not move
    found, _ = errors(ways[f"{FOLLOWING}, smoothing 0.5"], film.pairs)
    assert found < 0.7 * errors(still, film.pairs)[0]


def test_adain_can_paint_films(clip: Clip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system = AdaIN(Encoder(4).eval(), Decoder(4).eval())
    monkeypatch.setattr(AdaIN, "load", lambda *_: system)
    painter = adain_painter(Picture(pixels=clip.frames[0]), size=64)
    (row,) = measure({"a": painter}, [clip], tmp_path)
    assert row.way == "AdaIN, each frame's own" and row.departure == 0
    painted = painter(clip.frames)[row.way]
    assert painted[0].shape == clip.frames[0].shape and painted[0].dtype == np.uint8


def test_the_table_averages_over_styles() -> None:
    rows = [
        Row(style, "alley", way, error, 1.0, 8.0, 0.0, 3.0, 0.5)
        for style, way, error in [
            ("a", OWN, 10.0),
            ("b", OWN, 20.0),
            ("a", "other", 4.0),
            ("b", "other", 6.0),
        ]
    ]
    written = table(rows, [Speed("quick", "640x360", 0.5, 0.75)])
    assert "| (the film itself) | 3.0 / 0.50 |" in written
    assert f"| {OWN} | 15.0 / 1.00 |" in written
    assert "| other | 5.0 / 1.00 |" in written
    assert "| quick | 640x360 | 0.50 | 0.75 |" in written


def test_the_command_writes_results_and_refuses_invalid_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clip: Clip
) -> None:
    style = str(tmp_path / "s.safetensors")
    common = ["bench", "stillness", "--style", style, "--quiet", "--json", "-o", str(tmp_path / "out")]
    for arguments, message in (
        ([], "nothing to measure on"),
        (["--picture", "a.png"], "two pictures"),
        (["--reduce", "0"], "--reduce is 0"),
        (["--sequence", str(tmp_path)], "has no frames"),
    ):
        assert main([*common, *arguments]) == 2
        assert message in json.loads(capsys.readouterr().out)["errors"][0]["error"]
    from metastyle.style import Style

    network = TransformationNetwork().requires_grad_(False)
    Style(dict(network.named_parameters()), "all", "0" * 64, "s", "0" * 64, {}, ()).save(style)
    Image.fromarray(clip.frames[0]).save(tmp_path / "a.png")
    monkeypatch.setattr("metastyle.bench.motion.films_of", lambda *_: [clip])
    pictures = ["--picture", str(tmp_path / "a.png"), "--picture", str(tmp_path / "a.png")]
    assert main([*common, *pictures, "--rounds", "0"]) == 0
    outputs = [Path(o["output"]) for o in json.loads(capsys.readouterr().out)["outputs"]]
    assert [p.name for p in outputs] == ["results.json", "table.md"]
    assert f"| {OWN} |" in outputs[1].read_text(encoding="utf-8")
