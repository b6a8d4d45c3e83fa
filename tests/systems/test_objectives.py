from pathlib import Path

import pytest
import torch

from metastyle.core.loss_network import STYLE_LAYERS
from metastyle.core.losses import perceptual_loss, style_target
from metastyle.systems import avatar_net, wct
from metastyle.systems.avatar_net import BOTTLENECK, SKIPS, Hourglass, calibrate_skips
from metastyle.systems.decoders import BEFORE_RELU4_1, copy_published, fit_start
from metastyle.systems.johnson import OneStyle, OneStyleLearning, thumbnail
from metastyle.systems.objective import Networks, Start, total_variation
from metastyle.systems.patches import swap
from metastyle.systems.shen import MetaLearning, MetaNetwork, moment_loss
from metastyle.systems.style_swap import Inversion
from metastyle.systems.vgg19 import Decoder


@pytest.fixture
def batch(draw, features):
    photos = torch.cat([draw(k, 32, 32) for k in range(2)])
    paintings = torch.cat([draw(10 + k, 32, 32) for k in range(2)])
    return photos, paintings, [style_target(features, draw(20))]


@pytest.fixture(params=["wct", "style-swap", "avatar-net", "shen", "johnson"])
def objective(request, encoder, features, draw):
    torch.manual_seed(0)
    match request.param:
        case "wct":
            return wct.Reconstruction(encoder, Decoder(2))
        case "style-swap":
            return Inversion(encoder, Decoder(3))
        case "avatar-net":
            return avatar_net.Reconstruction(encoder, Hourglass())
        case "shen":
            return MetaLearning(features, MetaNetwork(width=4))
    return OneStyleLearning(features, OneStyle(), draw(20))


def test_all_trained_parameters_and_no_others_get_a_gradient(objective, batch, encoder, features):
    losses = objective(*batch)
    assert all(loss.dim() == 0 and loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.learned.parameters())
    assert not any(p.requires_grad for m in (encoder, features) for p in m.parameters())


def test_the_reconstruction_loss_is_equation_1(encoder, batch):
    torch.manual_seed(0)
    decoder = Decoder(2)
    x = torch.cat([batch[0], batch[1]])
    features = encoder(x, ["relu2_1"])["relu2_1"]
    found = decoder(features)
    losses = wct.Reconstruction(encoder, decoder)(*batch)
    torch.testing.assert_close(losses["pixels"], (found - x).square().mean())
    again = encoder(found, ["relu2_1"])["relu2_1"]
    torch.testing.assert_close(losses["features"], (again - features).square().mean())


def test_the_inverse_network_is_also_trained_on_swapped_features(encoder, batch):
    torch.manual_seed(0)
    objective, seen = Inversion(encoder, Decoder(3)), []
    objective.learned.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    objective(*batch)
    contents = encoder(batch[0], ["relu3_1"])["relu3_1"]
    styles = encoder(batch[1], ["relu3_1"])["relu3_1"]
    assert seen[0].shape == (6, 256, 8, 8)
    torch.testing.assert_close(seen[0][:4], torch.cat([contents, styles]))
    torch.testing.assert_close(seen[0][4], swap(contents[0], styles[0], 3))
    torch.testing.assert_close(seen[0][5], swap(contents[1], styles[1], 3))


def test_avatar_net_reconstructs_each_picture_in_its_own_style(encoder, batch):
    torch.manual_seed(0)
    hourglass = Hourglass()
    losses = avatar_net.Reconstruction(encoder, hourglass)(*batch)
    x = torch.cat([batch[0], batch[1]])
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    pictures = []
    for one in x:  # one by one, so that no picture gets another's moments
        own = encoder(one[None], layers)
        pictures.append(hourglass.decode(own["relu4_1"], own))
    torch.testing.assert_close(losses["pixels"], 10 * (torch.cat(pictures) - x).square().mean())


def test_one_style_minimizes_the_perceptual_loss(features, draw, batch):
    torch.manual_seed(0)
    one = OneStyle()
    objective = OneStyleLearning(features, one, draw(20))
    assert torch.equal(one.thumbnail, thumbnail(draw(20)))
    losses = objective(*batch)
    content = features(batch[0], ["relu2_2"])["relu2_2"]
    found = features(one.network(batch[0]))
    expected = perceptual_loss(found, content, style_target(features, draw(20)))
    torch.testing.assert_close(losses["content"] + losses["style"], expected.total)


def test_moment_loss_is_zero_for_the_style_itself(features, draw):
    described = features(draw(3))
    found = [described[name] for name in STYLE_LAYERS]
    statistics = style_target(features, draw(3)).statistics
    assert moment_loss(found, statistics) < 1e-6
    moved = statistics.clone()
    moved[:64] += 2.0  # the means of the first layer
    torch.testing.assert_close(moment_loss(found, moved), torch.tensor(4.0), atol=1e-3, rtol=0)
    moved = statistics.clone()
    moved[-512:] += 3.0  # the deviations of the last
    torch.testing.assert_close(moment_loss(found, moved), torch.tensor(9.0), atol=1e-2, rtol=0)


def test_total_variation_of_a_ramp_is_its_slope():
    assert total_variation(torch.ones(2, 3, 5, 6)) == 0
    ramp = torch.arange(6.0).expand(1, 3, 5, 6)
    torch.testing.assert_close(total_variation(ramp), torch.tensor(1.0))
    torch.testing.assert_close(total_variation(2 * ramp.transpose(2, 3)), torch.tensor(2.0))


def test_the_last_convolution_starts_with_the_least_squares_fit(encoder, batch):
    """At level 1 the decoder is linear, so no other weights reconstruct the pictures better."""
    torch.manual_seed(0)
    decoder = Decoder(1)
    objective = wct.Reconstruction(encoder, decoder)
    before = objective(*batch)["pixels"].item()
    fit_start(encoder, decoder, [torch.cat([batch[0], batch[1]])])
    fitted_loss = objective(*batch)["pixels"].item()
    assert fitted_loss < 0.05 * before
    weights = decoder.conv1_1.weight.detach().clone()
    for seed in range(5):
        step = torch.randn(weights.shape, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            decoder.conv1_1.weight.copy_(weights + 1e-3 * step)
        assert objective(*batch)["pixels"].item() > fitted_loss


def test_level_5_starts_with_a_way_to_relu4_1(encoder, draw):
    """From there the published decoder goes on, with the features that it was trained for, about."""
    torch.manual_seed(0)
    decoder, published = Decoder(5), Decoder(4)
    copy_published(decoder, published)
    pictures = [draw(seed, 64, 64) for seed in range(4)]
    fit_start(encoder, decoder, pictures)
    features = encoder(pictures[0], ["relu4_1", "relu5_1"])
    found = decoder.before("conv4_1", features["relu5_1"])
    error = (found - features["relu4_1"]).square().mean() / features["relu4_1"].square().mean()
    assert error < 0.05  # fitted to few pictures, exactly
    torch.testing.assert_close(decoder(features["relu5_1"]), published(found))


def test_the_start_of_level_5_learns_the_way_to_relu4_1_alone(encoder, batch):
    torch.manual_seed(0)
    networks = Networks(encoder, decoder=Decoder(4))
    start = Start(wct.START, Path(), torch.device("cpu"), torch.float32, networks=networks)
    objective = wct.FeatureReconstruction.begin(start)
    pictures = torch.cat([batch[0], batch[1]])
    wanted = encoder(pictures, ["relu4_1", "relu5_1"])
    found = objective.learned.before("conv4_1", wanted["relu5_1"])
    losses = objective(*batch)
    torch.testing.assert_close(losses, {"features": (found - wanted["relu4_1"]).square().mean()})
    losses["features"].backward()
    moved = {name.split(".")[0] for name, p in objective.learned.named_parameters() if p.grad is not None}
    assert moved == set(BEFORE_RELU4_1)


def test_skips_calibrated_on_one_picture_hardly_change_it(encoder, draw):
    """With the moments of calibration, the hourglass decodes as it did without skips."""
    torch.manual_seed(0)
    hourglass, picture = Hourglass(), draw(5)
    features = encoder(picture, [*SKIPS, BOTTLENECK])
    with torch.no_grad():
        expected = hourglass(features[BOTTLENECK])
        before = hourglass.decode(features[BOTTLENECK], features)
        calibrate_skips(encoder, hourglass, [picture])
        found = hourglass.decode(features[BOTTLENECK], features)
    # Channels that hardly vary in the encoder are scaled only in part.
    assert (found - expected).abs().mean() < 0.02 * (before - expected).abs().mean()
