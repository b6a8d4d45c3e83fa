"""The perceptual loss of the paper, section 2.1: pure functions of features.

Gatys, Ecker, Bethge (CVPR 2016); Johnson, Alahi, Fei-Fei (ECCV 2016).
Means are taken over feature entries *and* over the batch, so a loss does not depend on batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from metastyle.core.loss_network import CONTENT_LAYER, STYLE_LAYERS, Features, LossNetwork
from metastyle.core.settings import CONTENT_WEIGHT, STYLE_WEIGHT

MIDDLING = 60.0
"""Loudness below which beta increases: five paintings in six are quieter."""
LOUD = 120.0
"""Loudness above which beta decreases: one painting in twenty is louder."""


class StyleTarget(NamedTuple):
    """Everything that the loss and the predictor need to know about a painting."""

    grams: tuple[Tensor, ...]
    """Gram matrices (C, C) at relu1_2, relu2_2, relu3_3, relu4_3: C = 64, 128, 256, 512."""
    statistics: Tensor
    """(1920,): channel means of the four layers, then their channel standard deviations."""


class Loss(NamedTuple):
    """alpha * content + beta * style, and the two weighted parts; all scalars."""

    total: Tensor
    content: Tensor
    style: Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """G(x) = psi(x) psi(x)^T / (C H W): (B, C, H, W) -> (B, C, C) in at least float32.

    Under bf16 autocast the product is rounded to 8 bits: an error of 4e-6 of ||G||^2 in the loss.
    """
    products: Tensor = _Products.apply(features)  # type: ignore[no-untyped-call]
    return _at_least_float32(products) / features[0].numel()


class _Products(Function):
    """psi psi^T of features (B, C, H, W). Its gradient is one product, where autograd would take two."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        psi = _by_position(features)
        return psi.mT @ psi

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        b, c, h, w = features.shape
        product = _by_position(features) @ (gradient + gradient.mT).to(features.dtype)
        return product.view(b, h, w, c).permute(0, 3, 1, 2)


def _by_position(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C), without a copy."""
    if features.is_contiguous():
        return features.flatten(2).mT
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """(1 / N_i) ||phi_i(I_c) - phi_i(I_x)||^2 of two feature tensors of one shape."""
    # Of bfloat16 features, the differences are rounded, too, which halves the memory that the gradient takes.
    return _at_least_float32(features - target).square().mean()


def style_loss(grams: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Sum over layers of the mean squared error of Gram matrices, (B, C, C) against (C, C) or (B, C, C)."""
    return torch.stack([F.mse_loss(g, t.expand_as(g)) for g, t in zip(grams, targets, strict=True)]).sum()


def perceptual_loss(
    features: Features,
    content: Tensor,
    target: StyleTarget,
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float | Tensor = STYLE_WEIGHT,
) -> Loss:
    """l(I_c, I_s, I_x) = alpha * content loss + beta * style loss.

    ``features`` are those of I_x at the style layers (the content layer is one of them),
    ``content`` those of I_c at relu2_2, ``target`` describes I_s.
    """
    c = content_weight * content_loss(features[CONTENT_LAYER], content)
    s = style_weight * style_loss([gram_matrix(features[name]) for name in STYLE_LAYERS], target.grams)
    return Loss(c + s, c, s)


def perceptual_losses(
    features: Features,
    content: Tensor,
    targets: Sequence[StyleTarget],
    content_weight: float,
    style_weights: Tensor,
) -> Tensor:
    """``perceptual_loss`` of each of S paintings: (S, 3), a row of total, content and style for each.

    ``features`` are those of S * P pictures, P for each painting in turn, ``content`` those of the P
    photographs; ``style_weights`` (S,) holds beta for each painting.
    """
    chunks = zip(*(f.chunk(len(targets)) for f in features.values()), strict=True)
    own = [dict(zip(features, parts, strict=True)) for parts in chunks]
    losses = [
        perceptual_loss(pictures, content, target, content_weight, style_weight)
        for pictures, target, style_weight in zip(own, targets, style_weights, strict=True)
    ]
    return torch.stack([torch.stack(loss) for loss in losses])


def balanced_style_weight(target: StyleTarget, exponent: float) -> Tensor:
    """Factor of beta for a painting of loudness L, a scalar; 1 if ``exponent`` is 0.

        max(1, MIDDLING / L) ^ exponent * min(1, LOUD / L),    L = STYLE_WEIGHT ||G_s||^2

    The loudness is the style loss of a black picture: 4 for a pale canvas, 500 for a glaring mosaic.
    With one beta for all, quiet paintings have no effect, because the content loss dominates, and the loudest
    leave nothing of the photograph. Not in the paper.
    """
    zeros = [torch.zeros_like(gram) for gram in target.grams]
    loudness = (STYLE_WEIGHT * style_loss(zeros, target.grams)).clamp(min=1e-3)
    if exponent == 0:
        return torch.ones_like(loudness)
    return (MIDDLING / loudness).clamp(min=1) ** exponent * (LOUD / loudness).clamp(max=1)


@torch.no_grad()
def style_target(loss_network: LossNetwork, style: Tensor, mask: Tensor | None = None) -> StyleTarget:
    """Describe a painting (1, 3, H, W) in [0, 1] by its Gram matrices and channel statistics.

    ``mask`` (1, 1, H, W) in [0, 1] is how visible each pixel is, the painting's alpha; None is 1 everywhere.
    Averages over positions are then weighted. At a layer whose features psi (C, H_l, W_l) come after k
    poolings, w is the mean of the mask over squares of 2^k pixels, and with W = sum w

        G = sum_p w_p psi_p psi_p^T / (C W),   mean = sum_p w_p psi_p / W,
        variance = sum_p w_p (psi_p - mean)^2 / W * n / (n - 1),   n = W^2 / sum_p w_p^2.

    n is the number of positions where w is 0 or 1, so a mask of ones changes nothing, and one of a rectangle
    gives the statistics of the features inside it. Their receptive fields extend beyond its edge, so hidden
    pixels must be filled with something harmless first (``images/transparency.py``).
    """
    described = loss_network(style)
    features = [_at_least_float32(described[name]) for name in STYLE_LAYERS]
    if mask is not None:
        return _masked_target(features, mask)
    return StyleTarget(
        grams=tuple(gram_matrix(f)[0] for f in features),
        statistics=torch.cat(
            [f.mean(dim=(2, 3))[0] for f in features] + [f.std(dim=(2, 3))[0] for f in features]
        ),
    )


def _masked_target(features: Sequence[Tensor], mask: Tensor) -> StyleTarget:
    grams, means, deviations = [], [], []
    for poolings, f in enumerate(features):
        w = F.avg_pool2d(mask.to(f.dtype), 2**poolings)
        total = w.sum()
        mean = (w * f).sum(dim=(2, 3), keepdim=True) / total
        n = total.square() / w.square().sum()
        variance = (w * (f - mean).square()).sum(dim=(2, 3)) / total * (n / (n - 1).clamp(min=1))
        grams.append(gram_matrix(f * w.sqrt())[0] * (w.numel() / total))
        means.append(mean[0, :, 0, 0])
        deviations.append(variance.sqrt()[0])
    return StyleTarget(tuple(grams), torch.cat(means + deviations))


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
