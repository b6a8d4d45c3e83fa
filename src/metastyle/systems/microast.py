"""MicroAST: Wang et al., "MicroAST: Towards Super-Fast Ultra-Resolution Arbitrary Style Transfer" (AAAI 2023,
arXiv 2211.15313). It is not in the paper's Table 1: the strongest small system that takes any style today.

Two encoders E_c and E_s of one shape give features at two depths, F^1 and F^2. A modulator turns the style's
into a scale w^i and a shift b^i of each channel. From deep to shallow, i = 2, 1, the decoder gives its
features the style's moments (feature modulation) and passes them through a residual block whose convolutions
are modulated by w^i and b^i (filter modulation):

    x = AdaIN(x, F_s^i);   y = relu(w conv1(x) + b x);   x + w conv2(y) + b y

No deviation: the published weights and their layers, depthwise convolutions with a pointwise one after them.
None of it is trained here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.errors import MetastyleError
from metastyle.systems.adain import adain
from metastyle.systems.counts import Count
from metastyle.systems.system import Stylize
from metastyle.systems.vgg19 import count, fitted, moments
from metastyle.weights.tensor_files import tensor_digest
from metastyle.weights.torch_file import read_state

WIDTH = 64
PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")
DIGESTS = {
    "content_encoder": "cc214f67725a8d9b72695434638d651e0e202c123e4a05b5fcafe9101d8223c4",
    "style_encoder": "61b0780036bffe7b1405ff57eb3a637f7a8d7913e2c13f0e6d38b9301e4d0301",
    "modulator": "f9962ea6bd209814fbc1eb224a0eff0a17ad5b24f0eeff9d38ce93cd506cdc54",
    "decoder": "46c26a856ab3de78a19763a48239fe99fe480cb81b0cfc82cf78fb4d2134345f",
}
"""The published numbers, by ``tensor_digest``."""
_LARGEST = 4 << 20  # the largest of the four files has 634,983 bytes
_INSIDE = ("", "models", "microast", "microast/models")


_M = TypeVar("_M", bound=nn.Module)


class Layer(nn.Module):
    """A convolution of odd size with reflection padding; ``groups`` as torch means them."""

    def __init__(
        self, channels_in: int, channels_out: int, size: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(
            channels_in,
            channels_out,
            size,
            stride,
            padding=size // 2,
            groups=groups,
            padding_mode="reflect",
            dtype=torch.float32,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride), rounded up."""
        return self.conv_layer(x)  # type: ignore[no-any-return]


class Residual(nn.Module):
    """x + conv2(relu(conv1(x))), and the same with modulated filters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = Layer(WIDTH, WIDTH, 3), Layer(WIDTH, WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 64, H, W) -> the same shape."""
        return x + self.conv2(F.relu(self.conv1(x)))  # type: ignore[no-any-return]

    def modulated(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """With the style's ``scale`` and ``shift`` (1, 64, 1, 1) of every channel."""
        y = F.relu(scale * self.conv1(x) + shift * x)
        return x + scale * self.conv2(y) + shift * y  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """157,792 parameters: a 9 x 9 convolution, two separable ones of stride 2, residual blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1 = nn.Sequential(
            Layer(3, 16, 9),
            nn.ReLU(),
            *(Layer(16, 32, 3, 2, groups=16), nn.ReLU(), Layer(32, 32, 1), nn.ReLU()),
            *(Layer(32, 64, 3, 2, groups=32), nn.ReLU(), Layer(64, WIDTH, 1), nn.ReLU()),
            Residual(),
        )
        self.enc2 = nn.Sequential(Residual())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, H, W) in [0, 1] -> two features (B, 64, H / 4, W / 4), shallow and deep."""
        shallow = self.enc1(x)
        return shallow, self.enc2(shallow)


class Modulator(nn.Module):
    """2,560 parameters: the mean over places of a depthwise convolution, for w and b at both depths."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("weight1", "bias1", "weight2", "bias2"):
            self.add_module(name, nn.Sequential(Layer(WIDTH, WIDTH, 3, groups=WIDTH)))

    def forward(self, features: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The style's features -> (w, b) of each depth, (1, 64, 1, 1)."""
        return [
            (self._mean(f"weight{i}", own), self._mean(f"bias{i}", own)) for i, own in enumerate(features, 1)
        ]

    def _mean(self, name: str, features: Tensor) -> Tensor:
        return self.get_submodule(name)(features).mean((2, 3), keepdim=True)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """153,843 parameters: a modulated residual block each depth, then up to the picture, bilinearly."""

    def __init__(self) -> None:
        super().__init__()
        self.dec1, self.dec2 = Residual(), Residual()
        self.dec3 = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *(Layer(64, 32, 3, groups=32), nn.ReLU(), Layer(32, 32, 1), nn.ReLU()),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *(Layer(32, 16, 3, groups=16), nn.ReLU(), Layer(16, 16, 1), nn.ReLU()),
            Layer(16, 3, 9),
        )


class MicroAST:
    """471,987 parameters in four parts."""

    name = "MicroAST"
    styles = "any"

    def __init__(
        self,
        content_encoder: Encoder,
        style_encoder: Encoder,
        modulator: Modulator,
        decoder: Decoder,
        strength: float = 1.0,
    ) -> None:
        self.content_encoder, self.style_encoder = content_encoder, style_encoder
        self.modulator, self.decoder, self.strength = modulator, decoder, strength
        self.parameters = count(content_encoder, style_encoder, modulator, decoder)

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None, strength: float = 1.0) -> Self:
        """With the published weights from the folder ``weights``, or its ``models`` or ``microast``.

        strength: of the feature modulation, 0 to 1, as published.

        Raises:
            MetastyleError: they are missing, or are not the published ones.
        """
        folder = find(weights)
        with torch.device("meta"):
            encoders, modulator, decoder = [Encoder(), Encoder()], Modulator(), Decoder()
        content, style = (
            _filled(one, folder, part).to(device) for one, part in zip(encoders, PARTS, strict=False)
        )
        modulator = _filled(modulator, folder, "modulator").to(device)
        return cls(content, style, modulator, _filled(decoder, folder, "decoder").to(device), strength)

    @torch.inference_mode()
    def prepare(self, style: Tensor) -> Stylize:
        """Encode the style: moments and modulation of 64 channels at two depths."""
        features = self.style_encoder(style)
        modulations = self.modulator(features)
        styles = [moments(own) for own in features]

        @torch.inference_mode()
        def stylize(photo: Tensor) -> Tensor:
            x = self.content_encoder(photo)[1]
            for block, depth in ((self.decoder.dec1, 1), (self.decoder.dec2, 0)):
                x = x.lerp(adain(x, *styles[depth]), self.strength)
                x = block.modulated(x, *modulations[depth])
            return fitted(self.decoder.dec3(x), photo)

        return stylize


def find(weights: Path | None) -> Path:
    """The folder with the four published files.

    Raises:
        MetastyleError: there is none.
    """
    where = "" if weights is None else f"{weights}: "
    if weights is not None:
        for inside in _INSIDE:
            if all(file_of(weights / inside, part).is_file() for part in PARTS):
                return weights / inside
    raise MetastyleError(
        f"{where}the weights of MicroAST are missing: name the folder of its authors' repository "
        f"(EndyWon/MicroAST, MIT license) that has {file_of(Path('models'), 'decoder')} and three more: "
        '--weights DIR, or --method "microast weights=DIR"'
    )


def file_of(folder: Path, part: str) -> Path:
    """The published file of a part."""
    return folder / f"{part}_iter_160000.pth.tar"


def _filled(module: _M, folder: Path, part: str) -> _M:
    """The module with the published numbers of ``part``, frozen."""
    path = file_of(folder, part)
    tensors = read_state(path, _LARGEST)
    if tensor_digest(tensors) != DIGESTS[part]:
        raise MetastyleError(f"{path}: not the published numbers of MicroAST's {part.replace('_', ' ')}")
    module.load_state_dict(tensors, assign=True)
    return module.eval().requires_grad_(False)


def parameter_count() -> Count:
    """Its parameters, as in its own paper."""
    with torch.device("meta"):
        total = count(Encoder(), Encoder(), Modulator(), Decoder())
    return Count(
        MicroAST.name, "0.472M", total, total, "two encoders, a modulator and a decoder; not in Table 1"
    )
