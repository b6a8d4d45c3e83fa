"""Initialization of the decoders of WCT, Style-Swap and Avatar-Net from AdaIN's, where shapes allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.systems.vgg19 import Decoder, Encoder

BEFORE_RELU4_1 = ("conv5_1", "conv4_4", "conv4_3", "conv4_2")
"""The convolutions of level 5's decoder from relu5_1 to relu4_1, where AdaIN's published decoder begins."""


def copy_published(decoder: Decoder, published: Decoder) -> None:
    """Copy the convolutions that have the same shape in both decoders.

    The first convolution of a decoder for another level is left out: its inputs are the encoder's features,
    while the same convolution of the published decoder gets the features of that decoder.
    """
    own = decoder.state_dict()
    first = "" if decoder.level == published.level else f"conv{decoder.level}_1."
    shared = {
        name: t
        for name, t in published.state_dict().items()
        if name in own and own[name].shape == t.shape and not (first and name.startswith(first))
    }
    decoder.load_state_dict(shared, strict=False)


@torch.no_grad()
def fit_start(encoder: Encoder, decoder: Decoder, pictures: Sequence[Tensor]) -> None:
    """Fit the convolutions that the published decoder has no start for: least squares, and nothing else.

    The features of a level differ by two orders of magnitude and many are redundant, so that linear layers
    train slowly by gradients. Level 5 first needs a way to relu4_1, where the published decoder begins: its
    convolutions start as the identity, except for the last, which is fitted. In the others, the convolution
    to the picture is fitted.

    ``pictures`` are batches (B, 3, n, n), n a multiple of 16.
    """
    layer = f"relu{decoder.level}_1"
    to_features = decoder.level == 5
    if to_features:
        for name in BEFORE_RELU4_1[:-1]:
            convolution: nn.Conv2d = decoder.get_submodule(name)  # type: ignore[assignment]
            nn.init.dirac_(convolution.weight)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    fitted_name = BEFORE_RELU4_1[-1] if to_features else "conv1_1"

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in pictures:
            features = encoder(batch, [layer, "relu4_1"] if to_features else [layer])
            wanted = features["relu4_1"] if to_features else batch
            yield decoder.before(fitted_name, features[layer]), wanted

    solve_convolution(decoder.get_submodule(fitted_name), pairs())  # type: ignore[arg-type]


@torch.no_grad()
def solve_convolution(convolution: nn.Conv2d, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Set a 3x3 convolution to the least-squares solution of pairs of its input and the wanted output.

    Inputs are (B, C, h, w), reflected at the border, and outputs (B, K, h, w).
    """
    channels = convolution.in_channels
    size = 9 * channels + 1
    square = torch.zeros(size, size, dtype=torch.float64, device=convolution.weight.device)
    product = square.new_zeros(size, convolution.out_channels)
    for source, wanted in pairs:
        patches = F.unfold(F.pad(source, (1, 1, 1, 1), mode="reflect"), 3).double()  # (B, 9 C, places)
        x = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1).transpose(0, 1).flatten(1)
        square += x @ x.mT
        product += x @ wanted.flatten(2).double().transpose(0, 1).flatten(1).mT
    square.diagonal().add_(1e-4 * square.diagonal().mean())
    solution = torch.linalg.solve(square, product).T.float()
    convolution.weight.copy_(solution[:, :-1].view_as(convolution.weight))
    assert convolution.bias is not None
    convolution.bias.copy_(solution[:, -1])
