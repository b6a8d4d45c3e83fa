from __future__ import annotations

import pytest
import torch

from metastyle.core.network import TransformationNetwork
from metastyle.training.spike_penalty import ALLOWED, SpikePenalty, spike_penalty


def test_only_spikes_are_penalized() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 64, 24, 24)
    assert spike_penalty(x) == 0
    x[1, :, 5, 7] = 30.0
    variance, mean = torch.var_mean(x[1], dim=(1, 2), correction=0)
    energy = ((30 - mean).square() / variance).mean()
    assert spike_penalty(x).item() == pytest.approx(
        ((energy / ALLOWED - 1) ** 2 / (2 * 24 * 24)).item(), rel=1e-3
    )


def test_scale_and_offset_of_channels_do_not_matter() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 32, 16, 16)
    x[:, :, 3, 3] = 20.0
    scaled = x * torch.rand(1, 32, 1, 1).add(0.5) + torch.randn(1, 32, 1, 1)
    torch.testing.assert_close(spike_penalty(scaled), spike_penalty(x), rtol=1e-3, atol=0)


def test_each_training_pass_is_penalized_once_and_differentiably() -> None:
    torch.manual_seed(0)
    network = TransformationNetwork()
    peaks = SpikePenalty(network)
    photo = torch.rand(1, 3, 64, 64)
    photo[:, :, 30, 30] = 40.0
    with torch.no_grad():
        network(photo)  # without gradients, it is not counted
    network(photo)
    penalty = peaks.collect()
    assert penalty > 0
    penalty.backward()
    assert network.down1.weight.grad is not None and network.down1.weight.grad.abs().sum() > 0
    network(photo), network(photo)
    torch.testing.assert_close(peaks.collect(), penalty)
    network(0.5 * photo.flip(3).roll(5, 2) ** 2), network(photo)
    torch.testing.assert_close(peaks.collect(passes=2), penalty)
