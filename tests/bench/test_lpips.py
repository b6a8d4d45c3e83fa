"""LPIPS, compared with closed forms and with torchmetrics' implementation on the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.image import lpips as theirs

from metastyle.bench.lpips import LAYERS, Lpips
from metastyle.core.loss_network import LossNetwork
from metastyle.weights import vgg16
from metastyle.weights.lpips import CONVOLUTIONS, WIDTHS, load_lpips
from metastyle.weights.weight_file import UnreachableWeightsError


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Random weights; those of channels are positive like the published ones."""
    generator = torch.Generator().manual_seed(0)
    found = {layer: torch.rand(width, generator=generator) for layer, width in WIDTHS.items()}
    for name in CONVOLUTIONS:
        found[f"{name}.weight"] = 0.02 * torch.randn(512, 512, 3, 3, generator=generator)
        found[f"{name}.bias"] = 0.1 * torch.randn(512, generator=generator)
    return found


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    torch.manual_seed(0)
    network = LossNetwork()
    for parameter in network.parameters():
        if parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter)
    return network


def pictures(count: int = 2, side: int = 48) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def torchmetrics_own(
    network: LossNetwork, tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> nn.Module:
    """torchmetrics' LPIPS, on a VGG-16 with the same weights in torchvision's order."""
    layers: list[nn.Module] = []
    names = {index: name for name, (index, _) in vgg16.CONVOLUTIONS.items()}
    names |= {24: "conv5_1", 26: "conv5_2", 28: "conv5_3"}
    state = {**network.state_dict(), **tensors}
    for index in range(30):
        if index in names:
            weight = state[f"{names[index]}.weight"]
            layers.append(nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1))
            layers[-1].load_state_dict({"weight": weight, "bias": state[f"{names[index]}.bias"]})
        else:
            layers.append(nn.MaxPool2d(2) if index in (4, 9, 16, 23) else nn.ReLU())
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_, **__: nn.Sequential(*layers))
    whole: nn.Module = theirs._LPIPS(pretrained=False, net="vgg").eval()
    for i, layer in enumerate(WIDTHS):
        getattr(whole, f"lin{i}").model[-1].weight.data = tensors[layer].view(1, -1, 1, 1)
    return whole


def test_distances_equal_those_of_torchmetrics(
    network: LossNetwork, tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torchmetrics_own(network, tensors, monkeypatch)
    a, b = pictures(), pictures().flip(0) * 0.8
    with torch.no_grad():
        expected = whole(a, b, normalize=True).flatten()
        found = Lpips(tensors)(network(a, LAYERS), network(b, LAYERS))
    assert found.shape == (2,) and (found > 0.01).all()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_distance_is_symmetric_and_zero_for_equal_pictures(
    network: LossNetwork, tensors: dict[str, Tensor]
) -> None:
    metric = Lpips(tensors)
    a, b = (network(x[None], LAYERS) for x in pictures())
    assert metric(a, a).item() == 0
    assert metric(a, b).item() > 0.01
    assert metric(a, b).item() == pytest.approx(metric(b, a).item())


def test_features_in_different_channels_differ_by_both_weights(tensors: dict[str, Tensor]) -> None:
    """For unit vectors along channels 0 and 1, each layer contributes w_0 + w_1."""
    silent = {name: torch.zeros_like(t) if name.startswith("conv5") else t for name, t in tensors.items()}
    one, other = ({layer: torch.zeros(1, WIDTHS[layer], 2, 2) for layer in LAYERS} for _ in range(2))
    for layer in LAYERS:
        one[layer][:, 0], other[layer][:, 1] = 3.0, 7.0
    expected = sum((tensors[layer][0] + tensors[layer][1]).item() for layer in LAYERS)
    assert Lpips(silent)(one, other).item() == pytest.approx(expected, rel=1e-5)


def test_more_noise_is_a_larger_distance_with_the_published_weights(loss_network: LossNetwork) -> None:
    try:
        metric = Lpips(load_lpips())
    except UnreachableWeightsError as error:
        pytest.skip(str(error))
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    clean = torch.stack([x, y, (x * 9).sin().abs()])[None]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    seen = [loss_network((clean + a * noise).clamp(0, 1), LAYERS) for a in (0, 0.05, 0.3)]
    little, much = (metric(seen[0], other).item() for other in seen[1:])
    assert 0 < little < 0.7 * much < 1.5
