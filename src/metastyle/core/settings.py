"""The settings of an adaptation, declared once: names, defaults, ranges and help.

Python, TOML files and the command line use the same declarations: annotations define the valid values
(``core/checks.py``), and the text under a field is its help. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from metastyle.core.checks import Settings, check_value

StyleKind = Literal["all", "low_rank", "instance_norm"]
"""What a style holds: all parameters, low-rank changes of the convolutions, or only the instance norms.

The first is complete; the others need the initialization that they started from.
"""
Precision = Literal["float32", "bfloat16"]
"""The type in which convolutions are computed."""
PhotoPrecision = Literal["auto", "float32", "bfloat16"]
"""The same for photographs; "auto" is bfloat16 on a processor that computes in it, else float32."""
CONTENT_WEIGHT = 1.0
"""alpha, in the perceptual loss."""
STYLE_WEIGHT = 1e5
"""beta, in the perceptual loss."""
LARGEST_GRAIN = 2.0
"""Largest amount of grain; 1 is the amount that the shipped model was trained with."""
LARGEST_RANK = 64
"""Largest rank of low-rank changes."""
STRONGEST = 2.0
"""The largest strength."""
SMALLEST_BRUSH, LARGEST_BRUSH = 0.25, 8.0
FEATHER, LARGEST_FEATHER = 0.01, 0.5
"""Default and largest softness of a mask's edges: sigma of a Gaussian, as a share of the long edge."""
SMALLEST_BUDGET = 1_000_000
"""Smallest working memory in which a picture can be rendered, in bytes."""

Seed = Annotated[int, Ge(0), Lt(2**63)]
Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Weight = Annotated[float, Ge(0)]
Grain = Annotated[float, Ge(0), Le(LARGEST_GRAIN)]
Strength = Annotated[float, Ge(0), Le(STRONGEST)]
Brush = Annotated[float, Ge(SMALLEST_BRUSH), Le(LARGEST_BRUSH)]
Feather = Annotated[float, Ge(0), Le(LARGEST_FEATHER)]
Smoothing = Annotated[float, Ge(0), Lt(1)]
FrameRate = Annotated[float, Ge(0.1), Le(1000)]
Budget = Annotated[int, Ge(SMALLEST_BUDGET)]


@dataclass(frozen=True)
class AdaptationSettings(Settings):
    """How the network is adapted to a painting. The defaults are for two CPU cores without bfloat16 and a
    minute (benchmarks/adapt.md); ``default_settings`` has those for other hardware and efforts."""

    steps: Annotated[int, Ge(0), Le(100_000)] = 60
    """Steps to take; 0 keeps the predicted start."""
    optimizer: Literal["muon", "adam"] = "muon"
    """What takes the steps: Muon for the kernels between hidden layers, or their factors, and Adam for the
    rest; or Adam alone, as in the paper. Instance-norm parameters always take Adam's."""
    learning_rate: Annotated[float, Gt(0), Le(1)] = 1e-3
    """Adam's highest learning rate; Muon's is 1.5 times as high."""
    warm_up: Annotated[int, Ge(0), Le(100_000)] = 5
    """Number of steps over which the learning rate rises at the start, because Adam's first updates are as
    large for noise as for signal."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls: to zero in a straight line or along a half cosine, or not at all, as in
    the paper."""
    batch: Annotated[int, Ge(1), Le(64)] = 1
    """Contents per step."""
    pool: Annotated[int, Ge(1), Le(1000)] = 24
    """Contents that the steps draw from, at most as many as they need."""
    size: Annotated[int, Ge(64), Le(1024), MultipleOf(4)] = 192
    """Side of the square contents, in pixels."""
    early_scale: Annotated[float, Ge(0.5), Le(1)] = 0.75
    """Side of the contents in the first half of the steps, relative to ``size``: it takes less time."""
    style_size: Annotated[int, Ge(64), Le(4096)] = 512
    """Longer edge of the painting, in pixels; a smaller one makes smaller strokes."""
    parameters: StyleKind = "all"
    """What the steps update: all parameters, low-rank changes of them, or only the 3,200 instance-norm
    parameters."""
    rank: Annotated[int, Ge(1), Le(LARGEST_RANK)] = 2
    """Rank of low-rank changes."""
    content_weight: Weight = CONTENT_WEIGHT
    """alpha, the weight of the content loss."""
    style_weight: Weight = STYLE_WEIGHT
    """beta, the weight of the style loss."""
    balance: Share = 0.4
    """Exponent that increases beta for quiet paintings; with 0, beta is the same for every painting."""
    grain: Grain = 0.5
    """Amount of grain that is added to flat areas of the contents; the shipped model was trained with 1."""
    seed: Seed = 0
    """Random seed: for the choice and order of the contents, and the grain."""

    @property
    def contents(self) -> int:
        """The number of contents that the steps need: at most the pool."""
        return max(1, min(self.pool, self.steps * self.batch))

    def size_at(self, step: int) -> int:
        """Side of the contents that ``step``, from 1, sees, in pixels: a multiple of 4."""
        return 4 * round(self.early_scale * self.size / 4) if 2 * step <= self.steps else self.size

    def pixels(self, steps: int) -> int:
        """The number of pixels that the first ``steps`` steps see; their time is proportional to it."""
        early = min(steps, self.steps // 2)
        late = steps - early
        return self.batch * (early * self.size_at(1) ** 2 + late * self.size_at(self.steps) ** 2)


Effort = Literal["draft", "normal", "fine"]
"""How long an adaptation takes: about ten seconds, a minute, or five minutes on two CPU cores."""

Hardware = Literal["cpu", "bfloat16", "cuda"]
"""What computes: a processor, a processor that multiplies bfloat16 natively, or a CUDA GPU."""

EFFORTS: dict[Hardware, dict[Effort, dict[str, int]]] = {
    "cpu": {
        "draft": {"steps": 18, "size": 160},
        "normal": {},
        "fine": {"steps": 280, "pool": 48, "size": 256},
    },
    "bfloat16": {
        "draft": {"steps": 36},
        "normal": {"steps": 140, "pool": 48, "size": 256},
        "fine": {"steps": 600, "pool": 100, "size": 256},
    },
    "cuda": {
        "draft": {"steps": 60, "batch": 2, "pool": 48},
        "normal": {"steps": 200, "batch": 4, "pool": 100, "size": 256},
        "fine": {"steps": 1000, "batch": 4, "pool": 400, "size": 256},
    },
}
"""For each hardware and effort, the fields of ``AdaptationSettings`` that differ from its defaults."""


def default_settings(hardware: Hardware, effort: Effort = "normal", **changes: Any) -> AdaptationSettings:
    """The settings of ``effort`` on ``hardware``; ``normal`` on a ``cpu`` has the defaults of the class.

    Args:
        changes: values of fields that differ.

    Raises:
        SettingError: there is no such effort, or a value is out of range.
    """
    own = EFFORTS[hardware][check_value("effort", effort, Effort)]
    return AdaptationSettings(**{**own, **changes})
