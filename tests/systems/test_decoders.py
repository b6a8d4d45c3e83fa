import torch

from metastyle.core.initialization import Initialization, StylePredictor
from metastyle.systems import shen
from metastyle.systems.avatar_net import Hourglass, begin_with
from metastyle.systems.shen import MetaNetwork
from metastyle.systems.vgg19 import Decoder


def test_the_hourglass_starts_as_the_published_decoder():
    """Without a style at its skips, it decodes to the same pictures."""
    torch.manual_seed(3)
    hourglass, published = Hourglass(), Decoder(4)
    begin_with(hourglass, published)
    features = torch.rand(1, 512, 4, 5)
    found, expected = hourglass(features), published(features)
    inside = (..., slice(3, -3), slice(3, -3))  # the 7 x 7 convolution has other reflected borders
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-5)
    assert found.shape == expected.shape


def test_shen_et_al_start_with_theta_for_any_painting():
    """The statistics are standardized as in the predictor."""
    torch.manual_seed(5)
    theta = Initialization(predictor=StylePredictor())
    theta.predictor.mean.uniform_(1, 9)
    theta.predictor.std.uniform_(0.1, 5)
    meta, plain = MetaNetwork(width=2), MetaNetwork(width=2)
    plain.load_state_dict(meta.state_dict())
    shen.begin_with(meta, theta)
    statistics = torch.rand(2, 1920) * 9
    for one in statistics:
        found = meta(one)
        for layer in (*meta.generated, "down1", "out"):
            for name in (f"{layer}.weight", f"{layer}.bias"):
                torch.testing.assert_close(found[name], theta.network.get_parameter(name))
    standardized = (statistics - theta.predictor.mean) / theta.predictor.std
    torch.testing.assert_close(meta.hidden(statistics), plain.hidden(standardized), rtol=1e-3, atol=1e-4)
