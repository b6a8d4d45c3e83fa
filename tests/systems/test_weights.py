import pytest
import torch
from safetensors import torch as safetensors
from torch import nn

from metastyle.errors import MetastyleError
from metastyle.systems import weights as trained
from metastyle.systems.weights import load_trained, read_settings, save_trained, trained_path


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    save_trained(module, "part", trained_path("part", tmp_path), {"iterations": 7})
    return module


def test_loaded_weights_are_rounded_and_frozen(saved, tmp_path):
    with torch.device("meta"):
        empty = nn.Linear(3, 2)
    loaded = load_trained(empty, "part", tmp_path)
    torch.testing.assert_close(loaded.weight, saved.weight, atol=1e-3, rtol=1e-3)
    assert loaded.weight.dtype == torch.float32 and not loaded.weight.requires_grad and not loaded.training
    assert read_settings(trained_path("part", tmp_path)) == {"iterations": 7}


def test_the_same_weights_give_the_same_bytes(saved, tmp_path):
    path = trained_path("part", tmp_path)
    before = path.read_bytes()
    save_trained(saved, "part", path, {"iterations": 7})
    assert path.read_bytes() == before


def test_missing_foreign_and_damaged_weights_are_refused(saved, tmp_path):
    with pytest.raises(MetastyleError, match="'other' are missing: metastyle train-baseline other"):
        load_trained(nn.Linear(3, 2), "other", tmp_path)
    path = trained_path("part", tmp_path)
    path.rename(trained_path("other", tmp_path))
    with pytest.raises(MetastyleError, match="holds the weights of 'part', not of 'other'"):
        load_trained(nn.Linear(3, 2), "other", tmp_path)
    trained_path("other", tmp_path).rename(path)
    with pytest.raises(MetastyleError, match="holds the weights of"):
        load_trained(nn.Linear(3, 4), "part", tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 64
    path.write_bytes(data)
    with pytest.raises(MetastyleError, match="checksum"):
        load_trained(nn.Linear(3, 2), "part", tmp_path)


def test_weights_beyond_float16_are_refused(tmp_path):
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, 1e6)
    with pytest.raises(MetastyleError, match="weight does not fit float16"):
        save_trained(module, "part", trained_path("part", tmp_path), {})
    assert list(tmp_path.iterdir()) == []


def test_parts_missing_in_the_folder_come_from_the_source_tree(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "SHIPPED", tmp_path)
    elsewhere = tmp_path / "elsewhere"
    loaded = load_trained(nn.Linear(3, 2), "part", elsewhere)
    torch.testing.assert_close(loaded.weight, saved.weight, atol=1e-3, rtol=1e-3)
    other = nn.Linear(3, 2)
    elsewhere.mkdir()
    save_trained(other, "part", trained_path("part", elsewhere), {})
    nearer = load_trained(nn.Linear(3, 2), "part", elsewhere)
    torch.testing.assert_close(nearer.weight, other.weight, atol=1e-3, rtol=1e-3)


def test_eight_bits_round_each_weight_by_at_most_half_a_step(tmp_path):
    """Each output channel has its own scale, so that small weights keep their precision."""
    torch.manual_seed(0)
    module = nn.Conv2d(4, 3, 5)
    with torch.no_grad():
        module.weight[0] *= 1e-4
        module.weight[1] = 0.0
    path = trained_path("part", tmp_path)
    save_trained(module, "part", path, {"iterations": 7}, eight_bits=True)
    with torch.device("meta"):
        empty = nn.Conv2d(4, 3, 5)
    loaded = load_trained(empty, "part", tmp_path)
    steps = module.weight.flatten(1).abs().amax(dim=1) / 127
    error = (loaded.weight - module.weight).flatten(1).abs().amax(dim=1)
    assert (error <= 0.5001 * steps).all() and error[2] > 0
    torch.testing.assert_close(loaded.bias, module.bias, atol=1e-3, rtol=1e-3)
    assert read_settings(path) == {"iterations": 7}
    assert safetensors.load_file(path)["weight"].dtype == torch.int8


def test_eight_bit_files_of_another_shape_or_with_damage_are_refused(tmp_path):
    path = trained_path("part", tmp_path)
    save_trained(nn.Conv2d(4, 3, 5), "part", path, {}, eight_bits=True)
    with pytest.raises(MetastyleError, match="holds the weights of"):
        load_trained(nn.Conv2d(4, 2, 5), "part", tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 64
    path.write_bytes(data)
    with pytest.raises(MetastyleError, match="checksum"):
        load_trained(nn.Conv2d(4, 3, 5), "part", tmp_path)


def test_without_a_source_tree_the_error_names_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(trained, "SHIPPED", tmp_path / "none")
    with pytest.raises(MetastyleError) as caught:
        load_trained(nn.Linear(1, 1), "wct-5")
    assert str(caught.value) == (
        "the weights of 'wct-5' are missing: metastyle train-baseline wct-5 --style DIR --content DIR"
        " -o runs/baselines, or name a folder that has them (--weights DIR)"
    )
