"""Inception-v3's published structure, with random weights, because the user provides the real ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from metastyle.bench.inception import Inception, load_inception
from metastyle.errors import MetastyleError


@pytest.fixture(scope="module")
def network() -> Inception:
    torch.manual_seed(0)
    return Inception()


@pytest.fixture(scope="module")
def weights(network: Inception, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the form of published ones, with a classifier; in half precision to be small."""
    path = tmp_path_factory.mktemp("inception") / "art_inception.pth"
    state = {
        f"module.{name}": t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()
    }
    torch.save(
        state | {"module.fc.weight": torch.zeros(10, 2048), "module.AuxLogits.fc.bias": torch.zeros(3)},
        path,
    )
    return path


def test_names_shapes_and_number_of_parameters_are_the_published_ones(network: Inception) -> None:
    """27,161,264 in total, minus 3,326,696 of the auxiliary classifier and 2,049,000 of the last layer."""
    assert sum(p.numel() for p in network.parameters()) == 27_161_264 - 3_326_696 - 2_049_000
    state = network.state_dict()
    shapes = {
        "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch_pool.bn.running_mean": (64,),
        "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
        "Mixed_7a.branch7x7x3_4.bn.weight": (192,),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_pictures_of_any_size_become_2048_features(network: Inception) -> None:
    found = network(torch.rand(2, 3, 80, 96))
    assert found.shape == (2, 2048) and found.isfinite().all() and (found >= 0).all()


def test_a_file_is_read_and_identified_by_its_sha256(network: Inception, weights: Path) -> None:
    loaded, digest = load_inception(weights)
    assert digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=1e-3, rtol=1e-3, check_dtype=False)
    assert not loaded.training and loaded(torch.rand(1, 3, 80, 80)).dtype == torch.float32


def test_other_files_are_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    state = torch.load(weights, weights_only=True)
    name = "Mixed_7c.branch1x1.bn.running_var"
    torch.save({n: t for n, t in state.items() if not n.endswith(name)}, path)
    with pytest.raises(MetastyleError, match=f"not the weights of Inception-v3: {name} is missing"):
        load_inception(path)
    torch.save(state | {f"module.{name}": torch.ones(7)}, path)
    with pytest.raises(MetastyleError, match=r"is \(7,\), not \(320,\)"):
        load_inception(path)
    path.write_bytes(b"rubbish")
    with pytest.raises(MetastyleError, match="not a readable file of torch tensors"):
        load_inception(path)
