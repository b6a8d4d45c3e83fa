"""The network's structure, with random weights; tests/weights checks the published ones."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metastyle.core.loss_network import IMAGENET_MEAN, IMAGENET_STD, STYLE_LAYERS, LossNetwork


@pytest.fixture(scope="module")
def vgg() -> LossNetwork:
    torch.manual_seed(0)
    return LossNetwork()


def test_the_network_is_frozen_and_has_the_documented_number_of_parameters(vgg: LossNetwork) -> None:
    assert sum(p.numel() for p in vgg.parameters()) == 7_635_264
    assert not any(p.requires_grad for p in vgg.parameters())
    assert not vgg.training


def test_feature_sizes_round_down_at_each_pooling(vgg: LossNetwork) -> None:
    features = vgg(torch.rand(2, 3, 37, 50))
    assert {name: tuple(f.shape) for name, f in features.items()} == {
        "relu1_2": (2, 64, 37, 50),
        "relu2_2": (2, 128, 18, 25),
        "relu3_3": (2, 256, 9, 12),
        "relu4_3": (2, 512, 4, 6),
    }
    assert tuple(features) == STYLE_LAYERS


def test_features_equal_those_of_a_sequential_vgg(vgg: LossNetwork) -> None:
    """Built independently, in torchvision's order of layers, up to relu2_2."""
    layers: list[nn.Module] = []
    for names in (("conv1_1", "conv1_2"), ("conv2_1", "conv2_2")):
        for name in names:
            layers += [vgg.get_submodule(name), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    x = torch.rand(1, 3, 20, 20)
    normalized = (x - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_STD)[:, None, None]
    expected = nn.Sequential(*layers[:-1])(normalized)
    torch.testing.assert_close(vgg(x, ["relu2_2"])["relu2_2"], expected)


def test_nothing_is_computed_beyond_the_deepest_requested_layer(vgg: LossNetwork) -> None:
    seen: list[str] = []
    handles = [
        m.register_forward_hook(lambda _m, _i, _o, n=n: seen.append(n)) for n, m in vgg.named_children()
    ]
    vgg(torch.rand(1, 3, 16, 16), ["relu2_1"])
    for handle in handles:
        handle.remove()
    assert seen == ["conv1_1", "conv1_2", "conv2_1"]


def test_gradients_reach_the_picture(vgg: LossNetwork) -> None:
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    F.mse_loss(vgg(x)["relu4_3"], torch.zeros(1, 512, 2, 2)).backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_an_unknown_layer_is_named_in_the_error(vgg: LossNetwork) -> None:
    with pytest.raises(ValueError, match="relu9_9"):
        vgg(torch.rand(1, 3, 16, 16), ["relu9_9"])
