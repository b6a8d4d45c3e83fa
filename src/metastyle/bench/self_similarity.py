"""Content feature structure distance (CFSD): whether places that were alike in the photograph still are.

Chung, Hyun, Heo, "Style Injection in Diffusion" (StyleID, CVPR 2024), as its published evaluation has it.
S(x) has a row for each place of the features f(x) (C, H, W) at relu3_1: how alike it is to every place,

    S(x) = softmax_rows( f(x)^T f(x) / C^2 ),    CFSD = sum_rows KL( S(photograph) || S(picture) ).

Deviation: the features are those of VGG-16, whose published weights the project has, not of VGG-19. Figures
are therefore not those of the literature. They grow with the number of places, so sizes must be equal.
"""

from __future__ import annotations

import torch
from torch import Tensor

LAYER = "relu3_1"
_ROWS = 512  # of S at once: 32 MB each at 512 x 512 pixels


@torch.no_grad()
def structure_distance(picture: Tensor, photo: Tensor) -> float:
    """CFSD of features (1, C, H, W) of a picture and its photograph, in nats; 0 if they are equal."""
    own, other = (x[0].flatten(1).T.float() / x.shape[1] for x in (picture, photo))  # (H W, C)
    total = 0.0
    for start in range(0, len(own), _ROWS):
        rows = slice(start, start + _ROWS)
        q = torch.log_softmax(own[rows] @ own.T, dim=1)
        p = torch.log_softmax(other[rows] @ other.T, dim=1)
        d = p - q  # sum p d, and sum (q - p) = 0: together no term is below 0, and rounding hardly adds up
        total += (p.exp() * (d + torch.expm1(-d))).sum(dtype=torch.float64).item()
    return total
