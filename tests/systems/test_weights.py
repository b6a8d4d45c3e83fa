import pytest
import torch
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


def test_numbers_come_back_rounded_and_frozen(saved, tmp_path):
    with torch.device("meta"):
        empty = nn.Linear(3, 2)
    loaded = load_trained(empty, "part", tmp_path)
    torch.testing.assert_close(loaded.weight, saved.weight, atol=1e-3, rtol=1e-3)
    assert loaded.weight.dtype == torch.float32 and not loaded.weight.requires_grad and not loaded.training
    assert read_settings(trained_path("part", tmp_path)) == {"iterations": 7}


def test_the_same_numbers_give_the_same_bytes(saved, tmp_path):
    path = trained_path("part", tmp_path)
    before = path.read_bytes()
    save_trained(saved, "part", path, {"iterations": 7})
    assert path.read_bytes() == before


def test_what_is_missing_foreign_or_damaged_is_named(saved, tmp_path):
    with pytest.raises(MetastyleError, match="'other' have not been trained: metastyle train-baseline other"):
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


def test_numbers_that_float16_cannot_hold_are_refused(tmp_path):
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, 1e6)
    with pytest.raises(MetastyleError, match="weight does not fit float16"):
        save_trained(module, "part", trained_path("part", tmp_path), {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_in_the_folder_comes_from_the_package(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "SHIPPED", tmp_path)
    elsewhere = tmp_path / "elsewhere"
    loaded = load_trained(nn.Linear(3, 2), "part", elsewhere)
    torch.testing.assert_close(loaded.weight, saved.weight, atol=1e-3, rtol=1e-3)
    other = nn.Linear(3, 2)
    elsewhere.mkdir()
    save_trained(other, "part", trained_path("part", elsewhere), {})
    nearer = load_trained(nn.Linear(3, 2), "part", elsewhere)
    torch.testing.assert_close(nearer.weight, other.weight, atol=1e-3, rtol=1e-3)
