"""The renderer's convolutions equal those of the network."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from metastyle.core.network import TransformationNetwork
from metastyle.rendering.convolutions import Convolution, Layers

NAMES = ["down1", "down2", "down3", "up1", "up2", "out"]


def _all(layers: Layers, network: TransformationNetwork) -> list[tuple[str, Convolution, torch.nn.Module]]:
    inner = [("conv1", layers.residuals[2][0], network.residuals[2].conv1)]
    return inner + [(name, getattr(layers, name), getattr(network, name)) for name in NAMES]


@pytest.mark.parametrize("transposed", [False, True])
def test_every_convolution_equals_that_of_the_network(
    network: TransformationNetwork, transposed: bool
) -> None:
    torch.manual_seed(1)
    for name, rewritten, own in _all(Layers(network, torch.float32, transposed=transposed), network):
        x = torch.randn(1, own.in_channels, 12, 16)
        doubled = F.interpolate(x, scale_factor=2.0, mode="nearest") if name.startswith("up") else x
        with torch.inference_mode():
            expected = own(doubled)
            lower, upper = rewritten.source_rows(0, expected.shape[3 if transposed else 2])
            source = x.mT if transposed else x
            result = rewritten(source, max(0, -lower), max(0, upper - source.shape[2]))
        torch.testing.assert_close(result.mT if transposed else result, expected, atol=2e-5, rtol=0)


def test_only_the_results_of_bfloat16_convolutions_are_rounded(network: TransformationNetwork) -> None:
    """Sums and biases are float32: in a flat area, a rounded bias would be the same error everywhere."""
    layers = Layers(network, torch.bfloat16, transposed=False)
    torch.manual_seed(1)
    for convolution in (layers.down2, layers.residuals[0][0], layers.up1):
        convolution.bias.copy_(7 * torch.rand_like(convolution.bias))
        x = torch.randn(1, convolution.weight.shape[1], 12, 16).bfloat16()
        with torch.inference_mode():
            found = convolution(x, 1, 1)
            convolution.weight = convolution.weight.float()
            exact = convolution(x.float(), 1, 1)
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.float(), exact, rtol=2**-8, atol=1e-4)


def test_the_last_convolution_keeps_full_precision(network: TransformationNetwork) -> None:
    layers = Layers(network, torch.bfloat16, transposed=False)
    assert layers.up2.weight.dtype == torch.bfloat16
    assert layers.out.weight.dtype == torch.float32
