"""The settings of a film: the keywords of ``metastyle.film``, with their defaults and ranges."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from metastyle.core.checks import SettingError, Settings
from metastyle.core.device import pick_device
from metastyle.core.settings import (
    Brush,
    Budget,
    Count,
    FrameRate,
    Grain,
    Positive,
    Precision,
    Smoothing,
    Strength,
)
from metastyle.films.painter import Painter, frame_by_frame
from metastyle.films.smoothing import SMOOTHING
from metastyle.films.temporal import TemporalPainter, TemporalSettings
from metastyle.style import Style


@dataclass(frozen=True)
class FilmSettings(Settings):
    """The settings of a film; the fields are the keywords of ``metastyle.film``."""

    size: Count | None = None
    begin: Annotated[float, Ge(0)] | None = None
    end: Positive | None = None
    fps: FrameRate | None = None
    strength: Strength = 1.0
    brush: Brush | None = None
    grain: Grain | None = None
    keep_color: bool = False
    smoothing: Smoothing = SMOOTHING
    temporal: TemporalSettings | None = None
    frame_by_frame: bool = False
    codec: str | None = None
    quality: int | None = None
    max_memory: Budget | None = None
    precision: Precision = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.begin is not None and self.end is not None and self.end <= self.begin:
            raise SettingError("end", self.end, f"more than {self.begin:g} s, where the film begins")
        pick_device(self.device)

    def painter(self, style: Style, max_memory: int | None) -> Painter:
        """The painter for the frames of the film."""
        stylizer = style.stylizer(
            device=self.device,
            max_memory=max_memory,
            strength=max(1.0, self.strength),
            grain=self.grain_of(style),
            precision=self.precision,
        )
        options: dict[str, Any] = {
            "brush": self.brush,
            "keep_color": self.keep_color,
            "strength": min(1.0, self.strength),
        }
        if self.frame_by_frame:
            return frame_by_frame(stylizer, **options)
        return TemporalPainter(stylizer, self.temporal, smoothing=self.smoothing, **options)

    def grain_of(self, style: Style) -> float:
        """The amount of grain: that of the style, if frames are smoothed.

        Without smoothing the camera's motion is not known. Grain that stays in place while the picture moves
        would double the flicker (docs/stillness.md), so there is none unless it is asked for.
        """
        if self.grain is not None:
            return self.grain
        return style.grain if self.smoothing and not self.frame_by_frame else 0.0

    def identity(self, style: Style) -> dict[str, Any]:
        """Everything that the painter depends on, as JSON values."""
        own = {
            "style": _digest(style, max(1.0, self.strength)),
            "strength": self.strength,
            "brush": self.brush,
            "grain": self.grain_of(style),
            "keep_color": self.keep_color,
            "smoothing": self.smoothing,
            "frame_by_frame": self.frame_by_frame,
        }
        if self.temporal not in (None, TemporalSettings()):
            own["temporal"] = str(self.temporal)
        if self.precision != "float32":
            own["precision"] = self.precision
        return own


def _digest(style: Style, strength: float) -> str:
    """A digest of the network's parameters."""
    numbers = hashlib.blake2b(digest_size=16)
    for name, values in sorted(style.network(strength).state_dict().items()):
        numbers.update(name.encode() + values.contiguous().numpy().tobytes())
    return numbers.hexdigest()
