"""Folded networks equal unfolded ones with the same statistics, and streaming equals a single pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from metastyle.core.network import TransformationNetwork
from metastyle.errors import MetastyleError
from metastyle.rendering.convolutions import Layers
from metastyle.rendering.frozen import FoldedNetwork, FrozenStylizer, Statistics, average, frame_statistics
from metastyle.rendering.streaming import stream
from metastyle.rendering.strips import Source
from metastyle.rendering.stylizer import Stylizer

Make = Callable[..., np.ndarray]


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


def own_statistics(network: TransformationNetwork, x: torch.Tensor) -> Statistics:
    """The statistics that the network's normalizations compute, recorded by hooks."""
    seen: list[torch.Tensor] = []
    norms = [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]
    handles = [m.register_forward_pre_hook(lambda _, given: seen.append(given[0].double())) for m in norms]
    with torch.inference_mode():
        network(x)
    for handle in handles:
        handle.remove()
    return Statistics(
        tuple(v.mean((0, 2, 3)) for v in seen), tuple(v.var((0, 2, 3), correction=0) for v in seen)
    )


def unfolded(network: TransformationNetwork, statistics: Statistics, x: torch.Tensor) -> torch.Tensor:
    """Apply the network with the given statistics in place of those of ``x``."""
    norms = [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]
    handles = []
    for norm, mean, variance in zip(norms, statistics.means, statistics.variances, strict=True):

        def hook(
            module: nn.InstanceNorm2d,
            given: tuple[torch.Tensor],
            _: torch.Tensor,
            mean: torch.Tensor = mean,
            variance: torch.Tensor = variance,
        ) -> torch.Tensor:
            m, v = mean.float(), variance.float()
            return F.batch_norm(given[0], m, v, module.weight, module.bias, eps=module.eps)

        handles.append(norm.register_forward_hook(hook))
    with torch.inference_mode():
        y = network(x)
    for handle in handles:
        handle.remove()
    return y


def test_the_statistics_of_a_frame_equal_those_of_the_networks_normalizations(
    network: TransformationNetwork, make_picture: Make
) -> None:
    pixels = make_picture(44, 60)
    measured = frame_statistics(Stylizer(network, device="cpu"), pixels)
    expected = own_statistics(network, tensor(pixels))
    assert len(measured.means) == 15
    for ours, own in zip(
        (*measured.means, *measured.variances), (*expected.means, *expected.variances), strict=True
    ):
        torch.testing.assert_close(ours, own, atol=1e-5, rtol=1e-4)


def test_folding_is_exact(network: TransformationNetwork, make_picture: Make) -> None:
    stylizer = Stylizer(network, device="cpu")
    statistics = average([frame_statistics(stylizer, make_picture(36, 52, seed=s)) for s in (1, 2)])
    x = tensor(make_picture(40, 48, seed=3))
    folded = FoldedNetwork(network, statistics).network
    assert not any(isinstance(m, nn.InstanceNorm2d) for m in folded.modules())
    with torch.inference_mode():
        result = folded(x)
    torch.testing.assert_close(result, unfolded(network, statistics, x), atol=1e-5, rtol=0)
    assert result.std() > 0.05
    assert (result - network(x)).abs().max() > 0.01  # other statistics give another picture


@settings(max_examples=12, deadline=None)
@given(st.integers(16, 70), st.integers(16, 70), st.sampled_from([4, 8, 20, 32, 64]))
def test_streaming_equals_the_folded_network_in_one_pass(
    network: TransformationNetwork, make_picture: Make, height: int, width: int, rows: int
) -> None:
    pixels = make_picture(height, width, np.float32)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    padded = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
    folded = FoldedNetwork(network, own_statistics(network, tensor(make_picture(32, 40, seed=5)))).network
    with torch.inference_mode():
        expected = folded(padded)[0, :, :height, :width].permute(1, 2, 0).numpy()
    result = np.empty_like(pixels)
    source = Source(pixels, torch.device("cpu"))
    stream(Layers(folded, torch.float32, transposed=False), source, result, rows)
    np.testing.assert_allclose(result, expected, atol=2e-5)  # 1.1e-5 has been seen with AVX2


@pytest.mark.parametrize("shape", [(40, 72), (71, 33), (16, 16)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_frame_with_its_own_statistics_is_painted_like_a_picture(
    network: TransformationNetwork, make_picture: Make, shape: tuple[int, int], dtype: type
) -> None:
    pixels = make_picture(*shape, dtype)
    ordinary = Stylizer(network, device="cpu").render(pixels)
    result = FrozenStylizer(network, [pixels], device="cpu").render(pixels)
    assert result.shape == pixels.shape and result.dtype == dtype
    difference = np.abs(result.astype(int) - ordinary.astype(int)).max()
    assert difference <= (1 if dtype == np.uint8 else 2e-5 * 65535)


def test_equal_parts_of_two_frames_are_painted_equally(
    network: TransformationNetwork, make_picture: Make
) -> None:
    first = make_picture(48, 160)
    second = first.copy()
    second[:, 120:] = 255  # something bright enters
    frozen, ordinary = FrozenStylizer(network, [first], device="cpu"), Stylizer(network, device="cpu")
    still = frozen.render(first)[:, :40].astype(int) - frozen.render(second)[:, :40]
    moved = ordinary.render(first)[:, :40].astype(int) - ordinary.render(second)[:, :40]
    assert not still.any()
    assert np.abs(moved).max() > 5


def test_bfloat16_is_close_to_float32(network: TransformationNetwork, make_picture: Make) -> None:
    pixels = make_picture(40, 48)
    full = FrozenStylizer(network, [pixels], device="cpu").render(pixels).astype(int)
    lower = FrozenStylizer(network, [pixels], device="cpu", precision="bfloat16").render(pixels)
    assert np.abs(full - lower).mean() < 4
    assert lower.std() > 10


def test_averages_are_weighted() -> None:
    a, b = (Statistics((torch.full((2,), v),), (torch.full((2,), v * v),)) for v in (1.0, 3.0))
    mixed = average([a, b], [3, 1])
    assert mixed.means[0].tolist() == [1.5, 1.5]
    assert mixed.variances[0].tolist() == [3.0, 3.0]


def test_invalid_inputs_are_refused(network: TransformationNetwork, make_picture: Make) -> None:
    with pytest.raises(MetastyleError, match="no frames"):
        FrozenStylizer(network, [], device="cpu")
    stylizer = FrozenStylizer(network, [make_picture(20, 20)], device="cpu")
    with pytest.raises(MetastyleError, match="at least 16"):
        stylizer.render(make_picture(15, 40))
    with pytest.raises(MetastyleError, match="precision"):
        FrozenStylizer(network, statistics=stylizer.statistics, precision="int8")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_setting_other_statistics_equals_a_new_renderer(
    precision: str, network: TransformationNetwork, make_picture: Make
) -> None:
    high, wide = make_picture(44, 32, seed=1), make_picture(32, 48, seed=2)
    reused = FrozenStylizer(network, [high], device="cpu", precision=precision)
    reused.render(high)
    reused.render(wide)
    for pixels in (wide, high):
        expected = FrozenStylizer(network, [pixels], device="cpu", precision=precision)
        reused.follow(expected.statistics)
        for frame in (high, wide):
            np.testing.assert_array_equal(reused.render(frame), expected.render(frame))
