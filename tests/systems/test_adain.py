import pytest
import torch

from metastyle.images.contents import procedural_pool
from metastyle.systems.adain import AdaIN, adain
from metastyle.systems.vgg19 import Decoder, moments


@pytest.fixture(scope="module")
def system(encoder):
    torch.manual_seed(0)
    return AdaIN(encoder, Decoder(4))


def test_the_result_has_the_styles_moments(draw):
    content, style = draw(1, 20, 31), 3 * draw(2, 17, 25) + 1
    mean, std = moments(style)
    found_mean, found_std = moments(adain(content, mean, std))
    torch.testing.assert_close(found_mean, mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found_std, std, atol=1e-4, rtol=1e-3)
    own = adain(content, *moments(content))
    torch.testing.assert_close(own, content, atol=1e-6, rtol=1e-5)


def test_pictures_keep_their_size(system, draw):
    stylize = system.prepare(draw(1, 40, 50))
    for height, width in ((32, 32), (37, 51)):
        picture = stylize(draw(2, height, width))
        assert picture.shape == (1, 3, height, width)
        assert picture.min() >= 0 and picture.max() <= 1 and picture.isfinite().all()


def test_strength_zero_ignores_the_style(encoder, draw):
    torch.manual_seed(0)
    system = AdaIN(encoder, Decoder(4), strength=0.0)
    photo = draw(0, 32, 40)
    assert torch.equal(system.prepare(draw(1))(photo), system.prepare(draw(2))(photo))


def test_the_published_system_reconstructs_a_picture_in_its_own_style(published):
    system = AdaIN.load(torch.device("cpu"))
    assert system.parameters == 7_010_959
    # A procedural picture in its own style; the measured correlation is 0.74.
    photo = procedural_pool(1, 128, 0)
    picture = system.prepare(photo)(photo)
    assert torch.corrcoef(torch.stack([picture.flatten(), photo.flatten()]))[0, 1] > 0.7
