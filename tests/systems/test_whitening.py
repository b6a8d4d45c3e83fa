import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from metastyle.systems.whitening import color, spectrum, whiten, whiten_and_color


def features(seed, channels=6, height=9, width=11):
    """Correlated channels with different means and scales."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator)
    x = torch.randn(channels, height * width, generator=generator)
    shift = 3 * torch.randn(channels, 1, generator=generator)
    return (mixing @ x + shift).view(1, channels, height, width)


def covariance(x):
    return torch.cov(x[0].flatten(1).double())


def close(a, b):
    torch.testing.assert_close(a, b.to(a.dtype), atol=1e-4, rtol=1e-4)


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_the_result_has_the_styles_mean_and_covariance(seed):
    content, style = features(seed), features(seed + 5000, height=8, width=14)
    assume(all(len(spectrum(x).values) == 6 for x in (content, style)))  # full rank
    result = whiten_and_color(content, spectrum(style))
    assert result.shape == content.shape and result.dtype == torch.float32
    close(covariance(result), covariance(style))
    close(result.mean((2, 3)), style.mean((2, 3)))


def test_whitened_features_have_unit_covariance_and_can_be_colored_back():
    x = features(1)
    own = spectrum(x)
    whitened = whiten(x, own)
    close(covariance(whitened), torch.eye(6))
    close(whitened.mean((2, 3)), torch.zeros(1, 6))
    close(color(whitened, own), x)
    close(whiten_and_color(x, own), x)


def test_whitening_is_zca():
    """ZCA rotates the features as little as possible, so uncorrelated channels are only scaled."""
    basis = torch.linalg.qr(torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).sub_(0.5))[0].T
    basis = torch.linalg.qr((basis - basis.mean(dim=1, keepdim=True)).T)[0].T  # orthonormal, mean 0
    x = (basis * torch.tensor([[1.0], [5.0], [0.5], [9.0]])).view(1, 4, 4, 5)
    close(whiten(x, spectrum(x)), (basis * 19**0.5).view(1, 4, 4, 5))


def test_directions_without_variance_are_left_out():
    """With fewer positions than channels, or a constant channel, nothing is divided by zero."""
    x = features(2, channels=8, height=1, width=5)
    x[:, 3] = 2.0
    own = spectrum(x)
    assert len(own.values) == 4 and own.vectors.shape == (8, 4)
    whitened = whiten(x, own)
    projector = own.vectors @ own.vectors.T
    close(covariance(whitened), projector)
    close(color(whitened, own), x)
    constant = torch.full((1, 3, 2, 2), 0.7)
    close(
        whiten_and_color(constant, spectrum(x[:, :3])),
        x[:, :3].mean((2, 3))[..., None, None].expand(1, 3, 2, 2),
    )
