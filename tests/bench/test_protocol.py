from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metastyle.bench import protocol, protocol_page
from metastyle.bench.lpips import Lpips
from metastyle.bench.nulls import NULLS, with_nulls
from metastyle.bench.protocol import METRICS, STRENGTHS, Cell, Networks, measure, results_of
from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.images.procedural import dead_leaves
from metastyle.systems.registry import SYSTEMS
from metastyle.systems.vgg19 import Encoder
from metastyle.weights.lpips import CONVOLUTIONS, WIDTHS

CPU = torch.device("cpu")


class Brightening:
    name, parameters, styles = "brightening", 0, "any"
    prepared = 0

    def __init__(self, device: torch.device) -> None:
        self.earlier = 100.0

    def prepare(self, style: Tensor) -> Any:
        Brightening.prepared += 1
        return lambda photo: (photo + 0.2).clamp(0, 1)


def broken(device: torch.device) -> Brightening:
    raise MetastyleError("its weights are missing")


@pytest.fixture(scope="module")
def networks() -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tensors = {layer: torch.rand(width) for layer, width in WIDTHS.items()}
        for name in CONVOLUTIONS:
            tensors |= {f"{name}.weight": 0.02 * torch.randn(512, 512, 3, 3), f"{name}.bias": torch.rand(512)}
        found = Networks(LossNetwork(), Encoder(), Lpips(tensors))
        for network in (found.vgg16, found.vgg19):
            for parameter in network.parameters():
                if parameter.dim() == 4:
                    torch.nn.init.kaiming_normal_(parameter)
        return found


@pytest.fixture(scope="module")
def pictures() -> dict[str, dict[str, Tensor]]:
    drawn = [(torch.from_numpy(p)[None] * 255).round() / 255 for p in dead_leaves(4, 176, 0)]
    return {
        "paintings": dict(zip("xy", drawn, strict=False)),
        "photos": dict(zip("ab", drawn[2:], strict=True)),
    }


@pytest.fixture
def run(networks: Networks, pictures: Any, tmp_path: Path) -> Callable[..., list[Cell]]:
    def call(methods: Any, **changes: Any) -> list[Cell]:
        given = pictures | {"folder": tmp_path, "networks": networks, "device": CPU} | changes
        return list(measure(methods, **given))

    return call


def test_null_systems_have_the_expected_values(run: Any) -> None:
    by: dict[str, list[Cell]] = {}
    for cell in run(with_nulls({"brightening": Brightening})):
        by.setdefault(cell.method, []).append(cell)
    assert [len(cells) for cells in by.values()] == [4, 4, 4]
    for cell in by["null photograph"]:
        assert (cell.content, cell.lpips, cell.ms_ssim) == (0, 0, 1) and abs(cell.structure) < 1e-6
        assert cell.style > 0 and cell.unseen > 0 and cell.total == pytest.approx(cell.style)
    for cell in by["null painting"]:
        assert cell.style == cell.unseen == 0 and cell.lpips > 0 and cell.structure > 0 and cell.content > 0
    for cell in by["brightening"]:
        assert all(getattr(cell, m.field) > 0 for m in METRICS) and cell.ms_ssim < 1
        assert cell.prepare is not None and cell.prepare >= 100  # including earlier training
    marked = protocol_page.won_by_nulls([c for cells in by.values() for c in cells])
    assert {"content", "style", "unseen", "lpips", "ms_ssim"} <= marked


def test_results_are_stored_and_shards_share_a_folder(run: Any, tmp_path: Path) -> None:
    Brightening.prepared = 0
    methods = {"brightening": Brightening}
    first, second = (run(methods, shard=(i, 2)) for i in (1, 2))
    assert {c.painting for c in first} == {"x"} and {c.painting for c in second} == {"y"}
    assert Brightening.prepared == 2
    assert sorted(p.name for p in tmp_path.glob("*.json")) == ["results-1of2.json", "results-2of2.json"]
    assert run(methods) == [*first, *second] and Brightening.prepared == 2
    assert list(results_of(tmp_path)) == [*first, *second]


def test_a_failing_system_does_not_stop_the_others(run: Any) -> None:
    cells = run({"broken": broken, "brightening": Brightening})
    assert [c.error for c in cells] == ["its weights are missing"] * 4 + [""] * 4
    written = protocol_page.page(cells, {"photographs": "176 x 176"})
    assert "| broken | 0 | its weights are missing |" in written and "| brightening | 4 | " in written
    assert "2 photographs x 2 paintings; photographs 176 x 176 pixels." in written


def cell(method: str, painting: str = "x", **values: float) -> Cell:
    rest = {m.field: 0.5 for m in METRICS} | {"prepare": 2.0} | values
    return Cell(method, method, painting, "a", **rest)  # type: ignore[arg-type]


def test_a_metric_is_marked_if_a_null_row_is_as_good_as_every_system() -> None:
    null, painted = NULLS
    cells = [
        cell("a", lpips=0.3),
        cell("b", lpips=0.4, ms_ssim=0.9),
        cell(null, lpips=0.2, ms_ssim=0.8, total=2),
    ]
    cells += [cell(painted, lpips=1, ms_ssim=0.1, total=0.6, structure=0.6, content=1, style=1, unseen=1)]
    # In all other metrics, both systems and the first null row have 0.5, which counts as a win.
    assert protocol_page.won_by_nulls(cells) == {"lpips", "structure", "content", "style", "unseen"}
    page = protocol_page.page(cells, {})
    assert "| LPIPS † |" in page and "| MS-SSIM |" in page
    last_first = protocol_page.page([*reversed(cells)], {})
    assert last_first.index(f"| {null} |") > max(last_first.index(f"| {name} |") for name in "ab")
    alone = [c for c in cells if c.method in NULLS]
    assert protocol_page.won_by_nulls(alone) == set()
    elsewhere = [*alone, cell("c", painting="y")]  # no pair in common
    assert protocol_page.won_by_nulls(elsewhere) == set()


def test_strengths_have_their_own_table_and_line(tmp_path: Path) -> None:
    cells = [cell("adain"), cell("adain strength=0.4", lpips=0.2), cell("adain strength=1.5", lpips=0.9)]
    main, other = protocol_page.page(cells, {}).split("The same at other strengths")
    assert "| adain | 1 | 2.0 s |" in main and "strength" not in main
    assert (
        "| adain strength=0.4 | 1 | 0.5 | 0.5 | 0.5 | 0.5 | 0.2 |" in other and "preparation |" not in other
    )
    protocol_page.plot(cells, tmp_path / "plot.svg")
    assert "adain, strengths" in (tmp_path / "plot.svg").read_text()


def test_curves_are_the_systems_of_the_table_at_all_strengths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[dict[str, Any]] = []
    for name in ("metastyle", "adain", "gatys"):
        monkeypatch.setitem(SYSTEMS, name, lambda device, **changes: made.append(changes))
    methods = ["metastyle steps=20", "gatys", "adain", "metastyle strength=2"]
    found = protocol.curves(methods, tmp_path)
    assert [*found][:: len(STRENGTHS)] == ["metastyle steps=20 strength=0.4", "adain strength=0.4"]
    for make in found.values():
        make(CPU)
    assert [m["strength"] for m in made] == [*STRENGTHS, *STRENGTHS]
    assert {m.get("steps") for m in made[: len(STRENGTHS)]} == {20}
    assert [m.get("cache") for m in made] == [tmp_path / "styles"] * len(STRENGTHS) + [None] * len(STRENGTHS)


def test_no_layer_of_the_unseen_losses_is_in_a_systems_loss() -> None:
    """Systems train with relu?_1 of VGG-19, and Gatys et al. also with relu4_2."""
    assert not any(layer.endswith("_1") or layer == "relu4_2" for layer in protocol.UNSEEN)
