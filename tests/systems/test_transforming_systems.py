"""Johnson et al., Shen et al. and MetaStyle, which all prepare an image transformation network."""

import pytest
import torch
from PIL import Image
from torch.func import functional_call

from metastyle import api
from metastyle.core.losses import style_target
from metastyle.core.network import TransformationNetwork
from metastyle.core.settings import AdaptationSettings
from metastyle.errors import MetastyleError
from metastyle.images.contents import Contents
from metastyle.images.decode import open_picture
from metastyle.systems.johnson import Johnson, OneStyle, TrainedJohnson, thumbnail
from metastyle.systems.metastyle import MetaStyle
from metastyle.systems.repainting import repainting
from metastyle.systems.shen import MetaNetwork, Shen
from metastyle.systems.weights import save_trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def meta():
    torch.manual_seed(0)
    return MetaNetwork(width=8).requires_grad_(False)


def test_repainting_applies_the_network_to_the_padded_picture(draw):
    torch.manual_seed(0)
    network = TransformationNetwork()
    photo = draw(0, 33, 42)
    with torch.no_grad():
        expected = network(torch.nn.functional.pad(photo, (0, 2, 0, 3), mode="reflect"))[:, :, :33, :42]
    torch.testing.assert_close(repainting(network, CPU)(photo), expected, atol=1e-4, rtol=1e-4)
    meta = repainting(TransformationNetwork(), torch.device("meta"))  # the branch for GPUs
    assert meta(photo.to("meta")).shape == photo.shape


def test_the_meta_network_generates_all_parameters(meta):
    parameters = meta(torch.rand(1920))
    own = TransformationNetwork().state_dict()
    assert {n: p.shape for n, p in parameters.items()} == {n: p.shape for n, p in own.items()}
    assert len(meta.generated) == 14
    # Each generated convolution depends on the statistics; the first and the last do not.
    other = meta(torch.rand(1920) + 1)
    for name in meta.generated:
        assert not torch.equal(parameters[f"{name}.weight"], other[f"{name}.weight"])
        assert not torch.equal(parameters[f"{name}.bias"], other[f"{name}.bias"])
    assert torch.equal(parameters["out.weight"], other["out.weight"])


def test_each_filter_is_generated_by_its_own_linear_map(meta):
    statistics = torch.rand(1920)
    k = meta.generated.index("up1")
    unit = torch.relu(meta.hidden(statistics))[8 * k : 8 * k + 8]
    numbers = meta.maps[k].weight @ unit + meta.maps[k].bias
    found = meta(statistics)
    expected = torch.cat([found["up1.weight"].flatten(), found["up1.bias"]])
    torch.testing.assert_close(numbers, expected)


def test_shen_prepares_the_generated_network(meta, features, draw):
    system, style, photo = Shen(meta, features), draw(1, 40, 48), draw(0, 32, 36)
    parameters = meta(style_target(features, style).statistics)
    with torch.no_grad():
        expected = functional_call(TransformationNetwork(), parameters, (photo,))
    torch.testing.assert_close(system.prepare(style)(photo), expected, atol=1e-4, rtol=1e-4)


def test_johnson_trains_reproducibly_for_one_style(features, draw):
    settings = AdaptationSettings(steps=2, batch=1, size=64)
    system = Johnson(CPU, features, settings=settings)
    photo = draw(0, 32, 32)
    before = torch.get_rng_state()
    picture = system.prepare(draw(1))(photo)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(picture, Johnson(CPU, features, settings=settings).prepare(draw(1))(photo))
    assert not torch.equal(picture, system.prepare(draw(2))(photo))
    assert system.parameters == 1_679_235 and system.styles == "1"


def test_johnson_trains_as_published_whatever_metastyle_adapts_with(features):
    """A system that paints without grain must not be trained with it, and its loss is the common one."""
    made = Johnson(CPU, features).settings
    assert (made.optimizer, made.balance, made.grain, made.batch, made.size) == ("adam", 0, 0, 4, 256)


def test_trained_networks_are_found_by_their_thumbnail(tmp_path, draw):
    with pytest.raises(MetastyleError, match="train-baseline johnson"):
        TrainedJohnson.load(CPU, tmp_path)
    painting = draw(1, 60, 80)
    torch.manual_seed(0)
    one = OneStyle()
    one.thumbnail.copy_(thumbnail(painting))
    save_trained(one, "johnson-waves", tmp_path / "johnson-waves.safetensors", {})
    system = TrainedJohnson.load(CPU, tmp_path)
    smaller = torch.nn.functional.interpolate(painting, (45, 60), mode="area")
    photo = draw(0, 32, 32)
    expected = repainting(one.network, CPU)(photo)
    torch.testing.assert_close(system.prepare(smaller)(photo), expected, atol=0.02, rtol=0)
    with pytest.raises(MetastyleError, match="trained for this painting"):
        system.prepare(draw(2))


def test_metastyle_gives_the_results_of_the_public_functions(features, draw, monkeypatch):
    monkeypatch.setattr(api, "load_loss_network", lambda *args, **kwargs: features)
    style, photo = draw(1), draw(0, 32, 36)
    system = MetaStyle(CPU, steps=1, size=64, style_size=64)
    adapted = api.adapt(style, steps=1, size=64, style_size=64, device="cpu")
    found = system.prepare(style)(photo)
    renderer = adapted.stylizer(device="cpu", precision="float32")
    torch.testing.assert_close(found, renderer.render_tensor(photo))
    # A small painting is not enlarged to the default size.
    own_size = MetaStyle(CPU, steps=1, size=64).prepare(draw(1, 72, 80))(photo)
    expected = api.adapt(draw(1, 72, 80), steps=1, size=64, style_size=80, device="cpu")
    renderer = expected.stylizer(device="cpu", precision="float32")
    torch.testing.assert_close(own_size, renderer.render_tensor(photo))
    assert system.name == "MetaStyle, 1 steps" and system.parameters == 1_679_235


def test_metastyle_adapts_to_the_photographs_that_it_repaints(features, draw, monkeypatch, tmp_path):
    monkeypatch.setattr(api, "load_loss_network", lambda *args, **kwargs: features)
    Image.new("RGB", (80, 64), (200, 90, 30)).save(tmp_path / "a.png")
    given = []
    adapt = api.adapt

    def noting(style, **options):
        given.append(options["contents"])
        return adapt(style, **options)

    monkeypatch.setattr(api, "adapt", noting)
    MetaStyle(CPU, steps=1, size=64, photos=str(tmp_path)).prepare(draw(1))
    own = Contents(lambda: [open_picture(tmp_path / "a.png")])  # as in metastyle.stylize
    assert given[0].identity == own.identity and given[0].record() == own.record()
