from __future__ import annotations

import pytest
import torch

from metastyle.core.low_rank import SCALE, expand, low_rank_shapes, low_rank_start, rank_of
from metastyle.core.network import TransformationNetwork
from metastyle.core.parameters import blend, checked_parameters, full_parameters, kind_of, strengthen
from metastyle.errors import MetastyleError


@pytest.fixture
def network() -> TransformationNetwork:
    torch.manual_seed(1)
    return TransformationNetwork()


def style(network: TransformationNetwork, rank: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """A style in which every number differs from the start."""
    generator = torch.Generator().manual_seed(seed)
    start = low_rank_start(network, rank, generator)
    return {name: p + 0.1 * torch.randn(p.shape, generator=generator) for name, p in start.items()}


def test_numbers_of_parameters(network: TransformationNetwork) -> None:
    def count(rank: int) -> int:
        return sum(torch.Size(shape).numel() for shape in low_rank_shapes(network, rank).values())

    per_rank = sum(
        m.weight.shape[0] + m.weight[0].numel() for m in network.modules() if isinstance(m, torch.nn.Conv2d)
    )
    assert count(1) == 3_200 + 3 + per_rank and count(2) - count(1) == per_rank
    assert count(2) == 40_303


def test_the_start_expands_to_the_network(network: TransformationNetwork) -> None:
    own = dict(network.named_parameters())
    full = expand(low_rank_start(network, 3, torch.Generator().manual_seed(0)), own)
    assert set(full) == {n for n in own if "norm" in n or n.endswith("weight") or n == "out.bias"}
    for name, p in full.items():
        assert torch.equal(p, own[name])


def test_the_change_has_the_given_rank(network: TransformationNetwork) -> None:
    one = style(network, rank=3)
    assert rank_of(one) == 3
    full = full_parameters(one, dict(network.named_parameters()))
    change = (full["residuals.2.conv1.weight"] - network.get_parameter("residuals.2.conv1.weight")).flatten(1)
    up, down = (one[f"residuals.2.conv1.weight.{side}"] for side in ("up", "down"))
    torch.testing.assert_close(change, SCALE * up @ down, atol=1e-5, rtol=1e-4)
    values = torch.linalg.svdvals(change.double())
    assert values[2] > 1e-3 * values[0] and values[3] < 1e-5 * values[0]


def test_expanded_styles_can_be_blended_and_strengthened(network: TransformationNetwork) -> None:
    base = dict(network.named_parameters())
    full_a, full_b = (full_parameters(style(network, rank, rank), base) for rank in (2, 4))
    mixed = blend([full_a, full_b], [0.25, 0.75])
    stronger = strengthen(full_a, base, 1.5)
    assert kind_of(mixed) == kind_of(stronger) == "all"
    for name in base:
        torch.testing.assert_close(mixed[name], 0.25 * full_a[name] + 0.75 * full_b[name])
        torch.testing.assert_close(
            stronger[name], 1.5 * full_a[name] - 0.5 * base[name].detach(), atol=1e-6, rtol=1e-5
        )


def test_inconsistent_parameters_are_refused(network: TransformationNetwork) -> None:
    one = style(network)
    for change in (
        {"out.weight.up": torch.zeros(3, 5)},  # another rank than the rest
        {"out.weight.down": torch.zeros(2, 7)},
        {"foreign": torch.zeros(1)},
    ):
        with pytest.raises(MetastyleError, match="the style's"):
            checked_parameters(one | change, "low_rank")
    with pytest.raises(MetastyleError, match="rank is 0: use 1 to 64"):
        checked_parameters({"out.bias": torch.zeros(3)}, "low_rank")
