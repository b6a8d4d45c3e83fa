"""A style: what adapting to one painting has learned, and where it came from. And mixtures of styles."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from metastyle.core.initialization import Parameters
from metastyle.core.low_rank import expand, low_rank_shapes, rank_of
from metastyle.core.network import TransformationNetwork, instance_norm_parameters
from metastyle.core.settings import LARGEST_GRAIN, LARGEST_RANK, StyleKind
from metastyle.errors import MetastyleError

Curve = tuple[tuple[int, float, float, float], ...]
"""(step, total loss, content part, style part) of every step taken."""


_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, eq=False, repr=False)
class Style:
    """Adapted parameters and their provenance. Checked when made; never changed afterwards.

    Raises:
        MetastyleError: parameters that are missing, foreign, of a wrong shape or type, or not finite;
            provenance that is not what the fields below say.
    """

    parameters: Parameters
    """float32 on the CPU, by the network's own names: all 1,679,235, the 3,200 of instance norm, or those and
    the factors of ``core/low_rank.py``."""
    kind: StyleKind
    """Which of the three."""
    base: str
    """sha256 (``tensor_digest``) of the initialization that was adapted."""
    painting: str
    """The painting's name, for people."""
    painting_sha256: str
    """Of the painting's pixels; for a mixture, of the record of what was mixed."""
    settings: dict[str, Any] = field(default_factory=dict)
    """How it was learned; anything that JSON can hold."""
    curve: Curve = ()

    def __post_init__(self) -> None:
        shapes = parameter_shapes(self.kind, rank_of(self.parameters) if self.kind == "low_rank" else 0)
        missing, foreign = shapes.keys() - self.parameters.keys(), self.parameters.keys() - shapes.keys()
        if missing or foreign:
            what = f"lack {min(missing)}" if missing else f"have {min(foreign)!r}, which the network has not"
            raise MetastyleError(f"the style's parameters do not fit the network: they {what}")
        for name, shape in shapes.items():
            tensor = self.parameters[name]
            if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
                raise MetastyleError(
                    f"the style's {name} is {tensor.dtype} {tuple(tensor.shape)}: it must be float32 {shape}"
                )
            if not tensor.isfinite().all():
                raise MetastyleError(f"the style's {name} holds numbers that are not finite")
        for what in ("base", "painting_sha256"):
            if not isinstance(value := getattr(self, what), str) or not _SHA256.match(value):
                raise MetastyleError(f"the style's {what} is {value!r}: use a sha256 in hexadecimal")
        try:
            settings = json.loads(json.dumps(self.settings, allow_nan=False))
            curve = tuple((int(n), float(t), float(c), float(s)) for n, t, c, s in self.curve)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise MetastyleError(
                f"the style's settings or loss curve cannot be written down: {error}"
            ) from None
        if not isinstance(settings, dict):
            raise MetastyleError(f"the style's settings are a {type(settings).__name__}: use a dictionary")
        grain = settings.get("grain", 0.0)
        if not (isinstance(grain, int | float) and 0 <= grain <= LARGEST_GRAIN):
            raise MetastyleError(f"the style's grain is {grain!r}: use 0 to {LARGEST_GRAIN:g}")
        if not all(math.isfinite(x) for row in curve for x in row):
            raise MetastyleError("the style's loss curve holds numbers that are not finite")
        # Own copies, in one form: what the caller does to the originals later changes nothing here.
        own = {n: self.parameters[n].detach().to("cpu", copy=True).contiguous() for n in shapes}
        object.__setattr__(self, "parameters", own)
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "curve", curve)
        object.__setattr__(self, "painting", "".join(c if c.isprintable() else "?" for c in self.painting))

    def __repr__(self) -> str:
        numbers = sum(tensor.numel() for tensor in self.parameters.values())
        what = f"{self.kind}, {numbers:,} numbers, {len(self.curve)} steps"
        return f"<{type(self).__name__} {self.painting!r}: {what}>"

    def full_parameters(self, network: TransformationNetwork) -> Parameters:
        """All parameters of the network: this style's, and ``network``'s for those that it did not move."""
        base = {name: p.detach() for name, p in network.named_parameters()}
        return base | expand(self.parameters, base)

    @property
    def grain(self) -> float:
        """Amount of grain that the style was learned with; 0 where its settings name none."""
        return float(self.settings.get("grain", 0.0))

    @property
    def needs_base(self) -> bool:
        """Whether the style is only meaningful with the initialization that it started from."""
        return self.kind != "all"


S = TypeVar("S", bound=Style)


def blend(
    styles: Sequence[S],
    weights: Sequence[float] | None = None,
    *,
    base_parameters: Mapping[str, Tensor] | None = None,
) -> S:
    """A convex combination of adapted parameters: the post, section 4.3.

    Args:
        styles: at least one, all adapted from the same base model.
        weights: one per style, from 0, not all 0; they are divided by their sum. None: equal parts.
        base_parameters: theta in full, needed unless all styles hold all parameters, or all instance norms.

    Returns:
        A style of the first one's class, whose settings record the parents and their weights.

    Raises:
        MetastyleError: no styles, unusable weights, or different base models.
    """
    if not styles:
        raise MetastyleError("nothing to blend: give at least one style")
    shares = _shares([1.0] * len(styles) if weights is None else weights, len(styles))
    first = styles[0]
    for style in styles:
        if style.base != first.base:
            raise MetastyleError(
                f"'{style.painting}' was adapted from base model {style.base[:12]}, '{first.painting}' from"
                f" {first.base[:12]}: only styles of one base model can be blended; adapt them again"
            )
    only_norms = all(style.kind == "instance_norm" for style in styles)
    kind: StyleKind = "instance_norm" if only_norms else "all"
    filled = [style.parameters if only_norms else _filled(style, base_parameters) for style in styles]
    mixture = {
        name: torch.stack([w * p[name] for w, p in zip(shares, filled, strict=True)]).sum(dim=0)
        for name in parameter_shapes(kind)
    }
    parents = [
        {"painting": s.painting, "painting_sha256": s.painting_sha256, "weight": w, "settings": s.settings}
        for s, w in zip(styles, shares, strict=True)
    ]
    record = json.dumps(parents, sort_keys=True).encode()
    return dataclasses.replace(
        first,
        parameters=mixture,
        kind=kind,
        painting=" + ".join(f"{w:.2g} {s.painting}" for s, w in zip(styles, shares, strict=True)),
        painting_sha256=hashlib.sha256(record).hexdigest(),
        settings={"blend": parents, "grain": sum(w * s.grain for s, w in zip(styles, shares, strict=True))},
        curve=(),
    )


def strengthen(style: S, base_parameters: Mapping[str, Tensor], strength: float) -> S:
    """theta + strength (w - theta) as a style of all parameters.

    Args:
        base_parameters: theta in full, from which ``style`` was adapted.
        strength: 1 is the style as it is; beyond, it goes further from theta than adaptation went.
    """
    theta = {name: p.detach() for name, p in base_parameters.items()}
    w = _filled(style, theta)
    moved = {name: theta[name] + strength * (w[name] - theta[name]) for name in parameter_shapes("all")}
    return dataclasses.replace(style, parameters=moved, kind="all")


@functools.cache
def parameter_shapes(kind: StyleKind, rank: int = 0) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter that a style of this kind holds; ``rank`` for those of low rank."""
    if kind not in ("all", "low_rank", "instance_norm"):
        raise MetastyleError(f"a style's kind is {kind!r}: use all, low_rank or instance_norm")
    with torch.device("meta"):
        network = TransformationNetwork()
    if kind == "low_rank":
        if not 1 <= rank <= LARGEST_RANK:
            raise MetastyleError(f"a style's rank is {rank}: use 1 to {LARGEST_RANK}")
        return low_rank_shapes(network, rank)
    parameters = dict(network.named_parameters()) if kind == "all" else instance_norm_parameters(network)
    return {name: tuple(p.shape) for name, p in parameters.items()}


def _shares(weights: Sequence[float], count: int) -> list[float]:
    if len(weights) != count:
        raise MetastyleError(f"{len(weights)} weights for {count} styles: give one weight per style")
    for w in weights:
        if not (math.isfinite(w) and w >= 0):
            raise MetastyleError(f"a blending weight is {w}: use numbers from 0")
    largest = max(weights)
    if largest == 0:
        raise MetastyleError("all blending weights are 0: at least one must be larger")
    scaled = [w / largest for w in weights]  # first by the largest, so that no sum can overflow
    return [w / sum(scaled) for w in scaled]


def _filled(style: Style, base: Mapping[str, Tensor] | None) -> Parameters:
    """All parameters of ``style``."""
    if not style.needs_base:
        return style.parameters
    if base is None:
        raise MetastyleError(
            f"'{style.painting}' does not hold all parameters: to blend it, give the base model's"
        )
    theta = {name: p.detach().to("cpu", torch.float32) for name, p in base.items()}
    return theta | expand(style.parameters, theta)
