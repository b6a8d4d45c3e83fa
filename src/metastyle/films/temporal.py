"""A painter for films without flicker: temporal normalization, and smoothing along the motion.

Frames are not normalized by their own statistics, but by statistics that follow the film slowly. These are
measured when a shot begins, then every few frames and whenever the colors have changed. With each frame, the
statistics in use move a small step towards the measured ones. The further the frame's colors are from those
that the statistics stand for, the larger the step, up to all of the way: in a fade, lagging statistics would
overexpose the picture. The remaining flicker is smoothed along the motion. ``docs/stillness.md`` has the
measurements.

If a film is smoothed, its motion is known, and the grain in flat areas moves with the scene; otherwise it is
fixed to the screen. Dark frames get less of it, so that grain comes and goes with the light of a fade.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metastyle.core.checks import Settings
from metastyle.core.settings import Count, Positive, Share, Weight
from metastyle.films.shots import Event, ShotDetector, color_distance, reduced
from metastyle.films.smoothing import SMOOTHING, Motion, Smoother
from metastyle.images import color
from metastyle.rendering.brush import check_brush, render_with_brush
from metastyle.rendering.frozen import FrozenStylizer, Statistics, average, frame_statistics
from metastyle.rendering.stylizer import Stylizer

Pixels = NDArray[Any]
Arrays = dict[str, NDArray[Any]]


BRIGHT = 0.5
"""95th percentile of luminance of frames that get all of the grain; darker ones get less in proportion."""


@dataclass(frozen=True)
class TemporalSettings(Settings):
    """How the statistics in use follow those of the film."""

    every: Count = 8
    """Frames after which statistics are measured again, at the latest."""
    changed: Weight = 0.15
    """Change of colors, relative to their spread, after which statistics are measured immediately."""
    weight: Share = 0.1
    """Weight of the measured statistics in the update of those in use, 0 to 1."""
    fast: Positive = 0.3
    """Change of colors above which that weight grows; at twice this change it is 1."""


@dataclass
class _Shot:
    """The state of the current shot."""

    colors: Pixels  # of the statistics in use: (n, 3), sorted along each channel
    measured_colors: Pixels  # of the frame measured last
    age: int = -1  # frames since then
    in_use: dict[str, Statistics] = field(default_factory=dict)  # by the size of what is rendered
    measured: dict[str, Statistics] = field(default_factory=dict)
    camera: tuple[float, float] = (0.0, 0.0)  # pixels moved since the shot began: down, right
    frame: Pixels | None = None  # the last one, and its result
    result: Pixels | None = None


class TemporalPainter:
    """Paints the frames of one film in order, causally and in constant memory.

    stylizer: as for single pictures; its network, device, precision and grain are used.
    smoothing: share of the earlier result, warped, in the new one, 0 to below 1; 0 needs no OpenCV.
    brush, keep_color, strength (0 to 1): as for photographs.

    Raises MetastyleError for settings out of range, and for smoothing without OpenCV.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        settings: TemporalSettings | None = None,
        *,
        smoothing: float = SMOOTHING,
        brush: float | None = None,
        keep_color: bool = False,
        strength: float = 1.0,
    ) -> None:
        color.check_strength(strength)
        check_brush(brush)
        self._settings = settings or TemporalSettings()
        self._smoother = Smoother(smoothing) if smoothing else None
        self._brush, self._keep_color, self._strength = brush, keep_color, strength
        self._renderer = _Renderer(stylizer)
        self._detector = ShotDetector()
        self._shot: _Shot | None = None
        self._suspended: _Shot | None = None  # the shot before, in case the new one is only a flash

    def __call__(self, pixels: Pixels) -> Pixels:
        """Paint the next frame, (H, W, 3) uint8, from 16x16 pixels; same shape and type."""
        small = reduced(pixels)
        colors = np.sort(small.reshape(-1, 3), axis=0)
        shot = self._enter(self._detector.observe(small), colors)
        motion = self._motion(shot, pixels)
        self._follow(shot, colors, exposure_of(small), len(pixels))
        painted = render_with_brush(self._renderer, pixels, self._brush)
        if self._keep_color:
            painted = color.keep_color(pixels, painted)
        painted = color.mix(pixels, painted, self._strength).astype(np.uint8, copy=False)
        if self._smoother is not None:
            if motion is not None and shot.frame is not None and shot.result is not None:
                painted = self._smoother.smooth(pixels, painted, shot.frame, shot.result, motion)
            shot.frame, shot.result = pixels.copy(), painted.copy()
        return painted

    def state(self) -> bytes:
        """Everything that later frames depend on."""
        arrays: Arrays = {f"detector/{name}": a for name, a in self._detector.state().items()}
        for name, shot in (("shot", self._shot), ("suspended", self._suspended)):
            if shot is not None:
                arrays |= {f"{name}/{key}": a for key, a in _arrays_of(shot).items()}
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        return stream.getvalue()

    def restore(self, state: bytes) -> None:
        """Resume from a ``state``."""
        with np.load(io.BytesIO(state), allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
        self._detector.restore(_below(arrays, "detector"))
        self._shot, self._suspended = (
            _shot_of(own) if (own := _below(arrays, name)) else None for name in ("shot", "suspended")
        )

    def _enter(self, event: Event, colors: Pixels) -> _Shot:
        """The shot that the next frame belongs to."""
        if event is Event.BACK and self._suspended is not None:
            self._shot, self._suspended = self._suspended, None
        elif event is Event.NEW or self._shot is None:
            self._suspended, self._shot = self._shot, _Shot(colors, colors)
        else:
            self._suspended = None
        return self._shot

    def _motion(self, shot: _Shot, pixels: Pixels) -> Motion | None:
        """The motion since the frame before, if the film is smoothed; updates the camera position."""
        if self._smoother is None or shot.frame is None or shot.frame.shape != pixels.shape:
            return None
        motion = self._smoother.motion(pixels, shot.frame)
        down, right = motion.shift()
        shot.camera = shot.camera[0] + down, shot.camera[1] + right
        return motion

    def _follow(self, shot: _Shot, colors: Pixels, exposure: float, height: int) -> None:
        """Tell the renderer if it measures the next frame, of ``height`` rows, its weight and exposure."""
        settings = self._settings
        shot.age += 1
        due = shot.age >= settings.every or _change(colors, shot.measured_colors) > settings.changed
        if due:
            shot.age, shot.measured_colors = 0, colors
        beyond = float(np.clip(_change(colors, shot.colors) / settings.fast - 1, 0, 1))
        weight = settings.weight + (1 - settings.weight) * beyond
        shot.colors = shot.colors + (shot.measured_colors - shot.colors) * np.float32(weight)
        self._renderer.prepare(shot, height, due=due, weight=weight, exposure=exposure)


class _Renderer:
    """Renders frames in order, each at one or more sizes, with statistics that follow the film."""

    def __init__(self, stylizer: Stylizer) -> None:
        self._stylizer = stylizer
        self._frozen: FrozenStylizer | None = None  # folded once; gets new statistics for each frame

    def prepare(self, shot: _Shot, height: int, *, due: bool, weight: float, exposure: float) -> None:
        """Called before each frame; the camera's motion is in pixels of a film of this ``height``."""
        self._shot, self._height, self._due, self._weight = shot, height, due, weight
        self._exposure = exposure

    def render(self, pixels: Pixels, *, progress: Callable[[float], None] | None = None) -> Pixels:
        shot, size = self._shot, f"{pixels.shape[1]}x{pixels.shape[0]}"
        if self._due or size not in shot.measured:
            shot.measured[size] = frame_statistics(self._stylizer, pixels, exposure=self._exposure)
        measured = shot.measured[size]
        before = shot.in_use.get(size, measured)
        shot.in_use[size] = average([before, measured], [1 - self._weight, self._weight])
        scale = len(pixels) / self._height
        origin = (round(scale * shot.camera[0]), round(scale * shot.camera[1]))
        frozen = self._frozen_with(shot.in_use[size])
        result = frozen.render(pixels, origin=origin, exposure=self._exposure)
        if progress is not None:
            progress(1.0)
        return result

    def _frozen_with(self, statistics: Statistics) -> FrozenStylizer:
        if self._frozen is None:
            self._frozen = FrozenStylizer(
                self._stylizer.network,
                statistics=statistics,
                device=str(self._stylizer.device),
                precision=self._stylizer.precision,
                grain=self._stylizer.grain,
            )
        else:
            self._frozen.follow(statistics)
        return self._frozen


def exposure_of(small: Pixels) -> float:
    """The share of the grain that suits the light of a frame, 0 to 1; (h, w, 3) in [0, 1]."""
    return min(1.0, float(np.percentile(small.mean(2), 95)) / BRIGHT)


def _change(colors: Pixels, reference: Pixels) -> float:
    """How far colors have moved, relative to the spread of the reference."""
    if colors.shape != reference.shape:
        return float("inf")
    return color_distance(colors, reference) / (float(reference.std(0).mean()) + 0.02)


def _arrays_of(shot: _Shot) -> Arrays:
    arrays: Arrays = {"colors": shot.colors, "measured_colors": shot.measured_colors}
    arrays["age"], arrays["camera"] = np.array(shot.age), np.array(shot.camera)
    for kind, table in (("in_use", shot.in_use), ("measured", shot.measured)):
        for size, statistics in table.items():
            for moment in ("means", "variances"):
                layers = getattr(statistics, moment)
                arrays[f"{kind}/{size}/{moment}"] = torch.cat(layers).numpy()
                arrays["channels"] = np.array([len(layer) for layer in layers])
    if shot.frame is not None and shot.result is not None:
        arrays |= {"frame": shot.frame, "result": shot.result}
    return arrays


def _shot_of(arrays: Arrays) -> _Shot:
    shot = _Shot(arrays["colors"], arrays["measured_colors"], int(arrays["age"]))
    shot.camera = (float(arrays["camera"][0]), float(arrays["camera"][1]))
    shot.frame, shot.result = arrays.get("frame"), arrays.get("result")
    channels = arrays["channels"].tolist()
    for kind, table in (("in_use", shot.in_use), ("measured", shot.measured)):
        for size in {name.split("/")[0] for name in _below(arrays, kind)}:
            layers = [
                torch.split(torch.from_numpy(arrays[f"{kind}/{size}/{moment}"]), channels)
                for moment in ("means", "variances")
            ]
            table[size] = Statistics(*layers)
    return shot


def _below(arrays: Arrays, name: str) -> Arrays:
    return {key.removeprefix(f"{name}/"): a for key, a in arrays.items() if key.startswith(f"{name}/")}
