import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from metastyle.errors import MetastyleError
from metastyle.systems.vgg19 import CONVOLUTIONS, Decoder, Encoder, count, fitted, moments
from metastyle.weights.vgg19 import VGG19

LAYERS = [f"relu{level}_1" for level in range(1, 6)]


def test_parameters_of_every_level_are_counted():
    with torch.device("meta"):
        encoders = [count(Encoder(level)) - 12 for level in range(1, 6)]
        decoders = [count(Decoder(level)) for level in range(1, 6)]
    assert encoders == [1_792, 112_576, 555_328, 3_505_728, 12_944_960]
    assert decoders == [1_731, 112_451, 555_075, 3_505_219, 12_944_451]


def plain(encoder, x):
    """The definition: reflection, convolution, ReLU, and pooling that rounds up."""
    state = encoder.state_dict()
    features = {}
    x = F.conv2d(x, state["preprocess.weight"], state["preprocess.bias"])
    for name, _, _ in CONVOLUTIONS:
        if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
            bottom, right = x.shape[2] % 2, x.shape[3] % 2
            x = F.pad(x, (0, right, 0, bottom), value=-torch.inf)
            x = F.max_pool2d(x, 2)
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"]).relu()
        features[name.replace("conv", "relu")] = x
    return features


def test_features_match_the_definition(encoder, draw):
    x = draw(0, 45, 70)
    expected = plain(encoder, x)
    found = encoder(x, [*LAYERS, "relu4_2"])
    assert found["relu4_1"].shape == (1, 512, 6, 9)
    for name, features in found.items():
        torch.testing.assert_close(features, expected[name], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="relu5_2"):
        encoder(x, ["relu5_2"])


@given(height=st.integers(32, 50), width=st.integers(32, 50), level=st.integers(1, 3))
@settings(deadline=None, max_examples=10)
def test_a_decoded_picture_covers_the_photograph(encoder, height, width, level):
    torch.manual_seed(0)
    decoder, photo = Decoder(level), torch.rand(1, 3, height, width)
    layer = f"relu{level}_1"
    with torch.no_grad():
        picture = fitted(decoder(encoder(photo, [layer])[layer]), photo)
    assert picture.shape == photo.shape and picture.min() >= 0 and picture.max() <= 1


@given(height=st.integers(32, 50), width=st.integers(32, 50), level=st.integers(4, 5))
@settings(deadline=None, max_examples=6)
def test_deep_features_cover_the_photograph(encoder, height, width, level):
    layer = f"relu{level}_1"
    with torch.no_grad():
        features = encoder(torch.rand(1, 3, height, width), [layer])[layer]
    rows, columns = features.shape[2:]
    assert rows * 2 ** (level - 1) >= height and columns * 2 ** (level - 1) >= width


def test_a_decoder_can_change_features_at_the_encoders_layers():
    torch.manual_seed(0)
    decoder, seen = Decoder(4), {}
    at = {
        name: lambda x, name=name: seen.setdefault(name, tuple(x.shape)) and x
        for name in ("relu4_1", "relu3_1", "relu2_1", "relu1_1")
    }
    with torch.no_grad():
        decoder.before("conv1_1", torch.rand(1, 512, 4, 5), at)
    assert seen == {
        "relu4_1": (1, 512, 4, 5),
        "relu3_1": (1, 256, 8, 10),
        "relu2_1": (1, 128, 16, 20),
        "relu1_1": (1, 64, 32, 40),
    }


def test_moments_are_mean_and_deviation(draw):
    x = draw(0, 20, 30)
    mean, std = moments(x)
    torch.testing.assert_close(mean, x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(std, x.std((2, 3), keepdim=True), atol=1e-3, rtol=1e-3)


def test_a_tiny_picture_is_refused(encoder):
    with pytest.raises(MetastyleError, match="too small for VGG-19"):
        encoder(torch.rand(1, 3, 40, 12), ["relu5_1"])


def test_the_published_encoder_has_mean_activations_of_one(draw, published):
    """The meaning of "normalized"; on noise instead of ImageNet only the order of magnitude is right."""
    before = torch.get_rng_state()
    encoder = Encoder.load(3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(encoder.conv3_1.weight, published[VGG19.name]["conv3_1.weight"])
    assert not any(p.requires_grad for p in encoder.parameters())
    features = encoder(draw(0, 64, 64), LAYERS[:3])
    for name in LAYERS[:3]:
        assert 0.2 < features[name].mean() < 5
