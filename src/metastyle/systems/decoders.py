"""Initialization of the decoders of WCT, Style-Swap and Avatar-Net from AdaIN's, where shapes allow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.systems.vgg19 import Decoder, Encoder


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
def fit_last_convolution(encoder: Encoder, decoder: Decoder, pictures: Sequence[Tensor]) -> None:
    """Set ``conv1_1`` to the least-squares solution for reconstructing pictures, and nothing else.

    The features of a level differ by two orders of magnitude and many are redundant, so that the last, linear
    layer trains slowly by gradients. At level 1 there is nothing else to train.
    ``pictures`` are batches (B, 3, n, n), n a multiple of 16.
    """
    layer = f"relu{decoder.level}_1"
    last: nn.Conv2d = decoder.conv1_1  # type: ignore[assignment]
    size = last.weight[0].numel() + 1
    square = torch.zeros(size, size, dtype=torch.float64, device=last.weight.device)
    product = square.new_zeros(size, 3)
    for batch in pictures:
        hidden = decoder.before_last(encoder(batch, [layer])[layer])
        patches = F.unfold(F.pad(hidden, (1, 1, 1, 1), mode="reflect"), 3).double()  # (B, 9 C, places)
        x = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
        square += (x @ x.transpose(1, 2)).sum(dim=0)
        product += (x @ batch.flatten(2).double().transpose(1, 2)).sum(dim=0)
    square.diagonal().add_(1e-4 * square.diagonal().mean())
    solution = torch.linalg.solve(square, product).T.float()
    last.weight.copy_(solution[:, :-1].view_as(last.weight))
    assert last.bias is not None
    last.bias.copy_(solution[:, -1])
