"""Adaptation of the network to one painting: the steps that follow w_0 = Psi(theta, s).

The paper, section 3: "we post update our model [...] for only a limited number of steps". The
steps are taken on the perceptual loss of a small pool of contents. Deviations: kernels between hidden
layers take Muon's steps instead of Adam's (``optimizer``), the learning rate rises over the first steps
(``warm_up``) and falls in a straight line (``schedule``), the first half of the steps sees
smaller contents (``early_scale``), content features are computed once for each content, the network
sees contents with ``grain``, beta depends on the painting (``balance``), and parameters that cannot affect
the result are not updated.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from metastyle.core.device import compute_dtype, pick_device
from metastyle.core.grain import PAINTED, add_grain
from metastyle.core.initialization import Initialization, Parameters
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import Loss, balanced_style_weight, perceptual_loss, style_target
from metastyle.core.low_rank import RATE, expand, factors_of, low_rank_start, rank_of
from metastyle.core.muon import Muon
from metastyle.core.network import (
    TransformationNetwork,
    hidden_kernels,
    idle_parameters,
    instance_norm_parameters,
)
from metastyle.core.parameters import full_parameters, kind_of
from metastyle.core.quick import quick_loss_network, quick_network
from metastyle.core.settings import AdaptationSettings
from metastyle.errors import MetastyleError

MUON_RATE = 1.5
"""Muon's learning rate, relative to Adam's."""


@dataclass(frozen=True)
class AdaptationStep:
    """The state after a step; losses are those of the step's contents, before its update."""

    step: int
    """The number of steps taken."""
    steps: int
    """The total number of steps."""
    total: float
    """The perceptual loss."""
    content: float
    """Its content loss, weighted."""
    style: float
    """Its style loss, weighted."""
    seconds: float
    """Seconds since the first step began."""
    seconds_left: float
    """Estimated seconds for the remaining steps."""
    preview: Callable[[Tensor], Tensor]
    """Renders pictures (B, 3, H, W) in [0, 1], with sides a multiple of 4, with the current parameters."""
    parameters: Callable[[], Parameters]
    """All current parameters of the network, float32 on the CPU."""


class Adaptation:
    """A running adaptation: iterate over it to take the steps; it may be stopped at any step.

    Args:
        initialization: theta and Psi; it is not changed.
        loss_network: VGG-16; it is not changed.
        style: the painting (1, 3, H, W) in [0, 1], already at ``settings.style_size``.
        contents: the pool (N, 3, size, size) in [0, 1] that steps draw from.
        start: a style's parameters to start from, instead of w_0 = Psi(theta, s).
        style_mask: how visible each pixel of the painting is (1, 1, H, W) in [0, 1]; None: fully.
        on_start: called with all parameters of w_0, float32 on the CPU, before the contents are looked at;
            not called if there is a ``start``.

    Attributes:
        parameters: the network's parameters after the last step taken, float32 on the CPU.
        curve: (step, total, content, style) of every step taken.
    """

    def __init__(
        self,
        initialization: Initialization,
        loss_network: LossNetwork,
        style: Tensor,
        contents: Tensor,
        settings: AdaptationSettings,
        device: str = "auto",
        start: Parameters | None = None,
        style_mask: Tensor | None = None,
        on_start: Callable[[Parameters], None] | None = None,
    ) -> None:
        if start is not None:
            _check_start(start, settings)
        self.settings = settings
        self.device = pick_device(device)
        self._dtype = compute_dtype(self.device)
        initialization = copy.deepcopy(initialization).to(self.device)
        self._network, self._loss_network = self._prepared(initialization.network, loss_network)
        self._contents = self._place(contents)
        with torch.no_grad(), self._autocast():
            visible = None if style_mask is None else self._place(style_mask)
            self._target = style_target(self._loss_network, self._place(style), visible)
        with torch.no_grad():
            if start is None:
                self._network.load_state_dict(initialization.start(self._target))
                if on_start is not None:
                    on_start(_on_cpu(dict(self._network.named_parameters())))
            elif settings.parameters != "low_rank":
                self._network.load_state_dict(full_parameters(start, dict(self._network.named_parameters())))
        balance = balanced_style_weight(self._target, settings.balance).item()
        self._style_weight = settings.style_weight * balance
        self._features: dict[int, Tensor] = {}
        self._features_size = 0
        own: dict[str, Tensor] = dict(self._network.named_parameters())
        self._adapted = own
        if settings.parameters == "instance_norm":
            self._adapted = dict(instance_norm_parameters(self._network))
        elif settings.parameters == "low_rank":
            generator = torch.Generator().manual_seed(settings.seed)
            factors = start or low_rank_start(self._network, settings.rank, generator)
            self._adapted = {n: p.to(self.device, copy=True).requires_grad_() for n, p in factors.items()}
        idle = idle_parameters(self._network)
        self._updated = [parameter for name, parameter in self._adapted.items() if name not in idle]
        for name, parameter in own.items():
            parameter.requires_grad_(parameter is self._adapted.get(name) and name not in idle)
        self.curve: list[tuple[int, float, float, float]] = []

    def _prepared(
        self, network: TransformationNetwork, loss_network: LossNetwork
    ) -> tuple[TransformationNetwork, LossNetwork]:
        """Both networks in their fastest form for the device; the first shares its parameters."""
        if self.device.type == "cpu":
            return quick_network(network, self._dtype), quick_loss_network(loss_network, self._dtype)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network, loss_network.prepared(self._dtype).to(self.device)

    @property
    def parameters(self) -> Parameters:
        """All of the network's."""
        own = {name: p.detach() for name, p in self._network.named_parameters()}
        return _on_cpu(own | self._changed())

    @property
    def adapted_parameters(self) -> Parameters:
        """The parameters that the steps update, as a style holds them."""
        return _on_cpu(self._adapted)

    def __len__(self) -> int:
        return self.settings.steps

    def __iter__(self) -> Iterator[AdaptationStep]:
        settings = self.settings
        rate = settings.learning_rate * (RATE if settings.parameters == "low_rank" else 1.0)
        optimizers = self._optimizers(rate)
        generator = torch.Generator().manual_seed(settings.seed)
        order = _endless_shuffle(len(self._contents), generator)
        started = time.perf_counter()
        for step in range(1, settings.steps + 1):
            factor = rate_factor(step, settings)
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = optimizer.defaults["lr"] * factor
            batch = [next(order) for _ in range(settings.batch)]
            contents, features = self._drawn(batch, settings.size_at(step))
            seen = add_grain(contents, settings.grain, seed=settings.seed + step)
            changed = self._changed()
            with self._autocast():
                pictures = functional_call(self._network, changed, (seen,))
                loss = perceptual_loss(
                    self._loss_network(pictures),
                    features,
                    self._target,
                    settings.content_weight,
                    self._style_weight,
                )
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.total.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
            total, content, style = self._common(loss)
            if not math.isfinite(total):
                raise MetastyleError(
                    f"the loss became {total} at step {step}: use a smaller learning rate or style weight"
                )
            self.curve.append((step, total, content, style))
            seconds = time.perf_counter() - started
            left = seconds * (settings.pixels(settings.steps) / settings.pixels(step) - 1)
            yield AdaptationStep(
                step,
                settings.steps,
                total,
                content,
                style,
                seconds,
                left,
                self.render,
                lambda: self.parameters,
            )

    def _drawn(self, batch: list[int], size: int) -> tuple[Tensor, Tensor]:
        """These contents of the pool, reduced to ``size`` pixels, and their features.

        Features are kept until contents of another size are drawn.
        """
        contents = reduced(self._contents[batch], size)
        if self._features_size != size:
            self._features, self._features_size = {}, size
        for index, content in zip(batch, contents, strict=True):
            if index not in self._features:
                with torch.no_grad(), self._autocast():
                    found = self._loss_network(content[None], [CONTENT_LAYER])
                self._features[index] = found[CONTENT_LAYER]
        return contents, torch.cat([self._features[index] for index in batch])

    def _optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Muon for the kernels between hidden layers, or their factors, if asked for; Adam for the rest."""
        hidden: list[Tensor] = []
        if self.settings.optimizer == "muon":
            names = hidden_kernels(self._network)
            names |= {factor for name in names for factor in factors_of(name)}
            hidden = [parameter for name, parameter in self._adapted.items() if name in names]
        chosen = {id(parameter) for parameter in hidden}
        others = [parameter for parameter in self._updated if id(parameter) not in chosen]
        adam = torch.optim.Adam(others, lr=rate)
        return [Muon(hidden, lr=MUON_RATE * rate), adam] if hidden else [adam]

    @torch.no_grad()
    def render(self, pictures: Tensor) -> Tensor:
        """Stylize (B, 3, H, W) in [0, 1] with the current parameters and the grain for painting."""
        seen = add_grain(self._place(pictures), PAINTED * self.settings.grain)
        changed = self._changed()
        with self._autocast():
            rendered: Tensor = functional_call(self._network, changed, (seen,))
        return rendered.float().cpu()

    def _common(self, loss: Loss) -> tuple[float, float, float]:
        """Total, content and style loss with the configured weights, without the balance."""
        content, style = torch.stack([loss.content, loss.style]).tolist()
        if self._style_weight:
            style *= self.settings.style_weight / self._style_weight
        return content + style, content, style

    def _changed(self) -> Parameters:
        """The parameters that replace the network's own, with low-rank changes applied."""
        if self.settings.parameters != "low_rank":
            return {}
        return expand(self._adapted, dict(self._network.named_parameters()))

    def _place(self, x: Tensor) -> Tensor:
        return x.to(self.device, torch.float32).contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32)


def _check_start(start: Parameters, settings: AdaptationSettings) -> None:
    """Raise MetastyleError unless steps with these ``settings`` can begin at ``start``."""
    kind = kind_of(start)
    if settings.parameters not in ("all", kind):
        raise MetastyleError(
            f"the style to start from holds {kind.replace('_', ' ')} parameters: start from it with"
            f" parameters '{kind}' or 'all'"
        )
    if settings.parameters == "low_rank" and rank_of(start) != settings.rank:
        raise MetastyleError(
            f"the style to start from has rank {rank_of(start)}, not {settings.rank}: use its own rank"
        )


def _on_cpu(parameters: Parameters) -> Parameters:
    return {
        name: p.detach().to("cpu", torch.float32, copy=True).contiguous() for name, p in parameters.items()
    }


def reduced(pictures: Tensor, size: int) -> Tensor:
    """Square pictures (B, 3, S, S) in [0, 1], resized to a side of ``size`` pixels if theirs is larger."""
    if pictures.shape[-1] <= size:
        return pictures
    return F.interpolate(pictures, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def rate_factor(step: int, settings: AdaptationSettings) -> float:
    """Factor of the highest rate at ``step``, from 1: a linear rise, times the fall of the schedule."""
    rise = min(1.0, step / settings.warm_up) if settings.warm_up else 1.0
    progress = (step - 1) / settings.steps
    if settings.schedule == "linear":
        return rise * (1 - progress)
    return rise * half_cosine(progress) if settings.schedule == "cosine" else rise


def half_cosine(progress: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def _endless_shuffle(n: int, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randperm(n, generator=generator).tolist()
