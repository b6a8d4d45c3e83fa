"""A penalty on spikes: positions where nearly all channels are extreme at once.

Instance normalization divides by statistics of the whole picture, and a network can learn to control them
by making one position extreme in most channels. That position is visible as a blot (also found by Karras et
al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, section 2). With z the
normalized input of a layer's affine map and e = mean over channels of z^2, which is 1 on average over the
picture, the penalty is

    mean over positions of max(0, e / 8 - 1)^2,

averaged over the instance norms of the residual blocks and later layers, where spikes occur.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metastyle.core.network import TransformationNetwork

ALLOWED = 8.0
"""Energy of a position, relative to the picture's mean, that is not penalized; spikes have 50 to 400."""
_EPSILON = 1e-5  # as in torch's instance normalization


class SpikePenalty:
    """Records the passes through ``network``; ``collect`` returns their penalty."""

    def __init__(self, network: TransformationNetwork) -> None:
        self._seen: list[Tensor] = []
        self._layers = 0
        for name, module in network.named_modules():
            if isinstance(module, nn.InstanceNorm2d) and not name.startswith("down"):
                module.register_forward_pre_hook(self._record)
                self._layers += 1

    def collect(self, passes: int = 1) -> Tensor:
        """The mean over layers and over every ``passes``-th pass, a differentiable scalar.

        A painting takes T + 1 passes. The last one is the outer level's; the graphs of the others may be
        freed already.
        """
        seen = [self._seen[i : i + self._layers] for i in range(0, len(self._seen), self._layers)]
        penalty = torch.stack([one for layers in seen[passes - 1 :: passes] for one in layers]).mean()
        self._seen.clear()
        return penalty

    def _record(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            self._seen.append(spike_penalty(inputs[0]))


def spike_penalty(x: Tensor) -> Tensor:
    """The penalty of one layer's input (B, C, H, W)."""
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0, keepdim=True)
    energy = ((x.float() - mean).square() / (variance + _EPSILON)).mean(dim=1)
    return torch.relu(energy / ALLOWED - 1).square().mean()
