import dataclasses
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.weights import vgg16_formats as vgg16_forms
from metastyle.weights.catalog import VGG16
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.vgg16_formats import CONVOLUTIONS, read_file

SHARED = Path(__file__).parents[3] / "shared" / "weights" / "vgg16_conv1_1-conv4_3_fp16.safetensors"


@pytest.fixture(scope="module")
def made_up():
    """VGG-16's names and shapes with other numbers."""
    torch.manual_seed(0)
    return {name: p.detach() for name, p in LossNetwork().named_parameters()}


@pytest.fixture
def accepted(made_up, monkeypatch):
    """The made-up numbers pass for the published ones."""
    rounded = {name: p.half() for name, p in made_up.items()}
    digests = (tensor_digest(made_up), tensor_digest(rounded))
    monkeypatch.setattr(vgg16_forms, "VGG16", dataclasses.replace(VGG16, digests=digests))
    return made_up


def as_torchvision(tensors):
    index = {name: number for name, (number, _) in CONVOLUTIONS.items()}
    return {f"features.{index[n.split('.')[0]]}.{n.split('.')[1]}": t for n, t in tensors.items()}


def as_arrays(tensors):
    layers = {}
    for name, (_, count) in CONVOLUTIONS.items():
        kernel = tensors[f"{name}.weight"].numpy().transpose(2, 3, 1, 0)  # OIHW -> HWIO
        layers[f"Conv_{count}"] = {"kernel": kernel, "bias": tensors[f"{name}.bias"].numpy()}
    return {"VGG16_0": layers, "NetLinLayer_0": {}}


def write(form, tensors, path):
    match form:
        case "ours":
            save_file(tensors, path)
        case "torchvision safetensors":
            save_file(as_torchvision(tensors) | {"classifier.6.bias": torch.zeros(1000)}, path)
        case "float16":
            save_file({n: t.half() for n, t in as_torchvision(tensors).items()}, path)
        case "torch":
            torch.save(as_torchvision(tensors), path)
        case "old torch":
            torch.save(as_torchvision(tensors), path, _use_new_zipfile_serialization=False)
        case "arrays":
            path.write_bytes(pickle.dumps(as_arrays(tensors), 4))
    return path


FORMS = ["ours", "torchvision safetensors", "float16", "torch", "old torch", "arrays"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_tensors(accepted, tmp_path, form):
    found = read_file(write(form, accepted, tmp_path / "any name"))
    assert found.keys() == accepted.keys()
    for name, tensor in accepted.items():
        expected = tensor.half().float() if form == "float16" else tensor
        assert found[name].dtype == torch.float32 and torch.equal(found[name], expected)


@pytest.mark.parametrize("form", FORMS)
def test_right_shapes_with_other_numbers_are_refused(made_up, tmp_path, form):
    with pytest.raises(MetastyleError, match="VGG-16's shapes but other numbers"):
        read_file(write(form, made_up, tmp_path / "file"))


@pytest.mark.parametrize("form", FORMS)
def test_truncated_files_are_refused_in_one_line(made_up, tmp_path, form):
    path = write(form, made_up, tmp_path / "file")
    whole = path.read_bytes()
    for length in (70, 3000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(MetastyleError) as caught:
            read_file(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv3_2.bias": None}, "has no conv3_2.bias|no arrays of Conv_5"),
        ({"conv3_2.bias": torch.zeros(255)}, r"conv3_2.bias is \(255,\)"),
        ({"conv1_1.weight": torch.zeros(64, 3, 5, 5)}, r"conv1_1.weight is \(64, 3, 5, 5\)"),
    ],
)
@pytest.mark.parametrize("form", ["ours", "torch"])
def test_missing_and_misshapen_tensors_are_named(made_up, tmp_path, form, change, message):
    tensors = {n: t for n, t in (made_up | change).items() if t is not None}
    with pytest.raises(MetastyleError, match=message):
        read_file(write(form, tensors, tmp_path / "file"))


def test_arrays_of_another_network_are_refused(made_up, tmp_path):
    arrays = as_arrays(made_up)
    del arrays["VGG16_0"]["Conv_9"]
    path = tmp_path / "file"
    path.write_bytes(pickle.dumps(arrays, 4))
    with pytest.raises(MetastyleError, match="no arrays of Conv_9"):
        read_file(path)


class Runs:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("form", ["pickle", "torch", "old torch"])
def test_nothing_that_a_file_asks_for_is_run(tmp_path, form):
    path, target = tmp_path / "file", tmp_path / "ran"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"a": Runs(target)}, 4))
    else:
        torch.save({"a": Runs(target)}, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(MetastyleError, match=r"refused|not a readable file of torch tensors"):
        read_file(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"PK\x03\x04" + bytes(100), b"\x80\x04N."]
)
def test_foreign_files_are_refused_in_one_line(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(MetastyleError) as caught:
        read_file(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_torch_file_of_something_else_is_refused(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / "file")
    with pytest.raises(MetastyleError, match="holds a list"):
        read_file(tmp_path / "file")


@pytest.mark.shared
def test_the_rounded_weights_are_known(loss_network):
    if not SHARED.is_file():
        pytest.skip("needs the research data beside the project")
    for name, tensor in read_file(SHARED).items():
        assert torch.equal(tensor, loss_network.get_parameter(name).half().float())
