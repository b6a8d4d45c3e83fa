"""Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer" (ECCV 2016, arXiv 1603.08155).

    W* = argmin_W  E_x [ alpha L_content(f_W(x), x) + beta L_style(f_W(x), y_s) ]                (eq. 1)

One network per style, randomly initialized: the project's network and loss, Adam at 1e-3,
batches of 4 photographs of 256 x 256. Deviations: those of the network (instance normalization,
nearest-neighbor upsampling, sigmoid) and a learning rate that falls along a cosine. The paper takes 40,000
steps; here the number is a setting, which the comparison reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metastyle.core.adaptation import Adaptation
from metastyle.core.initialization import Initialization
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import StyleTarget, perceptual_loss, style_target
from metastyle.core.network import TransformationNetwork, idle_parameters
from metastyle.core.quick import quick_network
from metastyle.core.settings import AdaptationSettings
from metastyle.errors import MetastyleError
from metastyle.images.contents import OTHER_ZOOM, photo_pool, procedural_pool
from metastyle.images.convert import to_tensor
from metastyle.images.decode import open_picture
from metastyle.images.picture import Picture, resize
from metastyle.images.transparency import visible_painting
from metastyle.systems.counts import Count, transformation_network
from metastyle.systems.objective import Objective, Start
from metastyle.systems.repainting import repainting
from metastyle.systems.system import Stylize
from metastyle.systems.weights import SHIPPED, load_trained, missing, read_settings
from metastyle.weights.vgg16 import load_loss_network

PART = "johnson"
PAINTING_SIZE = 512
"""Longer edge of the painting."""
POOL = 64
"""Crops that ``Johnson`` draws from; their features are cached, 8 MB each."""
AS_PUBLISHED = AdaptationSettings(
    steps=2000, batch=4, size=256, style_size=PAINTING_SIZE, optimizer="adam", balance=0.0, grain=0.0
)
"""Adam, and one loss for all paintings, on photographs as they are."""
SAME_PAINTING = 0.03
"""Largest mean difference of two thumbnails of one painting that was scaled and stored differently."""


class OneStyle(nn.Module):
    """The content of a trained file: a network, and a thumbnail (3, 8, 8) of its painting."""

    thumbnail: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = TransformationNetwork()
        self.register_buffer("thumbnail", torch.zeros(3, 8, 8))

    def shows(self, style: Tensor) -> bool:
        """Whether this is the painting (1, 3, H, W)."""
        return bool((thumbnail(style).cpu() - self.thumbnail.cpu()).abs().mean() < SAME_PAINTING)


class Johnson:
    """Trains in ``prepare``, ``settings.steps`` steps per style."""

    name = "Johnson et al."
    styles = "1"

    def __init__(
        self,
        device: torch.device,
        loss_network: LossNetwork,
        photos: Sequence[Picture] = (),
        settings: AdaptationSettings | None = None,
    ) -> None:
        """Trains on ``photos``; without any, on procedural pictures."""
        self.device, self.loss_network, self.photos = device, loss_network, photos
        self.settings = settings or AS_PUBLISHED
        self.parameters = transformation_network()

    @classmethod
    def load(cls, device: torch.device, photos: Sequence[Picture] = (), steps: int = 2000) -> Johnson:
        """The system with VGG-16's published weights, downloaded if missing."""
        return cls(device, load_loss_network(), photos, replace(AS_PUBLISHED, steps=steps))

    def prepare(self, style: Tensor) -> Stylize:
        """Train."""
        s = self.settings
        pool_size = max(1, min(POOL, s.steps * s.batch))
        if self.photos:
            pool = photo_pool(self.photos, pool_size, s.size, s.seed, OTHER_ZOOM)
        else:
            pool = procedural_pool(pool_size, s.size, s.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s.seed)
            start = Initialization()
        training = Adaptation(start, self.loss_network, style, pool, s, str(self.device))
        for _ in training:
            pass
        with torch.device("meta"):
            network = TransformationNetwork()
        network.load_state_dict(training.parameters, assign=True)
        return repainting(network, self.device)


class TrainedJohnson:
    """Networks trained by ``train-baseline johnson``, a file ``johnson-*.safetensors`` per painting."""

    name = "Johnson et al."
    styles = "1"

    def __init__(
        self, device: torch.device, networks: Sequence[OneStyle], seconds: Sequence[float] | None = None
    ) -> None:
        """``seconds``: how long each network was trained."""
        self.device, self.networks = device, networks
        self.seconds = [0.0] * len(networks) if seconds is None else seconds
        self.earlier = 0.0
        self.parameters = transformation_network()

    @classmethod
    def load(cls, device: torch.device, weights: Path | None = None) -> TrainedJohnson:
        """All such files in the folder ``weights`` and in the source tree."""
        folders = [SHIPPED] if weights is None else [weights, SHIPPED]
        paths = {path.stem: path for f in reversed(folders) for path in f.glob(f"{PART}-*.safetensors")}
        if not paths:
            raise MetastyleError(
                missing("no network of Johnson et al. is here", f"{PART} --style PAINTING", weights)
            )
        networks = []
        for part, path in sorted(paths.items()):
            with torch.device("meta"):
                network = OneStyle()
            networks.append(load_trained(network, part, path.parent))
        return cls(
            device, networks, [read_settings(path).get("seconds", 0.0) for _, path in sorted(paths.items())]
        )

    def prepare(self, style: Tensor) -> Stylize:
        """Find the network that was trained for this painting.

        Raises:
            MetastyleError: there is none.
        """
        for candidate, seconds in zip(self.networks, self.seconds, strict=True):
            if candidate.shows(style):
                self.earlier = seconds
                return repainting(candidate.network, self.device)
        raise MetastyleError(
            f"none of {len(self.networks)} networks of Johnson et al. was trained for this painting: "
            f"metastyle train-baseline {PART} --content DIR --style PAINTING"
        )


def thumbnail(style: Tensor) -> Tensor:
    """(1, 3, H, W) -> (3, 8, 8): means over areas, to recognize a painting at any size."""
    return F.adaptive_avg_pool2d(style, 8)[0]


class OneStyleLearning(Objective):
    """Equation 1: the perceptual loss for one painting, alpha : beta = 1 : 1e5."""

    learning_rate = 1e-3
    batch_size = 4
    sees = "nothing"
    muon_rate = 0.5  # at 1, the loss jumps after a hundred iterations
    precision = "native"

    learned: OneStyle

    def __init__(self, loss_network: LossNetwork, one: OneStyle, painting: Tensor, name: str = PART) -> None:
        """``painting`` (1, 3, H, W), at the size for training."""
        super().__init__()
        self.loss_network, self.learned, self.name = loss_network, one, name
        self.target = style_target(loss_network, painting)
        one.thumbnail.copy_(thumbnail(painting))

    @classmethod
    def begin(cls, start: Start) -> Self:
        """A randomly initialized network for the painting ``start.styles``."""
        one = OneStyle().to(start.device)
        if start.device.type == "cpu":
            one.network = quick_network(one.network, start.precision)
        idle = idle_parameters(one.network)
        for name, parameter in one.network.named_parameters():
            parameter.requires_grad_(name not in idle)
        visible = visible_painting(open_picture(start.styles))
        painting = to_tensor(resize(visible, PAINTING_SIZE).pixels).to(start.device)
        dtype = start.precision
        with torch.autocast(start.device.type, dtype, enabled=dtype != torch.float32):
            objective = cls(start.loss_network(), one, painting, f"{PART}-{start.styles.stem}")
        objective.fingerprint = hashlib.sha256(start.styles.read_bytes()).hexdigest()
        return objective

    def forward(self, photos: Tensor, paintings: Tensor, targets: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """The content and style loss."""
        with torch.no_grad():
            content = self.loss_network(photos, [CONTENT_LAYER])[CONTENT_LAYER]
        features = self.loss_network(self.learned.network(photos))
        loss = perceptual_loss(features, content, self.target)
        return {"content": loss.content, "style": loss.style}


def parameter_count() -> Count:
    """Its parameters, as in Table 1."""
    network = transformation_network()
    return Count(Johnson.name, "1.68M", network, network, "one network for each style")
