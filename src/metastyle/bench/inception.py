"""Inception-v3 to its last pooling, for FID and ArtFID, with weights that the user provides.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture" (CVPR 2016). Layers have the
names of torchvision's, so that art_inception.pth fits, the network that ArtFID was published with (Wright and
Ommer, GCPR 2022): trained to tell artists and styles apart, given pictures in [0, 1] at their own size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.errors import MetastyleError
from metastyle.weights.torch_file import read_state

_LARGEST = 512 << 20
_Size = int | tuple[int, int]
_Steps = list[tuple[str, int, _Size]]


class Convolution(nn.Module):
    """Convolution without a bias, batch normalization, ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, size: _Size, stride: int = 1, pad: bool = True
    ) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        padding = (height // 2, width // 2) if pad else 0
        self.conv = nn.Conv2d(channels_in, channels_out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, their results joined. Each is a chain of convolutions; its end may fork."""

    def __init__(self, channels: int, branches: Mapping[str, _Steps], pooled: int = 0) -> None:
        """A step of a branch is its name's ending, channels, and size; endings with a letter are a fork.

        pooled: channels of the convolution after average pooling; 0 halves the sides, by maximum pooling and
            by a stride of 2 in the last step of every branch.
        """
        super().__init__()
        self.halving = pooled == 0
        self.names: list[tuple[list[str], list[str]]] = []
        for branch, steps in branches.items():
            chain, fork, width = [], [], channels
            for index, (ending, channels_out, size) in enumerate(steps):
                name = f"branch{branch}{ending}"
                last = self.halving and index == len(steps) - 1
                self.add_module(name, Convolution(width, channels_out, size, 2 if last else 1, pad=not last))
                if ending[-1:].isalpha():
                    fork.append(name)
                else:
                    chain.append(name)
                    width = channels_out
            self.names.append((chain, fork))
        if pooled:
            self.branch_pool = Convolution(channels, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), or half the sides."""
        found = []
        for chain, fork in self.names:
            y = x
            for name in chain:
                y = self.get_submodule(name)(y)
            found += [self.get_submodule(name)(y) for name in fork] or [y]
        if self.halving:
            return torch.cat([*found, F.max_pool2d(x, 3, 2)], 1)
        return torch.cat([*found, self.branch_pool(F.avg_pool2d(x, 3, 1, 1))], 1)


def _small(channels: int, pooled: int) -> Mixed:
    five: _Steps = [("_1", 48, 1), ("_2", 64, 5)]
    three: _Steps = [("_1", 64, 1), ("_2", 96, 3), ("_3", 96, 3)]
    return Mixed(channels, {"1x1": [("", 64, 1)], "5x5": five, "3x3dbl": three}, pooled)


def _middle(width: int) -> Mixed:
    across, down = (1, 7), (7, 1)
    seven: _Steps = [("_1", width, 1), ("_2", width, across), ("_3", 192, down)]
    twice: _Steps = [("_1", width, 1), ("_2", width, down), ("_3", width, across)]
    twice += [("_4", width, down), ("_5", 192, across)]
    return Mixed(768, {"1x1": [("", 192, 1)], "7x7": seven, "7x7dbl": twice}, 192)


def _last(channels: int) -> Mixed:
    fork: _Steps = [("_1", 384, 1), ("_2a", 384, (1, 3)), ("_2b", 384, (3, 1))]
    later: _Steps = [("_1", 448, 1), ("_2", 384, 3), ("_3a", 384, (1, 3))]
    later += [("_3b", 384, (3, 1))]
    return Mixed(channels, {"1x1": [("", 320, 1)], "3x3": fork, "3x3dbl": later}, 192)


class Inception(nn.Module):
    """21,785,568 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2, pad=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _small(192, 32), _small(256, 64), _small(288, 64)
        halved: _Steps = [("_1", 64, 1), ("_2", 96, 3), ("_3", 96, 3)]
        self.Mixed_6a = Mixed(288, {"3x3": [("", 384, 3)], "3x3dbl": halved})
        self.Mixed_6b, self.Mixed_6c = _middle(128), _middle(160)
        self.Mixed_6d, self.Mixed_6e = _middle(160), _middle(192)
        seven: _Steps = [("_1", 192, 1), ("_2", 192, (1, 7)), ("_3", 192, (7, 1))]
        both: dict[str, _Steps] = {"3x3": [("_1", 192, 1), ("_2", 320, 3)], "7x7x3": [*seven, ("_4", 192, 3)]}
        self.Mixed_7a = Mixed(768, both)
        self.Mixed_7b, self.Mixed_7c = _last(1280), _last(2048)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] with sides of at least 75 -> means over places, (B, 2048)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for name, module in self.named_children():
            if name.startswith("Mixed"):
                x = module(x)
        return x.mean((2, 3))


def load_inception(path: Path) -> tuple[Inception, str]:
    """The network with the weights of a file, such as art_inception.pth, and the file's sha256.

    The layers after the last pooling and the auxiliary classifier are not read.

    Raises:
        MetastyleError: it is not such a file.
    """
    state = {name.removeprefix("module."): t for name, t in read_state(path, _LARGEST).items()}
    with torch.device("meta"):
        network = Inception()
    expected = {n: t for n, t in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    for name, tensor in expected.items():
        if name not in state or state[name].shape != tensor.shape:
            what = f"{tuple(state[name].shape)}, not {tuple(tensor.shape)}" if name in state else "missing"
            raise MetastyleError(f"{path}: not the weights of Inception-v3: {name} is {what}")
    for name in network.state_dict().keys() - expected.keys():
        state[name] = torch.tensor(0)
    network.load_state_dict({name: state[name] for name in network.state_dict()}, assign=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return network.float().eval().requires_grad_(False), digest
