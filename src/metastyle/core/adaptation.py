"""Teach the network one painting: the steps that follow w_0 = Psi(theta, s).

The post, section 3: "we post update our model [...] for only a limited number of steps". The
steps are Adam's, on the perceptual loss of a small pool of contents. Deviations: the learning rate rises over
the first steps (``warm_up``), it falls along a cosine unless ``schedule`` is constant, content features are
computed once for the whole pool, the network sees contents with ``grain``, beta suits the painting
(``balance``), and parameters that cannot change the result stay as they are.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call

from metastyle.core.device import compute_dtype, pick_device
from metastyle.core.grain import LARGEST_GRAIN, add_grain
from metastyle.core.initialization import Initialization, Parameters
from metastyle.core.loss_network import CONTENT_LAYER, LossNetwork
from metastyle.core.losses import (
    CONTENT_WEIGHT,
    STYLE_WEIGHT,
    Loss,
    balanced_style_weight,
    perceptual_loss,
    style_target,
)
from metastyle.core.low_rank import LARGEST_RANK, RATE, expand, low_rank_start, rank_of
from metastyle.core.network import STRIDE, idle_parameters, instance_norm_parameters
from metastyle.core.style import Style, StyleKind
from metastyle.errors import MetastyleError


@dataclass(frozen=True)
class AdaptationSettings:
    """How a painting is learned. The defaults fit into 45 seconds on two CPU cores (benchmarks/adapt.md);
    ``default_settings`` knows what suits another device."""

    steps: int = 60
    """Adam steps; 0 keeps the predicted start."""
    learning_rate: float = 1e-3
    """Adam's highest rate."""
    warm_up: int = 10
    """First steps, over which the rate rises: Adam's first updates are as large for noise as for signal."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the rate falls: to zero along a half cosine, or not at all, as in the paper."""
    batch: int = 1
    """Contents per step."""
    pool: int = 24
    """Contents that the steps draw from; fewer where fewer are needed."""
    size: int = 192
    """Side of the square contents, in pixels."""
    style_size: int = 512
    """Longer edge of the painting, in pixels; smaller makes smaller strokes."""
    parameters: StyleKind = "all"
    """What the steps move: everything, low-rank changes, or only the 3,200 instance-norm parameters."""
    rank: int = 2
    """Of low-rank changes."""
    content_weight: float = CONTENT_WEIGHT
    """alpha in the perceptual loss."""
    style_weight: float = STYLE_WEIGHT
    """beta in the perceptual loss."""
    balance: float = 0.4
    """Exponent by which beta grows for quiet paintings; 0 gives every painting the same."""
    grain: float = 1.0
    """Amount of grain that the network sees in flat areas of the contents."""
    seed: int = 0
    """Of everything random: which contents, in which order, and the grain."""

    def __post_init__(self) -> None:
        def whole(name: str, least: int, most: int, multiple: int = 1) -> None:
            value: object = getattr(self, name)
            if not (isinstance(value, int) and least <= value <= most and value % multiple == 0):
                kind = f"a multiple of {multiple}" if multiple > 1 else "a whole number"
                raise MetastyleError(f"{name} is {value!r}: use {kind} from {least} to {most}")

        def number(name: str, ok: Callable[[float], bool], expected: str) -> None:
            value: object = getattr(self, name)
            if not (isinstance(value, int | float) and ok(value)):
                raise MetastyleError(f"{name} is {value!r}: use {expected}")

        whole("steps", 0, 100_000)
        whole("warm_up", 0, 100_000)
        whole("batch", 1, 64)
        whole("pool", 1, 1000)
        whole("size", 64, 1024, multiple=STRIDE)
        whole("style_size", 64, 4096)
        whole("seed", 0, 2**63 - 1)
        number("learning_rate", lambda x: 0 < x <= 1, "a number above 0 and up to 1")
        number("content_weight", lambda x: 0 <= x < math.inf, "a number from 0")
        number("style_weight", lambda x: 0 <= x < math.inf, "a number from 0")
        number("balance", lambda x: 0 <= x <= 1, "a number from 0 to 1")
        number("grain", lambda x: 0 <= x <= LARGEST_GRAIN, f"a number from 0 to {LARGEST_GRAIN:g}")
        if self.schedule not in ("cosine", "constant"):
            raise MetastyleError(f"schedule is {self.schedule!r}: use 'cosine' or 'constant'")
        if self.parameters not in ("all", "low_rank", "instance_norm"):
            raise MetastyleError(
                f"parameters is {self.parameters!r}: use 'all', 'low_rank' or 'instance_norm'"
            )
        whole("rank", 1, LARGEST_RANK)

    @property
    def contents(self) -> int:
        """How many contents the steps need: the pool, or fewer where all the steps see fewer."""
        return max(1, min(self.pool, self.steps * self.batch))


Effort = Literal["draft", "normal", "fine"]
"""How much time a painting is worth: ten seconds or so, a minute, or five minutes of two CPU cores."""

_EFFORTS: dict[tuple[str, Effort], dict[str, int]] = {
    ("cpu", "draft"): {"steps": 15, "warm_up": 5, "size": 160},
    ("cpu", "normal"): {},
    ("cpu", "fine"): {"steps": 240, "pool": 48, "size": 256},
    ("cuda", "draft"): {"steps": 60, "batch": 2, "pool": 48},
    ("cuda", "normal"): {"steps": 200, "batch": 4, "pool": 100, "size": 256},
    ("cuda", "fine"): {"steps": 1000, "batch": 4, "pool": 400, "size": 256},
}


def default_settings(device: torch.device, effort: Effort = "normal") -> AdaptationSettings:
    """What ``effort`` means on ``device``; ``normal`` on a CPU is what the class says.

    Raises:
        MetastyleError: no such effort.
    """
    kind = "cuda" if device.type == "cuda" else "cpu"
    if (kind, effort) not in _EFFORTS:
        raise MetastyleError(f"effort is {effort!r}: use 'draft', 'normal' or 'fine'")
    return AdaptationSettings(**_EFFORTS[kind, effort])  # type: ignore[arg-type]


@dataclass(frozen=True)
class AdaptationStep:
    """What is known after a step; the losses are those of the step's own contents, before its update."""

    step: int
    steps: int
    total: float
    content: float
    style: float
    seconds: float
    seconds_left: float
    preview: Callable[[Tensor], Tensor]
    """Renders pictures (B, 3, H, W) in [0, 1], sides a multiple of 4, with the parameters as they are now."""


class Adaptation:
    """An adaptation under way: iterate over it to take the steps, stop whenever you like.

    Args:
        initialization: theta and Psi; it is not changed.
        loss_network: VGG-16; it is not changed.
        style: the painting (1, 3, H, W) in [0, 1], already at ``settings.style_size``.
        contents: the pool (N, 3, size, size) in [0, 1] that steps draw from.
        start: a style to go on from, instead of w_0 = Psi(theta, s).
        style_mask: how visible each pixel of the painting is (1, 1, H, W) in [0, 1]; None: all are.

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
        start: Style | None = None,
        style_mask: Tensor | None = None,
    ) -> None:
        if start is not None:
            _check_start(start, settings)
        self.settings = settings
        self.device = pick_device(device)
        self._dtype = compute_dtype(self.device)
        initialization = copy.deepcopy(initialization).to(self.device)
        self._network = initialization.network
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loss_network = copy.deepcopy(loss_network).to(self.device)
        if self._dtype != torch.float32:
            # Frozen weights are converted once; autocast would convert them at every call.
            for convolution in self._loss_network.children():
                convolution.to(self._dtype)
        self._contents = self._place(contents)
        with torch.no_grad(), self._autocast():
            visible = None if style_mask is None else self._place(style_mask)
            self._target = style_target(self._loss_network, self._place(style), visible)
            self._features = torch.cat(
                [self._loss_network(c[None], [CONTENT_LAYER])[CONTENT_LAYER] for c in self._contents]
            )
            if start is None:
                self._network.load_state_dict(initialization.start(self._target))
            elif settings.parameters != "low_rank":
                self._network.load_state_dict(start.full_parameters(self._network))
        balance = balanced_style_weight(self._target, settings.balance).item()
        self._style_weight = settings.style_weight * balance
        own: dict[str, Tensor] = dict(self._network.named_parameters())
        self._moved = own
        if settings.parameters == "instance_norm":
            self._moved = dict(instance_norm_parameters(self._network))
        elif settings.parameters == "low_rank":
            generator = torch.Generator().manual_seed(settings.seed)
            factors = start.parameters if start else low_rank_start(self._network, settings.rank, generator)
            self._moved = {n: p.to(self.device, copy=True).requires_grad_() for n, p in factors.items()}
        idle = idle_parameters(self._network)
        self._learned = [parameter for name, parameter in self._moved.items() if name not in idle]
        for name, parameter in own.items():
            parameter.requires_grad_(parameter is self._moved.get(name) and name not in idle)
        self.curve: list[tuple[int, float, float, float]] = []

    @property
    def parameters(self) -> Parameters:
        """All of the network's."""
        own = {name: p.detach() for name, p in self._network.named_parameters()}
        return _on_cpu(own | self._changed())

    @property
    def moved_parameters(self) -> Parameters:
        """What the steps move, as a style holds it."""
        return _on_cpu(self._moved)

    def __len__(self) -> int:
        return self.settings.steps

    def __iter__(self) -> Iterator[AdaptationStep]:
        settings = self.settings
        rate = settings.learning_rate * (RATE if settings.parameters == "low_rank" else 1.0)
        adam = torch.optim.Adam(self._learned, lr=rate)
        generator = torch.Generator().manual_seed(settings.seed)
        order = _endless_shuffle(len(self._contents), generator)
        started = time.perf_counter()
        for step in range(1, settings.steps + 1):
            adam.param_groups[0]["lr"] = rate * rate_factor(step, settings)
            batch = torch.tensor([next(order) for _ in range(settings.batch)], device=self.device)
            with self._autocast():
                seen = add_grain(self._contents[batch], settings.grain, seed=settings.seed + step)
                pictures = functional_call(self._network, self._changed(), (seen,))
                loss = perceptual_loss(
                    self._loss_network(pictures),
                    self._features[batch],
                    self._target,
                    settings.content_weight,
                    self._style_weight,
                )
            adam.zero_grad()
            loss.total.backward()  # type: ignore[no-untyped-call]
            adam.step()
            total, content, style = self._common(loss)
            if not math.isfinite(total):
                raise MetastyleError(
                    f"the loss became {total} at step {step}: use a smaller learning rate or style weight"
                )
            self.curve.append((step, total, content, style))
            seconds = time.perf_counter() - started
            left = seconds / step * (settings.steps - step)
            yield AdaptationStep(step, settings.steps, total, content, style, seconds, left, self.render)

    @torch.no_grad()
    def render(self, pictures: Tensor) -> Tensor:
        """Stylize (B, 3, H, W) in [0, 1] with the parameters as they are now; the same shape comes back."""
        seen = add_grain(self._place(pictures), self.settings.grain)
        with self._autocast():
            rendered: Tensor = functional_call(self._network, self._changed(), (seen,))
        return rendered.float().cpu()

    def _common(self, loss: Loss) -> tuple[float, float, float]:
        """Total, content and style loss under the weights that were asked for, whatever the balance."""
        content, style = torch.stack([loss.content, loss.style]).tolist()
        if self._style_weight:
            style *= self.settings.style_weight / self._style_weight
        return content + style, content, style

    def _changed(self) -> Parameters:
        """What the network is called with in place of its own parameters: low-rank changes, applied."""
        if self.settings.parameters != "low_rank":
            return {}
        return expand(self._moved, dict(self._network.named_parameters()))

    def _place(self, x: Tensor) -> Tensor:
        return x.to(self.device, torch.float32).contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32)


def _check_start(start: Style, settings: AdaptationSettings) -> None:
    """Raise MetastyleError unless steps that move what ``settings`` says can go on from ``start``."""
    kinds = (start.kind, settings.parameters)
    if settings.parameters != "all" and kinds[0] != kinds[1]:
        raise MetastyleError(
            f"'{start.painting}' holds {start.kind.replace('_', ' ')} parameters: go on from it with"
            f" parameters '{start.kind}' or 'all'"
        )
    if kinds == ("low_rank", "low_rank") and rank_of(start.parameters) != settings.rank:
        raise MetastyleError(
            f"'{start.painting}' has rank {rank_of(start.parameters)}, not {settings.rank}: use its own rank"
        )


def _on_cpu(parameters: Parameters) -> Parameters:
    return {
        name: p.detach().to("cpu", torch.float32, copy=True).contiguous() for name, p in parameters.items()
    }


def rate_factor(step: int, settings: AdaptationSettings) -> float:
    """What the highest rate is multiplied by at ``step``, from 1: a linear rise, half a cosine to zero."""
    rise = min(1.0, step / settings.warm_up) if settings.warm_up else 1.0
    if settings.schedule == "constant":
        return rise
    return rise * half_cosine((step - 1) / settings.steps)


def half_cosine(progress: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def _endless_shuffle(n: int, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randperm(n, generator=generator).tolist()
