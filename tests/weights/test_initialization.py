import pytest
import torch

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.errors import MetastyleError
from metastyle.weights import initialization as initialization_module
from metastyle.weights.initialization import FORMAT, load_initialization, save_initialization
from metastyle.weights.tensor_files import encode


def make(predictor=True):
    torch.manual_seed(0)
    initialization = Initialization(predictor=StylePredictor(hidden=16) if predictor else None)
    if initialization.predictor is not None:
        initialization.predictor.std.fill_(1e-9)  # would be 0 in float16
        torch.nn.init.normal_(initialization.predictor.decode.weight)
    return initialization


@pytest.mark.parametrize("predictor", [True, False])
def test_a_loaded_initialization_is_rounded_to_float16(tmp_path, predictor):
    path, original = tmp_path / "i.safetensors", make(predictor)
    base = save_initialization(original, path, {"iterations": 7})
    before = torch.get_rng_state()
    loaded, found = load_initialization(path)
    assert torch.equal(before, torch.get_rng_state())
    assert found == base and not loaded.training
    assert loaded.state_dict().keys() == original.state_dict().keys()
    for name, tensor in original.state_dict().items():
        expected = tensor if name in ("predictor.mean", "predictor.std") else tensor.half().float()
        assert torch.equal(loaded.state_dict()[name], expected)


def test_the_base_depends_only_on_the_weights(tmp_path):
    first = save_initialization(make(), tmp_path / "a", {"n": 1})
    assert first == save_initialization(make(), tmp_path / "b", {"n": 2})
    loaded, _ = load_initialization(tmp_path / "a")
    assert first == save_initialization(loaded, tmp_path / "c", {"n": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    other = make()
    other.network.out.bias.data += 0.1
    assert first != save_initialization(other, tmp_path / "d", {})


def test_saving_refuses_weights_beyond_float16_and_existing_files(tmp_path):
    broken = make()
    broken.network.out.bias.data[0] = torch.nan
    with pytest.raises(MetastyleError, match=r"network\.out\.bias"):
        save_initialization(broken, tmp_path / "i", {})
    assert list(tmp_path.iterdir()) == []
    save_initialization(make(), tmp_path / "i", {})
    with pytest.raises(MetastyleError, match="already exists"):
        save_initialization(make(), tmp_path / "i", {})


def changed(**changes):
    tensors = make().state_dict()
    return {name: t for name, t in (tensors | changes).items() if t is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network.out.bias": None}, "'network.out.bias' is missing"),
        ({"network.out.bias": torch.zeros(4)}, "'network.out.bias' is missing, unknown, or of another shape"),
        ({"other": torch.zeros(4)}, "'other' is missing, unknown"),
        (
            {"network.out.bias": torch.full((3,), torch.inf)},
            "'network.out.bias' holds numbers that are not finite",
        ),
        ({"predictor.std": torch.zeros(1920)}, "'predictor.std' holds numbers that are not above 0"),
        ({"predictor.encode.weight": None}, "no usable 'predictor.encode.weight'"),
        ({"predictor.encode.weight": torch.zeros(5000, 1)}, "no usable 'predictor.encode.weight'"),
        ({"predictor.encode.weight": torch.zeros(16, 7)}, "'predictor.encode.weight' is missing, unknown"),
    ],
)
def test_wrong_tensors_are_refused(tmp_path, changes, message):
    path = tmp_path / "i.safetensors"
    path.write_bytes(encode(changed(**changes), {"format": FORMAT, "format_version": "1"}))
    with pytest.raises(MetastyleError, match=message):
        load_initialization(path)


def test_foreign_truncated_and_newer_files_are_refused(tmp_path):
    path = tmp_path / "i.safetensors"
    save_initialization(make(), path, {})
    whole = path.read_bytes()
    newer = encode(make().state_dict(), {"format": FORMAT, "format_version": "2"})
    foreign = encode(make().state_dict(), {"format": "metastyle-style", "format_version": "1"})
    for data, message in (
        (whole[: len(whole) // 2], "truncated"),
        (whole[:1000], "truncated"),
        (b"GIF89a..............", "not a safetensors file"),
        (newer, "newer metastyle"),
        (foreign, "not a metastyle initialization"),
    ):
        path.write_bytes(data)
        with pytest.raises(MetastyleError, match=message):
            load_initialization(path)
    with pytest.raises(MetastyleError, match="no such file"):
        load_initialization(tmp_path / "none")


def test_the_shipped_initialization_is_read_once_and_copied(monkeypatch, tmp_path):
    path = tmp_path / "shipped.safetensors"
    save_initialization(make(), path, {})
    monkeypatch.setattr(initialization_module, "SHIPPED", path)
    first, base = load_initialization()
    path.unlink()
    with torch.no_grad():
        first.network.out.bias += 1  # must not affect other callers
    second, same = load_initialization()
    assert base == same and not torch.equal(first.network.out.bias, second.network.out.bias)
    assert torch.equal(first.network.out.weight, second.network.out.weight)
