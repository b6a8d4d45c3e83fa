"""MicroAST with random weights, and with the published ones if they are available."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from metastyle.bench.pictures import whole
from metastyle.errors import MetastyleError
from metastyle.systems import microast
from metastyle.systems.microast import PARTS, Decoder, Encoder, MicroAST, Modulator, file_of
from metastyle.systems.vgg19 import moments
from metastyle.weights.tensor_files import tensor_digest

SHARED = Path(__file__).parents[3] / "shared"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    return Encoder(), Encoder(), Modulator(), Decoder()


@pytest.fixture
def folder(parts, tmp_path, monkeypatch):
    """A checkout of the authors' repository, with the weights of ``parts`` in place of theirs."""
    (tmp_path / "models").mkdir()
    for name, module in zip(PARTS, parts, strict=True):
        torch.save(module.state_dict(), file_of(tmp_path / "models", name))
        monkeypatch.setitem(microast.DIGESTS, name, tensor_digest(module.state_dict()))
    return tmp_path


def test_parameter_counts_are_those_of_the_paper(parts):
    assert MicroAST(*parts).parameters == 471_987
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert counts == [157_792, 157_792, 2_560, 153_843]


def test_results_keep_the_size_and_depend_on_the_style(parts, draw):
    system = MicroAST(*parts)
    first, second = system.prepare(draw(1, 40, 50)), system.prepare(draw(2, 64, 33))
    for height, width in ((32, 32), (37, 51), (16, 19)):
        photo = draw(3, height, width)
        picture = first(photo)
        assert picture.shape == (1, 3, height, width)
        assert picture.min() >= 0 and picture.max() <= 1 and picture.isfinite().all()
        assert not torch.equal(picture, second(photo))


def test_features_have_a_quarter_of_the_size_rounded_up(parts, draw):
    shallow, deep = parts[0](draw(0, 33, 50))
    assert shallow.shape == deep.shape == (1, 64, 9, 13)
    assert [tuple(x.shape) for pair in parts[2]((shallow, deep)) for x in pair] == [(1, 64, 1, 1)] * 4


def test_filters_are_modulated_as_in_the_paper(parts, draw):
    block = parts[3].dec1
    x = torch.randn(1, 64, 9, 11, generator=torch.Generator().manual_seed(0))
    one, zero = torch.ones(1, 64, 1, 1), torch.zeros(1, 64, 1, 1)
    torch.testing.assert_close(block.modulated(x, one, zero), block(x))
    torch.testing.assert_close(block.modulated(x, zero, one), x + F.relu(x))
    torch.testing.assert_close(block.modulated(x, zero, zero), x)


def test_the_deep_style_is_applied_before_the_shallow_one(parts, draw, monkeypatch):
    seen = []
    monkeypatch.setattr(microast, "adain", lambda x, mean, std: seen.append(mean) or x)
    style = draw(1, 40, 40)
    MicroAST(*parts).prepare(style)(draw(2, 32, 32))
    shallow, deep = parts[1](style)
    torch.testing.assert_close(seen, [moments(deep)[0], moments(shallow)[0]])


@pytest.mark.parametrize("inside", ["", "models"])
def test_weights_are_found_in_a_checkout(folder, parts, inside, draw):
    system = MicroAST.load(CPU, folder / inside)
    photo, style = draw(0), draw(1)
    assert torch.equal(system.prepare(style)(photo), MicroAST(*parts).prepare(style)(photo))
    assert not any(p.requires_grad for p in system.decoder.parameters())


def test_missing_foreign_and_damaged_weights_are_refused(folder, tmp_path):
    for where in (None, tmp_path / "models" / "none"):
        with pytest.raises(MetastyleError, match="weights of MicroAST are missing: name") as caught:
            MicroAST.load(CPU, where)
        assert "\n" not in str(caught.value)
    path = file_of(folder / "models", "decoder")
    torch.save({"x": torch.zeros(1)}, path)
    with pytest.raises(MetastyleError, match="not the published numbers of MicroAST's decoder"):
        MicroAST.load(CPU, folder)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MetastyleError, match="not a readable file of torch tensors"):
        MicroAST.load(CPU, folder)


@pytest.mark.shared
def test_the_published_weights_keep_the_photograph_and_use_the_palette():
    weights, held_out = SHARED / "weights" / "microast", SHARED / "images" / "held_out"
    if not weights.is_dir() or not held_out.is_dir():
        pytest.skip("needs the research data beside the project")
    photo = whole(held_out / "content" / "gordicaleksa__lion.jpg", 256)
    style = whole(held_out / "style" / "fastneuralstyle__starry_night.jpg", 256)
    picture = MicroAST.load(CPU, weights).prepare(style)(photo)
    gray = [F.avg_pool2d(x.mean(1, keepdim=True), 4).flatten() for x in (picture, photo)]
    assert torch.corrcoef(torch.stack(gray))[0, 1] > 0.8  # the lion is recognizable
    distance = [(x.mean((2, 3)) - style.mean((2, 3))).abs().max() for x in (picture, photo)]
    assert distance[0] < 0.1 < distance[1]  # blue instead of brown
