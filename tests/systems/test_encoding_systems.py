"""WCT, Style-Swap and Avatar-Net as a whole, with random networks."""

import pytest
import torch

from metastyle.errors import MetastyleError
from metastyle.systems import weights as trained
from metastyle.systems.avatar_net import SKIPS, AvatarNet, Hourglass, decorate
from metastyle.systems.patches import swap
from metastyle.systems.style_swap import StyleSwap
from metastyle.systems.vgg19 import Decoder, fitted, moments
from metastyle.systems.wct import LEVELS, WCT
from metastyle.systems.whitening import spectrum, whiten, whiten_and_color


@pytest.fixture(scope="module")
def decoders():
    torch.manual_seed(0)
    return [Decoder(level) for level in LEVELS]


@pytest.fixture(scope="module")
def hourglass():
    torch.manual_seed(0)
    hourglass = Hourglass().requires_grad_(False)
    for parameter in hourglass.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)
    return hourglass


@pytest.fixture(params=["wct", "style-swap", "avatar-net"])
def system(request, encoder, decoders, hourglass):
    if request.param == "wct":
        return WCT(encoder, decoders)
    return StyleSwap(encoder, decoders[2]) if request.param == "style-swap" else AvatarNet(encoder, hourglass)


def test_results_keep_the_size_and_depend_on_the_style(system, draw):
    photo = draw(0, 45, 70)
    pictures = []
    for seed in (1, 2):
        picture = system.prepare(draw(seed, 50, 41))(photo)
        assert picture.shape == photo.shape and picture.isfinite().all()
        assert picture.min() >= 0 and picture.max() <= 1
        pictures.append(picture)
    assert not torch.equal(*pictures)
    assert system.parameters > 1e6 and system.styles == "any"


def test_missing_weights_are_reported_with_the_command_that_trains_them(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "SHIPPED", tmp_path / "no source tree")
    for kind, part in ((WCT, "wct-5"), (StyleSwap, "style-swap"), (AvatarNet, "avatar-net")):
        with pytest.raises(MetastyleError, match=f"metastyle train-baseline {part} .* -o {tmp_path}"):
            kind.load(torch.device("cpu"), tmp_path)


def test_wct_transforms_deep_levels_first(encoder, decoders, draw):
    """Compared with two levels written out, without blending."""
    photo, style = draw(0, 40, 40), draw(1, 40, 48)
    system = WCT(encoder, decoders[3:], blend=1.0)
    with torch.no_grad():
        x = photo
        for level, decoder in zip((2, 1), decoders[3:], strict=True):
            layer = f"relu{level}_1"
            target = spectrum(encoder(style, [layer])[layer])
            x = decoder(whiten_and_color(encoder(x, [layer])[layer], target))
    torch.testing.assert_close(system.prepare(style)(photo), fitted(x, photo), atol=1e-4, rtol=1e-3)
    without = WCT(encoder, decoders[4:], blend=0.0)
    with torch.no_grad():
        plain = fitted(decoders[4](encoder(photo, ["relu1_1"])["relu1_1"]), photo)
    torch.testing.assert_close(without.prepare(style)(photo), plain)


def test_style_swap_replaces_patches_by_those_of_the_style(encoder, decoders, draw):
    """With itself as the style, a picture is only encoded and decoded."""
    photo = draw(0, 48, 40)
    system = StyleSwap(encoder, decoders[2])
    with torch.no_grad():
        features = encoder(photo, ["relu3_1"])["relu3_1"]
        plain = fitted(decoders[2](features), photo)
        other = encoder(draw(1), ["relu3_1"])["relu3_1"]
        swapped = fitted(decoders[2](swap(features[0], other[0], 3)[None]), photo)
    torch.testing.assert_close(system.prepare(photo)(photo), plain, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(system.prepare(draw(1))(photo), swapped)


def test_the_hourglass_sets_the_styles_moments_at_every_skip(encoder, hourglass, draw, monkeypatch):
    style = encoder(draw(1, 64, 80), SKIPS)
    features = torch.randn(1, 512, 6, 6)
    seen = {}
    before = hourglass.before

    def recorded(stop, x, at=None):
        seen.update(at or {})
        return before(stop, x, at)

    monkeypatch.setattr(hourglass, "before", recorded)
    picture = hourglass.decode(features, style)
    assert picture.shape == (1, 3, 48, 48) and seen.keys() == set(SKIPS)
    for layer, change in seen.items():
        x = torch.randn(1, style[layer].shape[1], 9, 7)
        for found, expected in zip(moments(change(x)), moments(style[layer]), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-3)
    assert not torch.equal(picture, hourglass(features))


def test_decorating_a_style_with_itself_changes_nothing():
    torch.manual_seed(0)
    style = torch.randn(1, 12, 8, 9)
    target = spectrum(style)
    decorated = decorate(style, whiten(style, target), target)
    torch.testing.assert_close(decorated, style, atol=1e-4, rtol=1e-4)
    # Another content is made of patches of the style, whose range it cannot exceed.
    content = decorate(torch.randn(1, 12, 7, 7), whiten(style, target), target)
    assert content.shape == (1, 12, 7, 7) and content.abs().max() <= style.abs().max() * 1.01


def test_a_picture_that_is_too_small_is_refused(encoder, hourglass, draw):
    stylize = AvatarNet(encoder, hourglass).prepare(draw(1, 64, 64))
    with pytest.raises(MetastyleError, match="use larger pictures"):
        stylize(draw(0, 32, 32))
